"""The tones of telephone keys, as a caller hears them. Pure."""

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw, mulaw_silence

KEYS = "123A456B789C*0#D"
"""The keys, in the order of ITU-T Q.23's four rows and columns of frequencies."""

_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)

_FRAME = SAMPLE_RATE // 50
_SHARE = 0.8
"""How much of a key's sound lies in its two tones; speech is spread over many."""
_LEAST = 500.0
"""Amplitude below which nothing counts as a key."""


def keys_in(mulaw: bytes) -> str:
    """The keys whose tones are heard in a sound, in order.

    Looks at 20 ms at a time; two of them alike in a row are a key.
    """
    pcm = np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.float64)
    frames = pcm[: len(pcm) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        return ""
    time = np.arange(_FRAME) / SAMPLE_RATE
    tuned = np.exp(-2j * np.pi * np.outer((*_ROWS, *_COLUMNS), time))
    power = 2 * np.abs(frames @ tuned.T) ** 2 / _FRAME
    whole = (frames**2).sum(axis=1)
    rows, columns = power[:, :4], power[:, 4:]
    is_key = rows.max(axis=1) + columns.max(axis=1) > _SHARE * whole
    is_key &= whole > _FRAME * _LEAST**2
    found = [
        KEYS[4 * row + column] if key else ""
        for row, column, key in zip(
            rows.argmax(axis=1), columns.argmax(axis=1), is_key, strict=True
        )
    ]
    pairs = zip(found, found[1:], ["", *found[:-2]], strict=False)
    return "".join(
        this for this, after, before in pairs if this and this == after and this != before
    )


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
