"""Features of telephone speech for an acoustic model that was made from wide-band speech.

The model of pocketsphinx's wheel listens to 25 mel bands from 130 Hz to 6.8 kHz. A telephone line
carries the lower 19 of them. Resampling to 16 kHz would leave the upper six empty, which the model
has never seen in speech; here they are left out instead, and what they would have added to the
features is guessed from the lower ones, by a linear map fitted once (``telephone_band.py``).

Up to there this computes what pocketsphinx's own front end computes with the model's settings
(``feat.params`` in its folder), its noise removal included, and at 8 kHz directly.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from twilio_frames.local.recognition.telephone_band import BAND_MAP

__all__ = ["FRAMES_PER_SECOND", "TELEPHONE_BANDS", "cepstra", "log_bands", "telephone_cepstra"]

FRAMES_PER_SECOND = 100
TELEPHONE_BANDS = 19
"""How many of the model's bands end below 4.2 kHz, with their middle inside the telephone's."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Model:
    """What the model of pocketsphinx's wheel was made with: ``feat.params`` in its folder."""

    bands: int = 25
    """Mel bands."""
    cepstra: int = 13
    """Values for each hundredth of a second."""
    rate: int = 16000
    """Samples a second."""
    fft: int = 512
    """Points of the Fourier transform at that rate."""
    window_secs: float = 0.025625
    """Length of the sound behind each row."""
    preemphasis: float = 0.97
    """Share of the sample before that is taken off each sample."""
    lifter: int = 22
    """How much more the higher cepstra count."""
    log_floor: float = 1e-4
    """Added ahead of the logarithm, so that silence has one."""


_MODEL = _Model()

_LOWEST_HERTZ, _HIGHEST_HERTZ = 130.0, 6800.0
_AROUND_SPEECH = FRAMES_PER_SECOND // 2


