"""What was turned away, counted, told of without filling the disk, and slowed down."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger

__all__ = ["Refusals", "Strangers", "shown"]


def shown(text: str, most: int = 80) -> str:
    """Text from outside as a log may show it: quoted, its control characters spelled out, short."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")


@dataclass(slots=True)
class _Tally:
    count: int = 0
    told_at: float = 0.0
    came: set[str] = field(default_factory=set)


class Refusals:
    """Counts refused requests by kind, and logs few of each.

    Logged are the 1st, 10th, 100th... of a kind, one after a minute of silence, and the first of
    each that came differently, up to a bound. A line per request would let anybody fill the disk.

    Args:
        clock: Seconds, never running backwards.
        counted: Told the kind of each.
    """

    _MOST_KINDS = 100
    """More kinds than that are counted together."""
    _MOST_DIFFERENT = 20
    """So many ways to come are remembered of a kind."""
    _SILENCE_SECS = 60.0
    """Behind so long without a line of a kind the next one is logged."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        counted: Callable[[str], None] = lambda _: None,
    ):
        self._clock = clock
        self._counted = counted
        self._tallies: dict[str, _Tally] = {}

    def note(self, kind: str, advice: str, *, came: str = "") -> None:
        """Counts one.

        Args:
            kind: What was refused, in words of this program's own.
            advice: What to do about it.
            came: What came, as :func:`shown` gives it.
        """
        self._counted(kind)
        if (count := self._due(kind, came)) is not None:
            what = f"{kind}: {came}" if came else kind
            logger.warning(f"refused: {what} ({count} so far); {advice}")

    def note_failure(self, told: str) -> None:
        """Counts a request that this side failed at.

        Args:
            told: The error, as ``switchboard.describe()`` gives it.
        """
        self._counted("a request that this server failed at")
        if (count := self._due(told, "")) is not None:
            logger.error(f"a request failed ({count} so far): {told}")

    def _due(self, kind: str, came: str) -> int | None:
        """How many there were, if this one is to be told of."""
        if kind not in self._tallies and len(self._tallies) >= self._MOST_KINDS:
            kind = ""
        tally = self._tallies.setdefault(kind, _Tally())
        tally.count += 1
        now = self._clock()
        is_new = came not in tally.came and len(tally.came) < self._MOST_DIFFERENT
        is_round = str(tally.count).strip("0") == "1"
        if not (is_new or is_round or now - tally.told_at >= self._SILENCE_SECS):
            return None
        tally.told_at = now
        if is_new:
            tally.came.add(came)
        return tally.count


class Strangers:
    """Slows those who are refused again and again, each address by itself.

    An address has so many refusals, and gets one back every few seconds. Whoever has none left is
    to wait before they are looked at.

    Args:
        most: Refusals that cost no wait: somebody may mistype.
        every_secs: How long it takes to get one back.
        clock: Seconds, never running backwards.
    """

    _MOST_SOURCES = 1000
    """Addresses that are remembered; then the one that was refused longest ago is forgotten."""

    def __init__(
        self, *, most: int, every_secs: float, clock: Callable[[], float] = time.monotonic
    ):
        self._every_secs = every_secs
        self._most_secs = most * every_secs
        self._clock = clock
        self._clear_at: OrderedDict[str, float] = OrderedDict()

    @classmethod
    def of_a_server(cls) -> "Strangers":
        """Those who show no signature of Twilio's: a scanner is slowed, a wrong setting seen."""
        return cls(most=20, every_secs=3.0)

    @classmethod
    def of_a_key(cls) -> "Strangers":
        """Those who show a wrong key."""
        return cls(most=5, every_secs=30.0)

    def wait_secs(self, source: str) -> float:
        """How long until another refusal of this source is due, 0 if at once."""
        owed = self._clear_at.get(source, 0.0) - self._clock()
        return max(0.0, owed - (self._most_secs - self._every_secs))

    def note(self, source: str) -> None:
        """It was refused."""
        now = self._clock()
        clear_at = max(self._clear_at.pop(source, now), now) + self._every_secs
        self._clear_at[source] = min(clear_at, now + self._most_secs)
        if len(self._clear_at) > self._MOST_SOURCES:
            self._clear_at.popitem(last=False)

    def forgive(self, source: str) -> None:
        """It has shown that it may come."""
        self._clear_at.pop(source, None)
