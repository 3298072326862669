"""Speech: samples, and the words in them with their times. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twilio_frames.audio import Resampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word as it stands in the text, punctuation included.

    Args:
        text: Never empty, and without blanks.
        start: Seconds from the first sample of the speech it is in.
        end: Seconds from there to where its sound ends; a pause after it is not in it.
    """

    text: str
    start: float
    end: float

    def moved(self, seconds: float) -> "Word":
        """The same word, later by so much."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """What a text sounds like.

    Args:
        pcm: Signed 16-bit native-endian mono samples.
        sample_rate: Hz.
        words: In order; joined by blanks they are the text, but for what cannot be said.
    """

    pcm: bytes
    sample_rate: int
    words: tuple[Word, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / (2 * self.sample_rate)

    def resampled(self, sample_rate: int) -> "Speech":
        """The same speech at another rate."""
        resampler = Resampler(self.sample_rate, sample_rate)
        pcm = resampler.resample(self.pcm) + resampler.flush()
        return Speech(pcm=pcm, sample_rate=sample_rate, words=self.words)


def joined(parts: Sequence[Speech], *, sample_rate: int) -> Speech:
    """One speech out of many of the same rate, one after another."""
    words: list[Word] = []
    before = 0.0
    for part in parts:
        words += [word.moved(before) for word in part.words]
        before += part.seconds
    pcm = b"".join(part.pcm for part in parts)
    return Speech(pcm=pcm, sample_rate=sample_rate, words=tuple(words))