def telephone_cepstra(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """The features of one whole utterance heard over the telephone.

    Args:
        samples: 8 kHz mono, from before the first word to after the last one.

    Returns:
        13 cepstra for each hundredth of a second; none if there is less than one window of sound.
    """
    bands = log_bands(samples, 8000)
    if not len(bands):
        return np.empty((0, _MODEL.cepstra), np.float32)
    return _without_colour(bands @ np.asarray(BAND_MAP)).astype(np.float32)


def _without_colour(features: Floats) -> Floats:
    """Takes off what all frames have in common: the line's, the handset's and the voice's colour.

    The model had the mean of whole recordings taken off, with little silence in them. So the mean
    is that of the speech and half a second around it, and since an utterance of one word is mostly
    silence even then, half of what is taken off is the mean of the louder frames alone.
    """
    for _ in range(2):
        loud = _is_loud(features)
        reach = np.convolve(loud, np.ones(2 * _AROUND_SPEECH + 1))[_AROUND_SPEECH:]
        features = features - features[reach[: len(loud)] > 0].mean(0)
    return features - features[_is_loud(features)].mean(0) / 2


def _is_loud(features: Floats) -> npt.NDArray[np.bool_]:
    # Not less than the mean, but for rounding: in digital silence every frame is.
    return features[:, 0] > features[:, 0].mean() - 1e-6


def cepstra(bands: Floats) -> Floats:
    """The model's cepstra of all 25 bands, as pocketsphinx computes them."""
    return bands @ _cosines()


def log_bands(samples: npt.ArrayLike, sample_rate: int) -> Floats:
    """The logarithm of each band's energy, with steady noise removed.

    Args:
        samples: 16-bit values, mono.
        sample_rate: 16000, or 8000 for the telephone's bands alone.

    Returns:
        One row of 25 bands, or of ``TELEPHONE_BANDS``, for each hundredth of a second.
    """
    bands = _MODEL.bands if sample_rate == _MODEL.rate else TELEPHONE_BANDS
    spectra = _spectra(np.asarray(samples, np.float64), sample_rate)
    energies = spectra @ _filters(sample_rate)[:bands].T
    return np.log(_without_noise(energies) + _MODEL.log_floor)


def _spectra(samples: Floats, sample_rate: int) -> Floats:
    """Power spectra, scaled to what a 16 kHz recording would have had."""
    size = round(_MODEL.window_secs * sample_rate)
    fft_size = _MODEL.fft * sample_rate // _MODEL.rate
    if len(samples) < size:
        return np.empty((0, fft_size // 2 + 1))
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)
    frames = windows[:: sample_rate // FRAMES_PER_SECOND] * np.hamming(size)
    power = np.asarray(np.abs(np.fft.rfft(frames, fft_size)) ** 2, np.float64)
    return power * _preemphasis(sample_rate) * (_MODEL.rate / sample_rate) ** 2


@cache
def _preemphasis(sample_rate: int) -> Floats:
    """What the model's pre-emphasis, a filter at 16 kHz, does to each point of a spectrum."""
    turn = np.exp(-2j * np.pi * _frequencies(sample_rate) / _MODEL.rate)
    return np.abs(1 - _MODEL.preemphasis * turn) ** 2


@cache
def _frequencies(sample_rate: int) -> Floats:
    fft_size = _MODEL.fft * sample_rate // _MODEL.rate
    return np.arange(fft_size // 2 + 1, dtype=np.float64) * (sample_rate / fft_size)


@cache
def _filters(sample_rate: int) -> Floats:
    """Triangles of equal width in mel and of equal area, their corners on points of the FFT."""
    lowest, highest = (_mel(hertz) for hertz in (_LOWEST_HERTZ, _HIGHEST_HERTZ))
    step = _MODEL.rate / _MODEL.fft
    corners = np.linspace(lowest, highest, _MODEL.bands + 2)
    hertz = np.floor(700 * (10 ** (corners / 2595) - 1) / step + 0.5) * step
    left, middle, right = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    rising = (_frequencies(sample_rate) - left) / (middle - left)
    falling = (right - _frequencies(sample_rate)) / (right - middle)
    return np.maximum(np.minimum(rising, falling), 0) * 2 / (right - left)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


@cache
def _cosines() -> Floats:
    """The discrete cosine transform and the lifter in one matrix."""
    order = np.arange(_MODEL.cepstra)
    cosines = np.cos(np.pi / _MODEL.bands * np.outer(np.arange(_MODEL.bands) + 0.5, order))
    cosines *= np.where(order == 0, np.sqrt(1 / _MODEL.bands), np.sqrt(2 / _MODEL.bands))
    return cosines * (1 + _MODEL.lifter / 2 * np.sin(np.pi * order / _MODEL.lifter))


def _without_noise(energies: Floats) -> Floats:
    """Turns down what is steady in each band, as the recordings behind the model had it done.

    A noise floor follows each band's power, slowly up and fast down; what stands above it is
    kept, weak echoes of a peak are masked, and the gains are smoothed over neighbouring bands.
    """
    if not len(energies):
        return energies
    energies = np.maximum(energies, _MODEL.log_floor)
    power = energies[0].copy()
    noise, floor, peak = power / 20, power / 20, np.zeros_like(power)
    gains = np.empty_like(energies)
    for gain, energy in zip(gains, energies, strict=True):
        power = 0.7 * power + 0.3 * energy
        noise = _lower_envelope(power, noise)
        signal = np.maximum(power - noise, 1.0)
        floor = _lower_envelope(signal, floor)
        peak *= 0.85
        unmasked = np.where(signal < 0.85 * peak, 0.2 * peak, signal)
        peak = np.maximum(peak, signal)
        np.maximum(unmasked, floor, out=unmasked)
        np.clip(unmasked / power, 1 / 20, 20, out=gain)
    return energies * (gains @ _neighbours(energies.shape[1]).T)


def _lower_envelope(values: Floats, envelope: Floats) -> Floats:
    keep = np.where(values >= envelope, 0.995, 0.5)
    return keep * envelope + (1 - keep) * values


@cache
def _neighbours(bands: int) -> Floats:
    band = np.arange(bands)
    near = (np.abs(band[:, None] - band) <= 4).astype(np.float64)
    return near / near.sum(1, keepdims=True)
