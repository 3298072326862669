"""How far a pipeline is behind the caller, and the bound to that.

Pipecat's queues have no bound: a pipeline slower than speech would keep all that it has not worked
off. Two things bound it. No caller can have spoken for longer than the line is up. And now and then
a frame goes along with the audio; it reaches the output when the audio before it has been worked
off. Where it does not for too long, what the caller says is left out until it does.

No clock is read here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipecat.frames.frames import SystemFrame

__all__ = ["Backlog", "BacklogFrame"]

LONGEST_SECS = 30.0
"""Of audio. A pipeline that is this far behind answers nobody in time."""
_ASK_SECS = 5.0


@dataclass
class BacklogFrame(SystemFrame):
    """Goes along with the caller's audio.

    Parameters:
        passed: Called by the output when it comes by.
    """

    passed: Callable[[], None]


class Backlog:
    """Counts the caller's audio that is in a pipeline.

    Args:
        now: When the line began, in seconds of any clock.
    """

    def __init__(self, now: float):
        self.left_out = 0.0
        """Seconds of audio that were left out."""
        self._began = now
        self._taken = 0.0
        self._worked_off = 0.0
        self._asked_at = 0.0
        self._is_asking = self._is_answered = False

    def take(self, seconds: float, now: float) -> bool:
        """Whether there is place for another piece of audio."""
        has_been_spoken = self._taken + seconds <= now - self._began + LONGEST_SECS
        is_behind = self._is_answered and self._taken - self._worked_off > LONGEST_SECS
        if is_behind or not has_been_spoken:
            self.left_out += seconds
            return False
        self._taken += seconds
        return True

    def question(self) -> BacklogFrame | None:
        """The frame that is to go along with the audio taken so far, if it is time for one."""
        if self._is_asking or self._taken - self._asked_at < _ASK_SECS:
            return None
        self._is_asking = True
        self._asked_at = taken = self._taken

        def passed() -> None:
            self._is_asking, self._is_answered = False, True
            self._worked_off = taken

        return BacklogFrame(passed)
