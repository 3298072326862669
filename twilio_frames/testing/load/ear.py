"""What a caller hears of a bot, by arithmetic: no clock runs, no audio is copied. Pure.

When a message is heard is known at once (:class:`PlaybackTimes`), and where its first and last
sound lies. A ``clear`` takes back what lies ahead.

Times are seconds on any one clock.
"""

from collections import deque

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.ear import JOINING_PAUSE, Spell
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.streams.playback import PlaybackTimes

GAP_SECS = 0.06
"""A longer hole in the bot's speech is heard as one."""

LONGEST_GAP = 0.6
"""Seconds; a longer hole is a pause between two things that the bot says."""

_QUIET = bytes(code for code in range(256) if not len(audible_samples(bytes([code]))))


class ArithmeticEar:
    """The ear behind one call's buffer at Twilio."""

    def __init__(self) -> None:
        self.spells: deque[Spell] = deque(maxlen=64)
        """When the bot is heard, in order; the last ones may lie ahead."""
        self.gaps: list[float] = []
        """Seconds of each hole in the bot's speech that came from a buffer run dry."""
        self.heard_secs = 0.0
        """How much sound was received, pauses within a message included, less what was cleared."""
        self._times = PlaybackTimes(0.0, per_byte=1 / SAMPLE_RATE)
        self.mark = self._times.mark
        self._ahead: deque[tuple[float, float]] = deque()
        self._dry_secs = 0.0
        self._is_broken_off = True

    @property
    def ends_at(self) -> float:
        """When all that was received will have been played."""
        return self._times.ends_at

    @property
    def next_mark(self) -> float | None:
        """When the next mark will be reached; None if none waits."""
        return self._times.next_mark

    def queue(self, mulaw: bytes, now: float) -> bool:
        """Takes in a message's audio; False if it is discarded, since too much waits already."""
        times = self._times
        times.advance(now)
        ended_at = times.ends_at
        begin = times.add(len(mulaw))
        if begin is None:
            return False
        self._dry_secs += begin - ended_at
        quiet = len(mulaw) - len(mulaw.lstrip(_QUIET))
        if quiet < len(mulaw):
            loud_end = len(mulaw.rstrip(_QUIET))
            self._hear(begin + quiet / SAMPLE_RATE, begin + loud_end / SAMPLE_RATE, now)
        return True

    def clear(self, now: float) -> list[str]:
        """Forgets what lies ahead; gives the marks in it, which are all reached."""
        self._times.advance(now)
        self._times.clear()
        self._dry_secs = 0.0
        self._is_broken_off = True
        ended = None
        while self._ahead and self._ahead[-1][1] > now:
            begin, end = self._ahead.pop()
            self.heard_secs -= end - max(begin, now)
            if begin < now:
                ended = now
        if ended is None and self._ahead:
            ended = self._ahead[-1][1]
        self._ahead.clear()
        while self.spells and self.spells[-1].began_at >= now:
            self.spells.pop()
        if self.spells and ended is not None:
            self.spells[-1].ended_at = min(self.spells[-1].ended_at, ended)
        return [mark.name for mark in self._times.take_reached()]

    def start_counting(self) -> None:
        """Forgets the gaps, and how much was heard."""
        self.gaps.clear()
        self.heard_secs = 0.0

    def take_reached(self, now: float) -> list[str]:
        """The marks reached by now, in order; each is given once."""
        self._times.advance(now)
        return [mark.name for mark in self._times.take_reached()]

    def first_since(self, begin: float, now: float) -> Spell | None:
        """The first spell that began at or after a time, if it has been heard to begin."""
        found = None
        for spell in reversed(self.spells):
            if spell.began_at < begin:
                break
            if spell.began_at <= now:
                found = spell
        return found

    def heard_at(self, now: float) -> Spell | None:
        """The spell that is being heard, a pause between words included."""
        for spell in reversed(self.spells):
            if spell.began_at <= now:
                return spell if now < spell.ended_at + JOINING_PAUSE else None
        return None

    def is_silent(self, now: float, *, for_seconds: float) -> bool:
        """Whether nothing has been heard for so long, and nothing audible is buffered."""
        return not self.spells or self.spells[-1].ended_at + for_seconds <= now

    def _hear(self, begin: float, end: float, now: float) -> None:
        while self._ahead and self._ahead[0][1] < now and len(self._ahead) > 1:
            self._ahead.popleft()
        self._ahead.append((begin, end))
        self.heard_secs += end - begin
        last = None if self._is_broken_off or not self.spells else self.spells[-1]
        is_hole = self._dry_secs > GAP_SECS
        if last is not None and is_hole and begin - last.ended_at < LONGEST_GAP:
            self.gaps.append(self._dry_secs)
        self._dry_secs = 0.0
        self._is_broken_off = False
        if last is not None and begin - last.ended_at < JOINING_PAUSE:
            last.ended_at = end
        else:
            self.spells.append(Spell(began_at=begin, ended_at=end))
