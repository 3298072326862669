"""Twilio's play-out buffer: what the bot has sent and the caller has not heard yet. Pure.

Theory of operation
-------------------
Audio is "buffered and played in the order received", 8000 bytes a second. The clock is passed in,
counted in samples of the line: sample 8000 is one second after the answer. Whatever happens to the
buffer happens at one sample: audio that arrives in an empty buffer is heard from the next one on, a
``clear`` cuts behind the last byte that has been heard whole.

Two hands move the clock. :meth:`Playback.advance` plays up to a sample, since a message has arrived
or a mark is due; :meth:`Playback.play` fetches what the ear has heard, a piece at a time, and plays
as far as it must for that.

A mark is reached "when the audio ends (or if there is no audio buffered)": at the sample at which
the last byte in front of it has been played. ``clear`` "empties all buffered audio and causes any
mark messages to be sent back", so all marks are reached at that sample.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE

MAX_BUFFERED = 10 * 60 * SAMPLE_RATE
"""Bytes that may wait; "more than 10 minutes of audio" are discarded (warning 31931)."""

MAX_MARKS = 100_000
"""Marks that may wait. Twilio documents no limit; this one only keeps memory finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was heard in some stretch of time.

    Parameters:
        audio: As many bytes as were asked for, silence where the buffer was empty.
        from_bot: How many of them the bot had sent.
        cleared_at: Where in ``audio`` a ``clear`` of the bot's took effect.
    """

    audio: bytes
    from_bot: int
    cleared_at: tuple[int, ...] = ()


class ReachedMark(NamedTuple):
    """A mark that is to go back to the bot, and the sample at which it was reached."""

    name: str
    sample: int


@dataclass(slots=True)
class PlayedSpan:
    """Audio of the bot's that was heard without a break.

    Parameters:
        begin: Its first byte, counted over all audio that came over the stream.
        end: The byte behind its last.
        sample: When the first was heard, in samples of the line's clock.
    """

    begin: int
    end: int
    sample: int


class Playback:
    """The buffer of one stream.

    Args:
        now: The sample at which its clock begins.
    """

    def __init__(self, *, now: int = 0) -> None:
        self._audio = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._reached: list[ReachedMark] = []
        self._heard = bytearray()
        self.fetched = now
        """The sample up to which has been fetched."""
        self._clears: deque[int] = deque()
        self.now = now
        """The sample up to which has been played."""
        self.received_bytes = 0
        self.cleared_bytes = 0
        self.discarded_bytes = 0
        self.spans: list[PlayedSpan] = []
        """What was heard, in order. Audio that was discarded has no place in it."""

    @property
    def buffered_bytes(self) -> int:
        """How much waits to be played."""
        return len(self._audio)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits: all that was played has been heard to its end."""
        return not self._audio

    @property
    def next_mark(self) -> int | None:
        """The sample at which the next mark will be reached; None if none waits."""
        return self.now + self._marks[0][0] - self._front if self._marks else None

    @property
    def _front(self) -> int:
        """The byte that is played next, counted over all of the stream."""
        return self.received_bytes - len(self._audio)

    def join(self, now: int) -> None:
        """Is heard from this sample on; what was not fetched before it never was."""
        self._heard.clear()
        self._clears.clear()
        self.now = self.fetched = now

    def queue(self, audio: bytes) -> bool:
        """Appends audio; False if it was discarded, since too much waits already."""
        if len(self._audio) + len(audio) > MAX_BUFFERED:
            self.discarded_bytes += len(audio)
            return False
        self._audio += audio
        self.received_bytes += len(audio)
        return True

    def mark(self, name: str) -> None:
        """Sets a mark behind all audio so far."""
        if self.is_idle:
            self._reached.append(ReachedMark(name, self.now))
        elif len(self._marks) < MAX_MARKS:
            self._marks.append((self.received_bytes, name))

    def clear(self) -> None:
        """Forgets all audio that waits; all marks are reached."""
        self._clears.append(self.now)
        self.cleared_bytes += len(self._audio)
        self._audio.clear()
        self._reached += [ReachedMark(name, self.now) for _, name in self._marks]
        self._marks.clear()

    def advance(self, until: int) -> None:
        """Plays up to a sample; does nothing if it has been reached."""
        size = until - self.now
        if size <= 0:
            return
        front = self._front
        audio = self._audio[:size]
        del self._audio[:size]
        self._note_heard(front, len(audio))
        while self._marks and self._marks[0][0] <= front + len(audio):
            position, name = self._marks.popleft()
            self._reached.append(ReachedMark(name, self.now + position - front))
        self._heard += audio
        self._heard += bytes([MULAW_SILENCE]) * (size - len(audio))
        self.now = until

    def take_reached(self) -> list[ReachedMark]:
        """The marks reached since this was last asked, in order."""
        reached, self._reached = self._reached, []
        return reached

    def play(self, size: int) -> Played:
        """Fetches the next ``size`` bytes that were heard."""
        begin, end = self.fetched, self.fetched + size
        self.advance(end)
        self.fetched = end
        audio = bytes(self._heard[:size])
        del self._heard[:size]
        cleared_at: list[int] = []
        while self._clears and self._clears[0] < end:
            cleared_at.append(self._clears.popleft() - begin)
        return Played(
            audio=audio, from_bot=self._from_bot(begin, end), cleared_at=tuple(cleared_at)
        )

    def _note_heard(self, front: int, size: int) -> None:
        if not size:
            return
        last = self.spans[-1] if self.spans else None
        if last and last.end == front and last.sample + last.end - last.begin == self.now:
            last.end += size
        else:
            self.spans.append(PlayedSpan(begin=front, end=front + size, sample=self.now))

    def _from_bot(self, begin: int, end: int) -> int:
        """How many bytes heard between two samples were the bot's."""
        count = 0
        for span in reversed(self.spans):
            span_end = span.sample + span.end - span.begin
            if span_end <= begin:
                break
            count += max(0, min(end, span_end) - max(begin, span.sample))
        return count
