"""Speech whose words are known to the byte: what a stand-in for a vendor says. Pure.

Each word is a burst of its own, 0.2 to 0.4 s, unlike every other word's at each of its bytes. So
the audio that reached an ear says by itself which words were heard, in whole or in part, and how
often, whatever became of it on the way. What callers say to a server, each word unlike itself when
it is said again, is in :mod:`twilio_frames.testing.vendors.word_sounds`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE, Resampler, encode_mulaw
from twilio_frames.errors import brought_by

LOUD_CODES = np.array([code for code in range(256) if code & 0x7F < 0x40], dtype=np.uint8)
"""Both signs of the louder half of the mu-law scale: no code among them is silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidWord:
    """A word as it is said.

    Parameters:
        text: The bare word.
        written: As it stands in the text.
        mulaw: Its sound.
        pause: Bytes of silence behind it.
    """

    text: str
    written: str
    mulaw: bytes = field(repr=False)
    pause: int = 0

    @property
    def size(self) -> int:
        """Bytes it takes, the pause included."""
        return len(self.mulaw) + self.pause


WordVoice = Callable[[str], bytes]
"""What a word sounds like, mu-law."""

TextVoice = Callable[[str], Sequence[SaidWord]]
"""What a text sounds like, word by word."""


@lru_cache(maxsize=4096)
def burst(word: str) -> bytes:
    """A burst of noise that only this word has, mu-law."""
    source = np.random.default_rng(list(word.encode()))
    size = int(source.integers(round(0.2 * SAMPLE_RATE), round(0.4 * SAMPLE_RATE)))
    return source.choice(LOUD_CODES, size).tobytes()


def said(text: str, voice: WordVoice = burst) -> list[SaidWord]:
    """The words of a text as they are said: each alike wherever it stands; a pause at a comma."""
    words: list[SaidWord] = []
    for written in text.split():
        bare = bare_word(written)
        pause = round(0.25 * SAMPLE_RATE) if written.endswith(",") else 0
        words.append(SaidWord(text=bare, written=written, mulaw=voice(bare), pause=pause))
    return words


def sound(words: Sequence[SaidWord]) -> bytes:
    """What the words sound like in a row, mu-law."""
    silence = bytes([MULAW_SILENCE])
    return b"".join(word.mulaw + silence * word.pause for word in words)


def bare_word(written: str) -> str:
    """A word without its punctuation and capitals."""
    return re.sub(r"[\W_]", "", written.lower())


class VaryingVoice:
    """A voice that never says a text twice alike, as generated voices do.

    Each time the sounds are others, and the pace is up to a twelfth quicker or slower. A word takes
    as long as its letters do, about. There are pauses at commas, and breaths if it takes any.

    Args:
        seed: Says how it varies.
        breaths: Behind which share of the other words it takes a breath, of 0.13 to 0.35 s.
    """

    def __init__(self, seed: int = 0, *, breaths: float = 0.0):
        self._chance = np.random.default_rng(seed)
        self._breaths = breaths

    def __call__(self, text: str) -> list[SaidWord]:
        """How a text sounds this time."""
        pace = 0.07 * self._chance.uniform(11 / 12, 13 / 12)
        words: list[SaidWord] = []
        for word in said(text, lambda _: b""):
            length = pace * max(2, len(word.text)) * self._chance.uniform(0.9, 1.1)
            sound = self._chance.choice(LOUD_CODES, round(length * SAMPLE_RATE)).tobytes()
            words.append(replace(word, mulaw=sound, pause=word.pause or self._breath()))
        return words

    def _breath(self) -> int:
        if not self._breaths or self._chance.random() >= self._breaths:
            return 0
        return round(self._chance.uniform(0.13, 0.35) * SAMPLE_RATE)


def espeak_voice(name: str = "en-us+klatt3", *, words_per_minute: int = 165) -> TextVoice:
    """A voice that people understand, and recognisers. It blocks while it makes its speech.

    Args:
        name: espeak-ng's name of a language, and a variant of it.
        words_per_minute: Speed, 80 to 450.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
    """
    with brought_by("local"):
        from twilio_frames.local.synthesiser import Synthesiser
    synthesiser = Synthesiser(name, words_per_minute=words_per_minute)

    def say(text: str) -> list[SaidWord]:
        speech = synthesiser.synthesise(text)
        resampler = Resampler(speech.sample_rate, SAMPLE_RATE)
        mulaw = encode_mulaw(resampler.resample(speech.pcm) + resampler.flush())
        begins = [round(word.start * SAMPLE_RATE) for word in speech.words]
        begins[:1] = [0]
        ends = [*begins[1:], len(mulaw)]
        return [
            SaidWord(text=bare_word(word.text), written=word.text, mulaw=mulaw[begin:end])
            for word, begin, end in zip(speech.words, begins, ends, strict=False)
        ]

    return say
