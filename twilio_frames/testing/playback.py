"""Twilio's play-out buffer: what the bot has sent and the caller has not heard yet. Pure.

Theory of operation
-------------------
Audio is "buffered and played in the order received", 8000 bytes a second. The line takes it out
by :meth:`Playback.play`, a piece at a time: what a call of ``play`` hands out is being heard until
the next call, so the number of bytes taken is the clock, and no other is read here.

A mark is reached "when the audio ends (or if there is no audio buffered)", that is when the last
byte in front of it has been handed out *and* played: at the next ``play``. ``clear`` "empties all
buffered audio and causes any mark messages to be sent back", so all marks are reached at once. The
piece that is being heard at that moment is out of reach.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from collections import deque
from dataclasses import dataclass

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE

MAX_BUFFERED = 10 * 60 * SAMPLE_RATE
"""Bytes that may wait; "more than 10 minutes of audio" are discarded (warning 31931)."""

MAX_MARKS = 100_000
"""Marks that may wait. Twilio documents no limit; this one only keeps memory finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What one turn of the clock plays.

    Parameters:
        audio: As many bytes as were asked for, filled up with silence.
        from_bot: How many of them the bot had sent.
        follows_clear: Whether the bot has cleared audio since the turn before.
        marks: Names of the marks reached before this audio, in the order they were set.
    """

    audio: bytes
    from_bot: int
    follows_clear: bool = False
    marks: tuple[str, ...] = ()


class Playback:
    """The buffer of one stream."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._is_sounding = False
        self._was_cleared = False
        self._end = 0
        self.played_bytes = 0
        self.cleared_bytes = 0
        self.discarded_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """How much waits to be played."""
        return len(self._audio)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and all that was played has been heard to its end."""
        return not self._audio and not self._is_sounding

    def queue(self, audio: bytes) -> bool:
        """Appends audio; False if it was discarded, since too much waits already."""
        if len(self._audio) + len(audio) > MAX_BUFFERED:
            self.discarded_bytes += len(audio)
            return False
        self._audio += audio
        self._end += len(audio)
        return True

    def mark(self, name: str) -> bool:
        """Sets a mark behind all audio so far; True if it is reached at once."""
        if self.is_idle:
            return True
        if len(self._marks) < MAX_MARKS:
            self._marks.append((self._end, name))
        return False

    def clear(self) -> tuple[str, ...]:
        """Forgets all audio that waits; gives the names of all marks, in order."""
        self._was_cleared = True
        self.cleared_bytes += len(self._audio)
        self._end -= len(self._audio)
        self._audio.clear()
        names = tuple(name for _, name in self._marks)
        self._marks.clear()
        return names

    def play(self, size: int) -> Played:
        """Plays the next ``size`` bytes; what was played before them has been heard."""
        marks: list[str] = []
        while self._marks and self._marks[0][0] <= self.played_bytes:
            marks.append(self._marks.popleft()[1])
        audio = bytes(self._audio[:size])
        del self._audio[:size]
        self.played_bytes += len(audio)
        self._is_sounding = bool(audio)
        silence = bytes([MULAW_SILENCE]) * (size - len(audio))
        follows_clear, self._was_cleared = self._was_cleared, False
        return Played(
            audio=audio + silence,
            from_bot=len(audio),
            follows_clear=follows_clear,
            marks=tuple(marks),
        )
