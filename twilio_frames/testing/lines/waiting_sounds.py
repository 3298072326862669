"""What an exchange plays to somebody who waits: ringing, and music in a conference.

It is nobody's speech: the ear does not count it as the bot's.
"""

from functools import cache

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.testing.streams.playback import Played

__all__ = ["Waiting", "hold_music", "ringing"]


class Waiting:
    """A sound that is played again and again.

    Args:
        mulaw: The sound.
    """

    def __init__(self, mulaw: bytes):
        self._mulaw = mulaw
        self._at = 0

    def join(self, now: int) -> None:
        """Begins with the sound's beginning."""
        self._at = 0

    def play(self, size: int) -> Played:
        """The next ``size`` bytes."""
        begin, self._at = self._at, (self._at + size) % len(self._mulaw)
        rounds = (begin + size) // len(self._mulaw) + 1
        return Played(audio=(self._mulaw * rounds)[begin : begin + size], from_bot=0)


def ringing() -> Waiting:
    """North America's: two seconds of 440 and 480 Hz, four of silence (ITU-T E.180)."""
    return Waiting(_ringing())


def hold_music() -> Waiting:
    """A tune of ours in the place of Twilio's."""
    return Waiting(_music())


@cache
def _ringing() -> bytes:
    sound = _sine(440.0, 2.0) + _sine(480.0, 2.0)
    return _mulaw(np.concatenate([sound, np.zeros(4 * SAMPLE_RATE)]), level=3000)


@cache
def _music() -> bytes:
    notes = (262.0, 330.0, 392.0, 523.0, 392.0, 330.0)
    return _mulaw(np.concatenate([_sine(hertz, 0.4) for hertz in notes]), level=3000)


def _sine(hertz: float, seconds: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def _mulaw(samples: "np.ndarray[tuple[int], np.dtype[np.float64]]", *, level: float) -> bytes:
    return encode_mulaw((level * samples).astype(np.int16).tobytes())
