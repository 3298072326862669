"""Twilio's play-out buffer: what the bot has sent and the caller has not heard yet. Pure.

Theory of operation
-------------------
Audio is "buffered and played in the order received", 8000 bytes a second. So when a byte is heard
is known when it comes: behind what waits, or at once. :class:`PlaybackTimes` keeps these times, by
lengths alone; :class:`Playback` keeps the sound beside them, for an ear that fetches it in pieces.

The clock is passed in, counted in samples of the line: sample 8000 is one second after the answer.
Whatever happens to the buffer happens at one sample: audio that arrives in an empty buffer is heard
from the next one on, a ``clear`` cuts behind the last byte that has been heard whole.

A mark is reached "when the audio ends (or if there is no audio buffered)": at the sample at which
the last byte in front of it has been played. ``clear`` "empties all buffered audio and causes any
mark messages to be sent back", so all marks are reached at that sample.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE

MAX_BUFFERED = 10 * 60 * SAMPLE_RATE
"""Bytes that may wait; "more than 10 minutes of audio" are discarded (warning 31931)."""

MAX_MARKS = 100_000
"""Marks that may wait. Twilio documents no limit; this one only keeps memory finite."""

_SILENCE = bytes([MULAW_SILENCE])

Moment = TypeVar("Moment", int, float)
"""Samples of a line's clock, or seconds."""


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


class ReachedMark(NamedTuple, Generic[Moment]):
    """A mark that is to go back to the bot, and when it was reached."""

    name: str
    at: Moment


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

    @property
    def end_sample(self) -> int:
        """The sample behind its last."""
        return self.sample + self.end - self.begin

    def until(self, sample: int) -> "PlayedSpan":
        """What of it is heard before a sample that lies behind its first."""
        return replace(self, end=min(self.end, self.begin + sample - self.sample))


class PlaybackTimes(Generic[Moment]):
    """When each byte and each mark of one stream is played, on any one clock.

    Args:
        now: When it begins.
        per_byte: How long a byte is heard, by that clock.
    """

    def __init__(self, now: Moment, *, per_byte: Moment) -> None:
        self.now = now
        """The moment up to which has been played."""
        self.ends_at = now
        """When all that came will have been played."""
        self._per_byte = per_byte
        self._longest = MAX_BUFFERED * per_byte
        self._marks: deque[ReachedMark[Moment]] = deque()
        self._reached: list[ReachedMark[Moment]] = []

    @property
    def waiting(self) -> Moment:
        """How long what waits will be heard."""
        return max(self.ends_at, self.now) - self.now

    @property
    def next_mark(self) -> Moment | None:
        """When the next mark will be reached; None if none waits."""
        return self._marks[0].at if self._marks else None

    def advance(self, until: Moment) -> None:
        """Plays up to a moment; does nothing if it has been reached."""
        if until > self.now:
            self.now = until
            while self._marks and self._marks[0].at <= until:
                self._reached.append(self._marks.popleft())

    def add(self, size: int) -> Moment | None:
        """Appends audio of a length; gives when it is heard, or None if too much waits already."""
        begin = max(self.ends_at, self.now)
        end = begin + size * self._per_byte
        if end - self.now > self._longest:
            return None
        self.ends_at = end
        return begin

    def mark(self, name: str) -> None:
        """Sets a mark behind all audio so far."""
        if self.ends_at <= self.now:
            self._reached.append(ReachedMark(name, self.now))
        elif len(self._marks) < MAX_MARKS:
            self._marks.append(ReachedMark(name, self.ends_at))

    def clear(self) -> None:
        """Forgets all audio that waits; all marks are reached."""
        self.ends_at = min(self.ends_at, self.now)
        self._reached += [ReachedMark(mark.name, self.now) for mark in self._marks]
        self._marks.clear()

    def put_off(self, until: Moment) -> None:
        """Plays what waits from a later moment on."""
        later = until - self.now
        self.ends_at = until + self.waiting
        self._marks = deque(ReachedMark(mark.name, mark.at + later) for mark in self._marks)
        self.now = until

    def take_reached(self) -> list[ReachedMark[Moment]]:
        """The marks reached since this was last asked, in order."""
        reached, self._reached = self._reached, []
        return reached


