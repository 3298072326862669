"""What a caller hears of a bot, by arithmetic: no clock runs, no audio is copied. Pure.

Audio is played in the order received, 8000 bytes a second. So a message is heard from its arrival
on, or from the end of what was buffered when it came; where that is, and where its first and last
sound lies, is known at once. A ``clear`` takes back what lies ahead.

Times are seconds on any one clock.
"""

from collections import deque

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.ear import JOINING_PAUSE, Spell
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.streams.playback import MAX_BUFFERED

GAP_SECONDS = 0.06
"""A longer hole in the bot's speech is heard as one."""

LONGEST_GAP = 0.6
"""Seconds; a longer hole is a pause between two things that the bot says."""

_MAX_SPELLS = 64
_QUIET = bytes(code for code in range(256) if not len(audible_samples(bytes([code]))))


class PlayOut:
    """One call's buffer at Twilio, and the ear behind it."""

    def __init__(self) -> None:
        self.ends_at = 0.0
        """When all that was received will have been played."""
        self.spells: deque[Spell] = deque(maxlen=_MAX_SPELLS)
        """When the bot is heard, in order; the last ones may lie ahead."""
        self.gaps: list[float] = []
        """Seconds of each hole in the bot's speech that came from a buffer run dry."""
        self.heard_seconds = 0.0
        """How much sound was received, pauses within a message included, less what was cleared."""
        self._ahead: deque[tuple[float, float]] = deque()
        self._marks: deque[tuple[float, str]] = deque()
        self._dry_seconds = 0.0
        self._is_broken_off = True

    @property
    def next_mark(self) -> float | None:
        """When the next mark will be reached; None if none waits."""
        return self._marks[0][0] if self._marks else None

    def queue(self, mulaw: bytes, now: float) -> bool:
        """Takes in a message's audio; False if it is discarded, since too much waits already."""
        begin = self.ends_at
        if begin < now:
            self._dry_seconds += now - begin
            begin = now
        if (begin - now) * SAMPLE_RATE + len(mulaw) > MAX_BUFFERED:
            return False
        self.ends_at = begin + len(mulaw) / SAMPLE_RATE
        quiet = len(mulaw) - len(mulaw.lstrip(_QUIET))
        if quiet < len(mulaw):
            loud_end = len(mulaw.rstrip(_QUIET))
            self._hear(begin + quiet / SAMPLE_RATE, begin + loud_end / SAMPLE_RATE, now)
        return True

    def clear(self, now: float) -> list[str]:
        """Forgets what lies ahead; gives the marks in it, which are all reached."""
        self.ends_at = min(self.ends_at, now)
        self._dry_seconds = 0.0
        self._is_broken_off = True
        ended = None
        while self._ahead and self._ahead[-1][1] > now:
            begin, end = self._ahead.pop()
            self.heard_seconds -= end - max(begin, now)
            if begin < now:
                ended = now
        if ended is None and self._ahead:
            ended = self._ahead[-1][1]
        self._ahead.clear()
        while self.spells and self.spells[-1].began_at >= now:
            self.spells.pop()
        if self.spells and ended is not None:
            self.spells[-1].ended_at = min(self.spells[-1].ended_at, ended)
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def mark(self, name: str) -> None:
        """Sets a mark behind all audio so far."""
        self._marks.append((self.ends_at, name))

    def start_counting(self) -> None:
        """Forgets the gaps, and how much was heard."""
        self.gaps.clear()
        self.heard_seconds = 0.0

    def take_reached(self, now: float) -> list[str]:
        """The marks reached by now, in order; each is given once."""
        names: list[str] = []
        while self._marks and self._marks[0][0] <= now:
            names.append(self._marks.popleft()[1])
        return names

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
        self.heard_seconds += end - begin
        last = None if self._is_broken_off or not self.spells else self.spells[-1]
        is_hole = self._dry_seconds > GAP_SECONDS
        if last is not None and is_hole and begin - last.ended_at < LONGEST_GAP:
            self.gaps.append(self._dry_seconds)
        self._dry_seconds = 0.0
        self._is_broken_off = False
        if last is not None and begin - last.ended_at < JOINING_PAUSE:
            last.ended_at = end
        else:
            self.spells.append(Spell(began_at=begin, ended_at=end))
