"""Where speech sounds, and how long its words do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw

__all__ = [
    "BLOCK",
    "SPEAKING_RATE",
    "SpeakingRate",
    "estimate_range",
    "letters_of",
    "loud_blocks",
    "sounding_bytes",
    "sounding_secs",
    "words_within",
]

BLOCK = 80
"""Samples that count as loud or silent together."""
_SILENT_BELOW = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingRate:
    """How fast voices speak that nobody has heard yet: the one estimate there is.

    A voice's own pace is learned: :class:`twilio_frames.processors.words.word_places.SpeechPace`.
    ``bench/word_places.py`` measures how near words are placed by it.

    Parameters:
        letter_bytes: A letter's sound, mu-law at 8 kHz, silence left out.
        digit_letters: How many letters a digit has where it is said.
        telling_letters: What has fewer tells little of a voice's pace.
        with_pauses: How much longer a letter may be of a slow voice, pauses included.
        quickest_share: How much of that letter's sound a voice takes where it is in a hurry.
        fastest_letter_bytes: A letter of the fastest voices, over their quickest sentence: 330 at
            220 words a minute, and a tenth less.
        doubt_share: How far off an estimate may be, in parts of it.
        doubt_bytes: And how far besides.
    """

    letter_bytes: float = 560.0
    digit_letters: int = 4
    telling_letters: int = 10
    with_pauses: float = 1.3
    quickest_share: float = 0.78
    fastest_letter_bytes: float = 300.0
    doubt_share: float = 0.15
    doubt_bytes: int = 800

    @property
    def slowest_letter_secs(self) -> float:
        """How long a letter lasts of a slow voice, pauses included."""
        return self.letter_bytes * self.with_pauses / SAMPLE_RATE

    @property
    def quickest_letter_secs(self) -> float:
        """How long a letter lasts of a voice in a hurry."""
        return self.letter_bytes * self.quickest_share / SAMPLE_RATE


SPEAKING_RATE = SpeakingRate()


def loud_blocks(mulaw: bytes) -> np.ndarray:
    """Which blocks of 10 ms, :data:`BLOCK` samples, hold sound; the last may be shorter."""
    samples = np.abs(np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.int32))
    whole = len(samples) // BLOCK * BLOCK
    loud = samples[:whole].reshape(-1, BLOCK).max(axis=1) > _SILENT_BELOW
    rest = samples[whole:]
    return np.append(loud, rest.max() > _SILENT_BELOW) if len(rest) else loud


def sounding_bytes(mulaw: bytes | bytearray) -> int:
    """How many bytes of mu-law are no silence, to a block."""
    return int(loud_blocks(bytes(mulaw)).sum()) * BLOCK


def sounding_secs(pcm: bytes, sample_rate: int) -> float:
    """How long 16-bit PCM is no silence, to a hundredth of a second."""
    samples = np.abs(np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype=np.int16).astype(np.int32))
    block = max(1, sample_rate // 100)
    whole = len(samples) // block * block
    return float((samples[:whole].reshape(-1, block).max(axis=1) > _SILENT_BELOW).sum()) / 100


def letters_of(word: str) -> int:
    """How many letters a word has where it is said: a digit has several; at least one."""
    return max(
        1, sum(SPEAKING_RATE.digit_letters if sign.isdigit() else sign.isalnum() for sign in word)
    )


def estimate_range(sounding: int) -> tuple[float, float]:
    """How much sound, by the estimate, words may take that took some; voices vary.

    Args:
        sounding: How much they took: bytes that are no silence.
    """
    share, most = 1 - SPEAKING_RATE.doubt_share, SPEAKING_RATE.doubt_bytes
    return sounding * share - most, (sounding + most) / share


def words_within(
    words: Iterable[str], sounding: int, *, bytes_a_letter: float = SPEAKING_RATE.letter_bytes
) -> int:
    """How many words have surely been said in some sound.

    Args:
        words: What was to be said.
        sounding: Bytes of what came that are no silence.
        bytes_a_letter: The pace of the voice.
    """
    least, _ = estimate_range(sounding)
    return sum(
        end <= least for end in accumulate(letters_of(word) * bytes_a_letter for word in words)
    )
