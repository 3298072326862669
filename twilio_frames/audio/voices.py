"""What a synthetic voice is for the telephone: its level, and what it can read out. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL_FRAME_SECS", "frame_levels", "gain_for", "levelled", "speakable"]

Samples = npt.NDArray[np.int16]

LEVEL_FRAME_SECS = 0.01
"""Levels are measured over so long."""


@dataclass(frozen=True, slots=True)
class _Level:
    """What a voice is brought to: levels of 16-bit samples."""

    spoken: float = 32768 * 10 ** (-20 / 20)
    """The level while it is spoken: -20 dB of full scale, as is usual on a telephone."""
    peak: float = 32768 * 10 ** (-6 / 20)
    """What no sample exceeds: -6 dB."""
    knee: float = 32768 * 10 ** (-11 / 20)
    """From here on samples are bent: -11 dB."""


_LEVEL = _Level()


def gain_for(pcm: bytes, *, sample_rate: int) -> float:
    """The factor that brings a voice to -20 dBFS while it speaks; 1 for silence.

    Args:
        pcm: Some seconds of the voice; pauses do not count.
        sample_rate: Hz.
    """
    frame = round(sample_rate * LEVEL_FRAME_SECS)
    levels = frame_levels(np.frombuffer(pcm, dtype=np.int16), frame)
    spoken = levels[levels > 0.05 * levels.max(initial=0.0)]
    return _LEVEL.spoken / float(np.sqrt(np.mean(spoken**2))) if len(spoken) else 1.0


def levelled(samples: npt.NDArray[np.int16] | npt.NDArray[np.float32], gain: float) -> Samples:
    """The samples times a factor, those that would be too loud bent to stay under -6 dBFS."""
    louder = samples.astype(np.float32) * gain
    size = np.abs(louder)
    room = _LEVEL.peak - _LEVEL.knee
    bent = _LEVEL.knee + room * np.tanh((size - _LEVEL.knee) / room)
    return np.where(size > _LEVEL.knee, np.copysign(bent, louder), louder).astype(np.int16)


def frame_levels(samples: Samples, frame: int) -> npt.NDArray[np.float64]:
    """The level of each frame of so many samples; a rest is left out."""
    whole = samples[: len(samples) // frame * frame].astype(np.float64).reshape(-1, frame)
    return np.sqrt(np.mean(whole**2, axis=1))


def speakable(text: str) -> str:
    """The text with a blank in place of each character that cannot be read out.

    Those are control characters (one of them would be a command to espeak-ng), lone surrogates,
    and emoji (whose names it would say).
    """
    return "".join(" " if _unspeakable(ord(character)) else character for character in text)


def _unspeakable(code: int) -> bool:
    return (
        (code < 0x20 and code != 0x0A)
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0x2600 <= code < 0x27C0
        or code in (0x200D, 0xFE0F)
        or code >= 0x1F000
    )
