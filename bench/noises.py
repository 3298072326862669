"""Sounds that callers make without speaking, made up of noise and buzzing; the same each time."""

from collections.abc import Callable

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw

Samples = np.ndarray
_Random = np.random.Generator

LINE_NOISE = -60.0
"""Level of the line beside the sounds, dB of full scale."""

_Formant = tuple[float, float]


def _length(random: _Random, shortest: float, longest: float) -> int:
    return int(random.uniform(shortest, longest) * SAMPLE_RATE)


def _hiss(random: _Random, length: int, low: float, high: float) -> Samples:
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    frequencies = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.fft.irfft(spectrum, length)


def _spoken(sound: Samples, *formants: _Formant) -> Samples:
    """A sound as a throat shapes it: louder around some frequencies, each with its width."""
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    gain = sum(1 / (1 + ((frequencies - at) / width) ** 2) for at, width in formants)
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))


def _fading(length: int, steepness: float) -> Samples:
    return np.exp(-steepness * np.arange(length) / max(1, length))


def cough(random: _Random) -> Samples:
    """A bang of breath, a hiss that dies away, and with some a little voice behind it."""
    bang, breath = _length(random, 0.03, 0.06), _length(random, 0.08, 0.2)
    voice = _length(random, 0.05, 0.12) if random.random() < 0.5 else 0
    buzz = np.sign(np.sin(2 * np.pi * random.uniform(150, 350) * np.arange(voice) / SAMPLE_RATE))
    sound = np.concatenate(
        [
            2.0 * _hiss(random, bang, 300, 3400) * _fading(bang, 1.5),
            _hiss(random, breath, 300, 2500) * _fading(breath, 2.0),
            buzz * np.hanning(voice),
        ]
    )
    first, second = random.uniform(500, 800), random.uniform(1200, 1700)
    return _spoken(sound, (first, 150), (second, 200), (2500, 300))


def cleared_throat(random: _Random) -> Samples:
    """A creak: few and uneven pulses of the voice, and breath."""
    length = _length(random, 0.15, 0.4)
    pulses = random.random(length) < random.uniform(60, 120) / SAMPLE_RATE
    sound = (3.0 * pulses + 0.2 * random.normal(0, 1, length)) * np.hanning(length)
    return _spoken(sound, (500, 150), (1500, 200))


def bark(random: _Random) -> Samples:
    """A short tone that falls, and noise."""
    length = _length(random, 0.12, 0.22)
    falling = random.uniform(350, 600) * (1.3 - 1.2 * np.arange(length) / SAMPLE_RATE)
    tone = np.sign(np.sin(2 * np.pi * np.cumsum(falling) / SAMPLE_RATE))
    sound = (tone + 0.5 * random.normal(0, 1, length)) * np.hanning(length)
    return _spoken(sound, (700, 200), (1400, 250))


def thump(random: _Random) -> Samples:
    """A door, or the telephone put down."""
    length = _length(random, 0.12, 0.18)
    tone = np.sin(2 * np.pi * random.uniform(80, 200) * np.arange(length) / SAMPLE_RATE)
    return tone * _fading(length, 4.0) + 0.3 * _hiss(random, length, 100, 2000) * _fading(length, 8)


def click(random: _Random) -> Samples:
    """A key, a switch, a spike of the line."""
    length = _length(random, 0.001, 0.008)
    return random.normal(0, 1, length) * _fading(length, 4.0)


def breath(random: _Random) -> Samples:
    """Into the microphone."""
    length = _length(random, 0.3, 0.6)
    return _hiss(random, length, 400, 2500) * np.hanning(length)


def sneeze(random: _Random) -> Samples:
    """A sharp hiss."""
    length = _length(random, 0.15, 0.35)
    return _hiss(random, length, 1000, 3800) * _fading(length, 3.0)


def beep(random: _Random) -> Samples:
    """Of a machine."""
    length = _length(random, 0.1, 0.4)
    return np.sin(2 * np.pi * random.uniform(400, 1800) * np.arange(length) / SAMPLE_RATE)


NOISES: dict[str, Callable[[_Random], Samples]] = {
    "coughs": cough,
    "cleared throats": cleared_throat,
    "barks": bark,
    "thumps": thump,
    "clicks": click,
    "breath": breath,
    "sneezes": sneeze,
    "beeps": beep,
}
"""All of them, by what a table calls them."""


def at_level(sound: Samples, level: float) -> Samples:
    """A sound whose peak is at a level, dB of full scale."""
    return sound / max(1e-9, float(np.abs(sound).max())) * 10 ** (level / 20)


def to_mulaw(sound: Samples) -> bytes:
    """Samples from -1 to 1 as the line carries them."""
    return encode_mulaw((sound.clip(-1, 1) * 32767).astype(np.int16).tobytes())


def noisy_line(name: str, seconds: float, *, seed: int, every: float = 2.0) -> Samples:
    """A line with one such sound after the other, at levels from -30 to -8 dB.

    Args:
        name: Of :data:`NOISES`.
        seconds: How long.
        seed: Makes it the same each time.
        every: Seconds from one to the next on the mean.
    """
    random = np.random.default_rng(seed)
    line = random.normal(0, 10 ** (LINE_NOISE / 20), round(seconds * SAMPLE_RATE))
    at = 1.0
    while at < seconds - 2.0:
        sound = at_level(NOISES[name](random), random.uniform(-30.0, -8.0))
        begin = round(at * SAMPLE_RATE)
        line[begin : begin + len(sound)] += sound
        at += random.uniform(0.5, 1.5) * every
    return line
