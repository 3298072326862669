"""A tone through the telephone band and back: ``python -m twilio_frames.audio``."""

import sys

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, Resampler, decode_mulaw, encode_mulaw


def round_trip(hertz: float, *, rate: int = 24000, seconds: float = 1.0) -> float:
    """Signal-to-noise ratio, in dB, of a half-scale tone taken to mu-law at 8 kHz and back."""
    time = np.arange(round(rate * seconds)) / rate
    tone = (16384 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)
    down, up = Resampler(rate, SAMPLE_RATE), Resampler(SAMPLE_RATE, rate)
    telephone = encode_mulaw(down.resample(tone.tobytes()) + down.flush())
    heard = np.frombuffer(up.resample(decode_mulaw(telephone)) + up.flush(), dtype=np.int16).astype(
        np.float64
    )
    middle = slice(rate // 10, min(len(tone), len(heard)) - rate // 10)
    noise = heard[middle] - tone[middle]
    return float(10 * np.log10(np.mean(tone[middle].astype(np.float64) ** 2) / np.mean(noise**2)))


if __name__ == "__main__":
    for hertz in (200, 440, 1000, 2000, 3000):
        sys.stdout.write(f"{hertz:5d} Hz  {round_trip(hertz):5.1f} dB\n")
