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


_TIME = np.arange(_FRAME) / SAMPLE_RATE
_TUNED = np.exp(-2j * np.pi * np.outer((*_ROWS, *_COLUMNS), _TIME)).T


def keys_in(mulaw: bytes) -> str:
    """The keys whose tones are heard in a sound, in order."""
    return KeyEar().keys_in(mulaw)


class KeyEar:
    """Hears the keys in a sound that grows.

    Looks at 20 ms at a time; two of them alike in a row are a key.
    """

    def __init__(self) -> None:
        self._looked = 0
        self._last = ("", "")
        self._keys = ""

    def keys_in(self, mulaw: bytes) -> str:
        """All keys so far, in order.

        Args:
            mulaw: All of the sound so far.
        """
        new = mulaw[self._looked : len(mulaw) // _FRAME * _FRAME]
        self._looked += len(new)
        for key in _keys_of_frames(new):
            before, last = self._last
            if key and key == last != before:
                self._keys += key
            self._last = last, key
        return self._keys


def _keys_of_frames(mulaw: bytes) -> list[str]:
    pcm = np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.float64)
    frames = pcm.reshape(-1, _FRAME)
    found = [""] * len(frames)
    whole = (frames**2).sum(axis=1)
    (loud,) = np.nonzero(whole > _FRAME * _LEAST**2)
    power = 2 * np.abs(frames[loud] @ _TUNED) ** 2 / _FRAME
    rows, columns = power[:, :4], power[:, 4:]
    is_key = rows.max(axis=1) + columns.max(axis=1) > _SHARE * whole[loud]
    for number in np.nonzero(is_key)[0]:
        found[loud[number]] = KEYS[4 * rows[number].argmax() + columns[number].argmax()]
    return found


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
