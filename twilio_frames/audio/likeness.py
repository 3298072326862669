"""How alike two sounds are in shape, wherever in the longer one the shorter one lies.

Theory of operation
-------------------
An echo is its cause again: later, quieter, filtered by telephone and room. So some shift of the
cause correlates with it, whatever it says, and no shift correlates with somebody else's voice.

Voices are alike in what all voices have, strong low partials that repeat with the pitch. So both
sounds are whitened first, by the shorter one's spectrum, all but a little: what is left to compare
is how the sound moves, and a filter on the way makes no difference. Only what a telephone line
carries is looked at. All shifts are tried at once, by Fourier transforms.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twilio_frames.audio.echo import Samples
from twilio_frames.audio.mulaw import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What of two sounds is compared; ``bench/echoes.py`` measures how well it tells them apart."""

    lowest_hz: int = 300
    """Where a telephone line's band begins (G.712)."""
    highest_hz: int = 3400
    """Where it ends."""
    smooth_hz: int = 50
    """Lines of a spectrum that share a gain."""
    whitening: float = 0.7
    """How white the spectra are made: wholly white, noise between the partials counts as they do.
    """
    floor: float = 1e-3
    """What is less than this share of the strongest line is not made stronger."""


_COMPARISON = _Comparison()


@dataclass(frozen=True, slots=True)
class Likeness:
    """Where a sound is most alike.

    Parameters:
        degree: 1.0 for the same sound, around 0.15 for unrelated voices over a quarter second.
        shift: How many samples ahead of the end of the longer sound it ends.
    """

    degree: float
    shift: int


def likeness(sound: Samples, cause: Samples, *, loss: float) -> Likeness:
    """How much a sound is like the best place of a longer one.

    Args:
        sound: What may be an echo.
        cause: What it may be an echo of, as long or longer.
        loss: By how many dB the sound has to be quieter than the place, at least.
    """
    size = _good_size(len(cause))
    band = slice(
        _COMPARISON.lowest_hz * size // SAMPLE_RATE, _COMPARISON.highest_hz * size // SAMPLE_RATE
    )
    heard = np.fft.rfft(sound, size)[band]
    played = np.fft.rfft(cause, size)[band]
    gain = _whitening(heard, max(1, _COMPARISON.smooth_hz * size // SAMPLE_RATE))
    heard *= gain
    played *= gain
    places = len(cause) - len(sound) + 1
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    spectrum[band] = played
    energy = _energies(np.fft.irfft(spectrum, size)[: len(cause)], len(sound))
    energy *= 2 * float(np.vdot(heard, heard).real) / size
    spectrum[band] = played * heard.conj()
    found = np.abs(np.fft.irfft(spectrum, size)[:places])
    found /= np.sqrt(energy + 1.0)
    found[_energies(cause, len(sound)) < _energy(sound) * 10 ** (loss / 10)] = 0.0
    best = int(found.argmax())
    return Likeness(float(found[best]), places - 1 - best)


def _whitening(spectrum: NDArray[np.complex128], width: int) -> Samples:
    """Gains that flatten a spectrum, each for so many neighbouring lines of it."""
    power = spectrum.real**2 + spectrum.imag**2
    steps = np.add.reduceat(power, range(0, len(power), width)) / width
    gains = (steps + _COMPARISON.floor * steps.max() + 1e-6) ** (-_COMPARISON.whitening / 2)
    return np.repeat(gains, width)[: len(power)].astype(np.float32)


def _energies(sound: NDArray[np.floating[Any]], length: int) -> NDArray[np.float64]:
    """The energy of each stretch of a length."""
    sums = np.empty(len(sound) + 1, np.float64)
    sums[0] = 0.0
    np.cumsum(sound * sound, dtype=np.float64, out=sums[1:])
    return sums[length:] - sums[:-length]


def _energy(sound: Samples) -> float:
    return float(np.dot(sound, sound))


def _good_size(length: int) -> int:
    """A size at least as large that transforms fast."""
    return min(odd << max(0, math.ceil(math.log2(length / odd))) for odd in (1, 9, 15, 75))
