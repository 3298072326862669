"""How readily the bot falls silent when the caller may be about to speak.

A cough holds the bot for a moment, and it says on. On a line with a barking dog it would stammer
so; the more false alarms there were of late, the more speech it takes to hold it.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque


class HoldPolicy:
    """Learns from false alarms how much speech it takes to hold the bot.

    Args:
        tolerated: How many false alarms within the window change nothing.
        within_secs: The window: how long a false alarm counts.
        first_secs: How much speech it takes after the first one too many.
        step_secs: How much more after each further one.
        longest_secs: How much it takes at most.
    """

    def __init__(
        self,
        *,
        tolerated: int = 2,
        within_secs: float = 60.0,
        first_secs: float = 0.4,
        step_secs: float = 0.2,
        longest_secs: float = 1.0,
    ):
        self._tolerated = tolerated
        self._within = within_secs
        self._first = first_secs
        self._step = step_secs
        self._longest = longest_secs
        # Older ones than these would change nothing.
        most = tolerated + 1 + max(0, round((longest_secs - first_secs) / max(step_secs, 0.01)))
        self._alarms: deque[float] = deque(maxlen=most + 1)

    def false_alarm(self, now: float) -> None:
        """Notes that the bot was held for nothing."""
        self._alarms.append(now)

    def confirmed(self, now: float) -> None:
        """Notes that the caller did want to speak, which makes up for one false alarm."""
        self._forget(now)
        if self._alarms:
            self._alarms.popleft()

    def delay(self, now: float) -> float:
        """Seconds of speech it takes to hold the bot; 0.0 if its onset is enough."""
        self._forget(now)
        excess = len(self._alarms) - self._tolerated
        if excess <= 0:
            return 0.0
        return min(self._longest, self._first + (excess - 1) * self._step)

    def may_hold(self, now: float, speech_secs: float = 0.0) -> bool:
        """Whether so much speech holds the bot.

        Args:
            now: The time.
            speech_secs: How much the caller has said since the onset; 0.0 at the onset.
        """
        return speech_secs >= self.delay(now)

    def _forget(self, now: float) -> None:
        while self._alarms and now - self._alarms[0] >= self._within:
            self._alarms.popleft()
