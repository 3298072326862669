"""What a simulated Realtime model answers: speech whose words are known to the byte, or a call."""

import itertools
import zlib
from dataclasses import dataclass, field

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw, mulaw_silence
from twilio_frames.testing.vendors.function_call import FunctionCall


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word, and where its sound lies in its reply's audio.

    Parameters:
        text: The word as it stands in the text.
        begin: Its first byte.
        end: The byte behind its last; the pause that follows is not in it.
    """

    text: str = field(repr=False)
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenReply:
    """Something the model says.

    Parameters:
        words: Its words, in order.
        mulaw: Its audio.
    """

    words: tuple[SpokenWord, ...]
    mulaw: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "SpokenReply":
        """A made-up voice: each word a tone of its own, as long as its letters take to say.

        There is noise in it, so that no moment of it sounds like any other.
        """
        words: list[SpokenWord] = []
        audio = b""
        for number, word in enumerate(text.split()):
            sound = _sound(word, number)
            words.append(SpokenWord(text=word, begin=len(audio), end=len(audio) + len(sound)))
            audio += sound + mulaw_silence(0.06)
        return cls(words=tuple(words), mulaw=audio)

    @property
    def text(self) -> str:
        """What is said."""
        return " ".join(word.text for word in self.words)

    def said_before(self, position: int) -> list[str]:
        """The words whose sound has ended at a place in the audio."""
        return [word.text for word in self.words if word.end <= position]

    def steps(self, size: int) -> list[tuple[str, bytes]]:
        """The audio in pieces, each with the words that begin in it, their blanks in front.

        Without audio the words come all the same.

        Args:
            size: Bytes of audio in each piece but the last.
        """
        starts = range(0, max(1, len(self.mulaw)), size)
        begun = itertools.groupby(enumerate(self.words), lambda one: one[1].begin // size)
        texts = {
            index: "".join(f" {word.text}" if number else word.text for number, word in group)
            for index, group in begun
        }
        return [(texts.get(at // size, ""), self.mulaw[at : at + size]) for at in starts]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReply:
    """A response that comes to nothing.

    Parameters:
        code: OpenAI's name of the reason: ``server_error``, ``rate_limit_exceeded``,
            ``insufficient_quota`` …
        message: What OpenAI says about it.
    """

    code: str = "server_error"
    message: str = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True, kw_only=True)
class CutReply:
    """A response that ends well and is not whole.

    Parameters:
        spoken: What is said of it.
        reason: OpenAI's name of the reason: ``content_filter`` or ``max_output_tokens``.
    """

    spoken: SpokenReply
    reason: str = "content_filter"


Reply = str | SpokenReply | FunctionCall | FailedReply | CutReply
"""What the model answers; a text is spoken, see :meth:`SpokenReply.of`."""


def _sound(word: str, number: int) -> bytes:
    letters = max(2, sum(map(str.isalnum, word)))
    time = np.arange(round(letters * 0.065 * SAMPLE_RATE)) / SAMPLE_RATE
    random = np.random.default_rng(zlib.crc32(f"{number}{word}".encode()))
    tone = np.sin(2 * np.pi * random.uniform(150, 600) * time)
    wave = 7000 * (tone + 0.2 * random.standard_normal(len(time)))
    return encode_mulaw(wave.astype(np.int16).tobytes())
