"""A sentence, and the windows that the model takes of it."""

from functools import cache

import numpy as np

from twilio_frames.audio import Resampler
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.silero_model import WINDOW

__all__ = ["spoken_sentence", "windows"]


@cache
def spoken_sentence() -> bytes:
    """Silence, a sentence, silence: 16-bit PCM at 8 kHz."""
    spoken = Synthesiser("en-us+f2").synthesise("I would like a large latte please.")
    resampler = Resampler(spoken.sample_rate, 8000)
    return bytes(8000) + resampler.resample(spoken.pcm) + resampler.flush() + bytes(24000)


def windows(pcm: bytes) -> list[np.ndarray]:
    samples = np.frombuffer(pcm, dtype=np.int16)
    return [samples[n : n + WINDOW] for n in range(0, len(samples) - WINDOW + 1, WINDOW)]
