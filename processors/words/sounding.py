"""Where speech sounds, and how long its words do. Pure."""

from collections.abc import Iterable
from itertools import accumulate

import numpy as np

from twilio_frames.audio import decode_mulaw

__all__ = [
    "BLOCK",
    "BYTES_A_LETTER",
    "DIGIT_LETTERS",
    "estimate_range",
    "letters_of",
    "loud_blocks",
    "sounding_bytes",
    "sounding_secs",
    "words_within",
]

BLOCK = 80
"""Samples that count as loud or silent together."""
BYTES_A_LETTER = 560.0
"""About so long is a letter of a voice that is not known: mu-law at 8 kHz, silence left out."""
_SILENT_BELOW = 250
DIGIT_LETTERS = 4
"""How many letters a digit has where it is said, about."""
_DOUBT = 0.15
_DOUBTFUL_BYTES = 800


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
    return max(1, sum(DIGIT_LETTERS if sign.isdigit() else sign.isalnum() for sign in word))


def estimate_range(sounding: int) -> tuple[float, float]:
    """How much sound, by the estimate, words may take that took some; voices vary.

    Args:
        sounding: How much they took: bytes that are no silence.
    """
    return sounding * (1 - _DOUBT) - _DOUBTFUL_BYTES, (sounding + _DOUBTFUL_BYTES) / (1 - _DOUBT)


def words_within(
    words: Iterable[str], sounding: int, *, bytes_a_letter: float = BYTES_A_LETTER
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
