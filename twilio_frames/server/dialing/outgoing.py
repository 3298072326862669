"""The calls that are being placed: how many lines they hold, and how fast."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

__all__ = ["Outgoing"]

_RINGING_SECS = 180.0
"""How long a placed call holds its line without a word from Twilio of it.

It rings for 60 s by default, and may wait behind others before: Twilio places one a second."""


class Outgoing:
    """Lines of calls that were placed and are not answered yet, and the rate they are placed at.

    Args:
        per_minute: Calls placed in any minute, at most.
        clock: Seconds, never running backwards.
    """

    def __init__(self, *, per_minute: int, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._placed: deque[float] = deque(maxlen=per_minute)
        self._held: OrderedDict[str, float] = OrderedDict()
        self._asking = 0

    def __len__(self) -> int:
        """How many lines are held."""
        now = self._clock()
        while self._held and next(iter(self._held.values())) <= now:
            self._held.popitem(last=False)
        return len(self._held) + self._asking

    @property
    def wait_secs(self) -> float:
        """How long until another call may be placed, 0 if it may be at once."""
        if len(self._placed) < (self._placed.maxlen or 1):
            return 0.0
        return max(0.0, self._placed[0] + 60.0 - self._clock())

    def ask(self) -> None:
        """A call is about to be asked for: it has a line from here on."""
        self._placed.append(self._clock())
        self._asking += 1

    def refused(self) -> None:
        """What was asked for came to nothing."""
        self._asking -= 1

    def placed(self, call_sid: str, *, has_line: bool) -> None:
        """What was asked for is a call.

        Args:
            call_sid: The call.
            has_line: Whether it is counted elsewhere already, or over.
        """
        self._asking -= 1
        if not has_line:
            self.heard_of(call_sid, is_new=True)

    def heard_of(self, call_sid: str, *, is_new: bool = False) -> None:
        """Twilio tells of a call: one that holds a line holds it for longer."""
        if self._held.pop(call_sid, None) is not None or is_new:
            self._held[call_sid] = self._clock() + _RINGING_SECS

    def take(self, call_sid: str, *, is_outbound: bool) -> bool:
        """Gives a call that is answered the line that is held for it; False if none is.

        Twilio may ask for a call before it has told this side what it is called.
        """
        if self._held.pop(call_sid, None) is not None:
            return True
        return is_outbound and self._asking > 0

    def release(self, call_sid: str) -> None:
        """A call is over."""
        self._held.pop(call_sid, None)
