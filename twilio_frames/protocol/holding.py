"""How readily the bot falls silent when the caller may be about to speak.

A cough holds the bot for a moment, and it says on. On a line with a barking dog it would stammer
so; the more false alarms there were of late, the more speech it takes to hold it. The first thing
that is given up is to hold it before it is certain that there is speech.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque

DOUBT = 0.5
"""How much of a false alarm it is if the bot was held by a sound that turned out to be no speech.

The pause it makes is no more than half as long.
"""


class HoldPolicy:
    """Learns from false alarms how much speech it takes to hold the bot.

    Args:
        tolerated: How many false alarms within the window change nothing where speech is certain.
            With so many, it no longer suffices that speech is likely.
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
        self._alarms: deque[tuple[float, float]] = deque(maxlen=round((most + 1) / DOUBT))

    def false_alarm(self, now: float, weight: float = 1.0) -> None:
        """Notes that the bot was held for nothing.

        Args:
            now: The time.
            weight: How much that counts, :data:`DOUBT` or 1.
        """
        self._alarms.append((now, weight))

    def confirmed(self, now: float) -> None:
        """Notes that the caller did want to speak, which makes up for one false alarm."""
        self._forget(now)
        credit = 1.0
        while self._alarms and credit > 0:
            at, weight = self._alarms.popleft()
            if weight > credit:
                self._alarms.appendleft((at, weight - credit))
            credit -= weight

    def delay(self, now: float) -> float:
        """Seconds of speech it takes to hold the bot; 0.0 if its onset is enough."""
        excess = self._count(now) - self._tolerated
        if excess <= 0:
            return 0.0
        return min(self._longest, self._first + max(0.0, excess - 1) * self._step)

    def may_hold(self, now: float, speech_secs: float = 0.0, *, is_certain: bool = True) -> bool:
        """Whether so much speech holds the bot.

        Args:
            now: The time.
            speech_secs: How much the caller has said since the onset; 0.0 at the onset.
            is_certain: Whether it is certain that it is speech.
        """
        if not is_certain:
            return self._count(now) < max(self._tolerated, DOUBT)
        return speech_secs >= self.delay(now)

    def _count(self, now: float) -> float:
        self._forget(now)
        return sum(weight for _, weight in self._alarms)

    def _forget(self, now: float) -> None:
        while self._alarms and now - self._alarms[0][0] >= self._within:
            self._alarms.popleft()
