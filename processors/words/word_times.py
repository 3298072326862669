"""From which moment the times of the bot's words count."""

from collections import OrderedDict

NANOSECONDS = 1_000_000_000
"""In a second."""
_CONTEXTS_KEPT = 16
# Times come out of seconds, and sums of them, by a fraction of a microsecond.
_ROUNDING = 1_000_000


class SecondsBefore:
    """How much audio the latest TTS contexts had, in case one of them is begun again."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[str, float] = OrderedDict()

    def of(self, context_id: str | None) -> float:
        """How much a context had; 0 if it is a new one."""
        return 0.0 if context_id is None else self._seconds.get(context_id, 0.0)

    def add(self, context_id: str | None, seconds: float) -> None:
        """Notes more of it."""
        if context_id is not None:
            self._seconds[context_id] = self.of(context_id) + seconds
            if len(self._seconds) > _CONTEXTS_KEPT:
                self._seconds.popitem(last=False)


def baseline_of(pts: int, *, began_at: int, follows_pts: int, seconds_before: float) -> int:
    """The time from which the words of a stretch of speech count, nanoseconds.

    Args:
        pts: The time of its first word.
        began_at: Pipecat's clock at its first audio.
        follows_pts: The time of the last word before it, unless Pipecat has forgotten that one in
            an interruption.
        seconds_before: How much audio the same TTS context had before it was begun again.
    """
    follows = began_at < follows_pts <= pts + _ROUNDING
    baseline = follows_pts if follows else min(began_at, pts)
    before = round(seconds_before * NANOSECONDS)
    # The service may count on from there, or again from zero: whatever the word is nearer to.
    return baseline + before if pts - baseline > before // 2 else baseline
