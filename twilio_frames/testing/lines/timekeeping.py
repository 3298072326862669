"""How well the simulator itself kept time: so far can be trusted what it measured. Pure."""

from array import array
from dataclasses import dataclass

LATE_P99 = 0.005
"""Seconds; a simulator that is later than this with more than 1 % of its turns kept no time."""

LATE_WORST = 0.1
"""Seconds; nor did one that was later than this even once."""

_STEPS_A_SECOND = 10_000
_STEPS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timekeeping:
    """How late the 20 ms turns of a simulated line came, in seconds.

    What the bot was sent was late by as much, and so was the receipt of what it sent. So this is
    how far every time that was measured can be trusted.

    Parameters:
        turns: How many turns there were.
        p50: Half of them were no later, rounded up to 0.1 ms.
        p99: Nor were 99 % of them.
        worst: How late the latest was.
    """

    turns: int
    p50: float
    p99: float
    worst: float

    @property
    def is_trustworthy(self) -> bool:
        """Whether the simulator kept time: if not, say nothing about the bot, and try again."""
        return self.kept(LATE_P99)

    def kept(self, p99: float) -> bool:
        """Whether 99 % of the turns were no later than this, and none was far too late."""
        return self.p99 <= p99 and self.worst <= LATE_WORST

    @property
    def warning(self) -> str:
        """What to say about a run that is not to be trusted."""
        return (
            f"the simulator did not keep time ({1000 * self.p99:.1f} ms late in 1 % of its turns, "
            f"{1000 * self.worst:.0f} ms at worst), so its times are not to be trusted: give "
            "it a core of its own"
        )

    def to_dict(self) -> dict[str, object]:
        """The same for a JSON file, in seconds."""
        return {
            "turns": self.turns,
            "p50": round(self.p50, 4),
            "p99": round(self.p99, 4),
            "worst": round(self.worst, 4),
            "is_trustworthy": self.is_trustworthy,
        }


class Lateness:
    """How late the line's turns came, counted by tenths of a millisecond."""

    def __init__(self) -> None:
        self._counts = array("L", bytes(array("L").itemsize * (_STEPS + 1)))
        self.worst = 0.0

    def count(self, seconds: float) -> None:
        """Takes in one turn; one that came early was in time."""
        self._counts[max(0, min(int(seconds * _STEPS_A_SECOND), _STEPS))] += 1
        if seconds > self.worst:
            self.worst = seconds

    def percentile(self, share: float) -> float:
        """Seconds that this share of the turns kept to, rounded up to 0.1 ms."""
        wanted = share * sum(self._counts)
        so_far = 0
        for steps, count in enumerate(self._counts):
            so_far += count
            if count and so_far >= wanted:
                # Beyond the last step, lateness is not told apart.
                return (steps + 1) / _STEPS_A_SECOND if steps < _STEPS else self.worst
        return 0.0

    @property
    def timekeeping(self) -> Timekeeping:
        """What was counted so far."""
        return Timekeeping(
            turns=sum(self._counts),
            p50=self.percentile(0.5),
            p99=self.percentile(0.99),
            worst=self.worst,
        )
