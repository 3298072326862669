"""What can be measured at the caller's ear once a call is over: holes and silence. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.testing.callers.ear import JOINING_PAUSE
from twilio_frames.testing.callers.voice import audible_samples


@dataclass(frozen=True, slots=True)
class _Gaps:
    """What counts as a hole in the bot's speech."""

    # A shorter one is the grain of the clocks.
    shortest_secs: float = 0.01
    # After a longer one the bot has begun anew.
    longest_secs: float = 1.0
    # There must be sound in 60 ms beside it for it to be in mid-speech.
    edge: int = 480


_GAPS = _Gaps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of time.

    Parameters:
        began_at: Seconds from the answer.
        seconds: How long it lasts.
    """

    began_at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardSpan:
    """A stretch of the bot's audio that the caller heard without a break.

    Byte *n* of it was heard from ``began_at + (n - begin) / 8000`` on.

    Parameters:
        begin: Its first byte, counted over all the audio of all the media messages that the bot
            sent on the stream.
        end: The byte behind its last.
        began_at: Seconds from the answer to its beginning.
        stream: Which of the call's streams, from 0.
    """

    begin: int
    end: int
    began_at: float
    stream: int = 0

    @property
    def ended_at(self) -> float:
        """Seconds from the answer to its end."""
        return self.began_at + (self.end - self.begin) / SAMPLE_RATE


def gaps(spans: Sequence[HeardSpan], heard: bytes) -> tuple[Stretch, ...]:
    """Holes in the middle of the bot's speech: its audio came too late.

    A hole is one if the bot sent nothing else for it and was audible right before and right after;
    a pause between two sentences is none, for there the sound has ended.

    Args:
        spans: What was heard.
        heard: All that was played to the caller, mu-law; empty if it was not kept. Then a hole
            counts if it is no longer than a pause between words.
    """
    return tuple(hole for hole in _holes(spans) if _is_in_speech(hole, heard))


def _holes(spans: Sequence[HeardSpan]) -> Iterator[Stretch]:
    for before, after in pairwise(spans):
        seconds = after.began_at - before.ended_at
        is_same_speech = before.stream == after.stream and before.end == after.begin
        if is_same_speech and _GAPS.shortest_secs <= seconds < _GAPS.longest_secs:
            yield Stretch(began_at=before.ended_at, seconds=seconds)


def _is_in_speech(hole: Stretch, heard: bytes) -> bool:
    if not heard:
        return hole.seconds < JOINING_PAUSE
    begin = round(hole.began_at * SAMPLE_RATE)
    end = begin + round(hole.seconds * SAMPLE_RATE)
    before, after = (
        heard[max(0, begin - _GAPS.edge) : begin],
        heard[end : end + _GAPS.edge],
    )
    return bool(len(audible_samples(before)) and len(audible_samples(after)))


def silences(speech: Sequence[tuple[float, float]], seconds: float) -> tuple[Stretch, ...]:
    """The stretches in which nobody spoke, from the answer to the end of the call.

    Args:
        speech: Beginning and end of each side's turns, in any order.
        seconds: How long the call lasted.
    """
    found: list[Stretch] = []
    until = 0.0
    for begin, end in [*sorted(speech), (seconds, seconds)]:
        if begin > until:
            found.append(Stretch(began_at=until, seconds=begin - until))
        until = max(until, end)
    return tuple(found)