class Playback:
    """The buffer of one stream, with its sound.

    Args:
        now: The sample at which its clock begins.
    """

    def __init__(self, *, now: int = 0) -> None:
        self._times = PlaybackTimes(now, per_byte=1)
        self._sound = bytearray()
        """From ``fetched`` on: what was heard, and behind it what waits."""
        self._clears: deque[int] = deque()
        self._spans: list[PlayedSpan] = []
        """The last may reach into what waits."""
        self.fetched = now
        """The sample up to which has been fetched."""
        self.received_bytes = 0
        self.cleared_bytes = 0
        self.discarded_bytes = 0
        self.advance = self._times.advance
        self.mark = self._times.mark
        self.take_reached = self._times.take_reached

    @property
    def buffered_bytes(self) -> int:
        """How much waits to be played."""
        return self._times.waiting

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits: all that was played has been heard to its end."""
        return not self._times.waiting

    @property
    def next_mark(self) -> int | None:
        """The sample at which the next mark will be reached; None if none waits."""
        return self._times.next_mark

    @property
    def spans(self) -> list[PlayedSpan]:
        """What was heard, in order. Audio that was discarded has no place in it."""
        now = self._times.now
        return [span.until(now) for span in self._spans if span.sample < now]

    def join(self, now: int) -> None:
        """Is heard from this sample on; what was not fetched before it never was."""
        waiting = self.buffered_bytes
        self._cut_spans()
        self._times.put_off(now)
        del self._sound[: len(self._sound) - waiting]
        self._clears.clear()
        self.fetched = now
        self._note_span(self.received_bytes - waiting, waiting, now)

    def queue(self, audio: bytes) -> bool:
        """Appends audio; False if it was discarded, since too much waits already."""
        begin = self._times.add(len(audio))
        if begin is None:
            self.discarded_bytes += len(audio)
            return False
        self._sound += _SILENCE * (begin - self.fetched - len(self._sound))
        self._sound += audio
        self._note_span(self.received_bytes, len(audio), begin)
        self.received_bytes += len(audio)
        return True

    def clear(self) -> None:
        """Forgets all audio that waits; all marks are reached."""
        self._clears.append(self._times.now)
        self.cleared_bytes += self.buffered_bytes
        self._times.clear()
        del self._sound[self._times.now - self.fetched :]
        self._cut_spans()

    def play(self, size: int) -> Played:
        """Fetches the next ``size`` bytes that were heard."""
        begin, end = self.fetched, self.fetched + size
        self._times.advance(end)
        self.fetched = end
        audio = bytes(self._sound[:size]).ljust(size, _SILENCE)
        del self._sound[:size]
        cleared_at: list[int] = []
        while self._clears and self._clears[0] < end:
            cleared_at.append(self._clears.popleft() - begin)
        return Played(
            audio=audio, from_bot=self._from_bot(begin, end), cleared_at=tuple(cleared_at)
        )

    def _note_span(self, begin: int, size: int, sample: int) -> None:
        if not size:
            return
        last = self._spans[-1] if self._spans else None
        if last and last.end == begin and last.end_sample == sample:
            last.end += size
        else:
            self._spans.append(PlayedSpan(begin=begin, end=begin + size, sample=sample))

    def _cut_spans(self) -> None:
        """Takes out of the spans what has not been heard."""
        if self._spans and self._spans[-1].end_sample > self._times.now:
            last = self._spans.pop()
            if last.sample < self._times.now:
                self._spans.append(last.until(self._times.now))

    def _from_bot(self, begin: int, end: int) -> int:
        """How many bytes heard between two samples were the bot's."""
        count = 0
        for span in reversed(self._spans):
            if span.end_sample <= begin:
                break
            count += max(0, min(end, span.end_sample) - max(begin, span.sample))
        return count
