"""What Whisper hears of sound: the logarithm of its energy in mel bands, 100 times a second. Pure.

As in OpenAI's reference implementation: windows of 25 ms, Slaney's mel scale, 80 dB of range. There
the sound is always made 30 s long; here it is as long as it is asked for, which costs that much
less.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["SAMPLE_RATE", "log_mel"]

SAMPLE_RATE = 16_000
"""Hz. Whisper knows no other."""

Floats = npt.NDArray[np.float32]

_FRAME = 400
_STEP = 160
_FRAMES_PER_SECOND = SAMPLE_RATE // _STEP
# Slaney's scale: 200/3 Hz a mel up to 1000 Hz, from there on 27 mels for a factor of 6.4.
_HERTZ_PER_MEL, _KNEE_HERTZ, _KNEE_MEL, _LOG_STEP = 200 / 3, 1000.0, 15.0, np.log(6.4) / 27


def log_mel(samples: Floats, *, secs: float, bands: int) -> Floats:
    """The features of sound that silence fills up.

    Args:
        samples: 16 kHz, from -1 to 1.
        secs: How long the sound is made; what is longer is cut.
        bands: How many bands the model hears.

    Returns:
        Shape (bands, 100 for each second).
    """
    frames = round(secs * _FRAMES_PER_SECOND)
    whole = np.zeros(frames * _STEP, np.float32)
    kept = samples[: len(whole)]
    whole[: len(kept)] = kept
    padded = np.pad(whole, _FRAME // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_STEP][:frames]
    energy = np.abs(np.fft.rfft(windows * _window())) ** 2
    levels = np.log10(np.maximum(_filters(bands) @ energy.T.astype(np.float32), 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)
    return np.ascontiguousarray((levels + 4.0) / 4.0, np.float32)


@cache
def _window() -> Floats:
    return np.hanning(_FRAME + 1)[:-1].astype(np.float32)


@cache
def _filters(bands: int) -> Floats:
    """Triangles over the frequencies of a spectrum, one a band, each of the same area."""
    highest = SAMPLE_RATE / 2
    last = _KNEE_MEL + np.log(highest / _KNEE_HERTZ) / _LOG_STEP
    mels = np.linspace(0.0, last, bands + 2)
    curved = _KNEE_HERTZ * np.exp((mels - _KNEE_MEL) * _LOG_STEP)
    edges = np.where(mels < _KNEE_MEL, mels * _HERTZ_PER_MEL, curved)
    hertz = np.linspace(0.0, highest, _FRAME // 2 + 1)
    low, middle, high = (edges[first : first + bands, None] for first in range(3))
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return (np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)).astype(np.float32)
