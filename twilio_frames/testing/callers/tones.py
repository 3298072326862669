"""The tones of telephone keys, as a caller hears them. Pure."""

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw, mulaw_silence

KEYS = "123A456B789C*0#D"
"""The keys, in the order of ITU-T Q.23's four rows and columns of frequencies."""

_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)


def tones(digits: str) -> bytes:
    """A row of keys as mu-law; ``w`` is half a second of silence, ``W`` a whole one."""
    return b"".join(_sound(digit) for digit in digits)


def _sound(digit: str) -> bytes:
    if digit in "wW":
        return mulaw_silence(0.5 if digit == "w" else 1.0)
    if digit.upper() not in KEYS:
        return b""
    row, column = divmod(KEYS.index(digit.upper()), 4)
    time = np.arange(int(0.1 * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * _ROWS[row] * time) + np.sin(2 * np.pi * _COLUMNS[column] * time)
    return encode_mulaw((8000 * wave).astype(np.int16).tobytes()) + mulaw_silence(0.1)
