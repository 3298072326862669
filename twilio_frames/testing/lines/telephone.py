"""What a telephone and its network do to sound: echo, comfort noise, G.711 of both laws. Pure."""

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.testing.callers.voice import FRAME_BYTES, Voice

SPEECH_LEVEL = -45.0
"""dB of full scale; what is quieter does not count as speech."""


class Echo:
    """What of the bot's voice comes back into the caller's microphone.

    Args:
        level: dB against what was played.
        delay: Seconds by which it comes later.
    """

    def __init__(self, level: float, delay: float):
        self._gain = 10 ** (level / 20)
        self._under_way = bytearray(mulaw_silence(round(delay * SAMPLE_RATE) / SAMPLE_RATE))

    def mix(self, said: bytes, heard: bytes) -> bytes:
        """The caller's audio with the echo in it.

        Args:
            said: What the caller said, mu-law.
            heard: What was played to the caller in the same time, mu-law.
        """
        self._under_way += heard
        echo = bytes(self._under_way[: len(heard)])
        del self._under_way[: len(heard)]
        played = self._gain * np.frombuffer(decode_mulaw(echo), dtype=np.int16)
        if not played.any():
            return said
        speech = np.frombuffer(decode_mulaw(said), dtype=np.int16) + played
        return encode_mulaw(speech.clip(-32768, 32767).astype(np.int16).tobytes())


class ComfortNoise:
    """A mobile telephone that sends nothing where nobody speaks, and noise that is put there.

    The room's own noise is gone in the pauses, and another, even one is in its place: what a bot
    hears of silence changes with each word. 0.2 s behind the last sound are still sent.

    Args:
        level: Of the noise, dB of full scale.
        seed: Makes it the same each time.
    """

    def __init__(self, level: float, *, seed: int = 0):
        self._noise = Voice(noise_level=level, seed=seed)
        self._frames_to_send = 0

    def pass_on(self, said: bytes) -> bytes:
        """What arrives of 20 ms of the caller's, mu-law."""
        pcm = np.frombuffer(decode_mulaw(said), dtype=np.int16).astype(np.float64)
        loudness = np.sqrt(np.mean(pcm**2)) if len(pcm) else 0.0
        noise = self._noise.next_frame()
        if loudness >= 32768.0 * 10 ** (SPEECH_LEVEL / 20):
            self._frames_to_send = 10
            return said
        if self._frames_to_send:
            self._frames_to_send -= 1
            return said
        return noise[: len(said)].ljust(len(said), noise[FRAME_BYTES - 1 :])


def over_a_law(mulaw: bytes) -> bytes:
    """What is left of mu-law audio behind a network of A-law, as all but America and Japan have.

    A call from there is coded twice. ITU-T G.711 has the table; each value becomes the one of
    A-law that lies nearest, and that becomes the nearest of mu-law.
    """
    return mulaw.translate(_OVER_A_LAW)


def _a_law_levels() -> "np.ndarray":
    """The 256 amplitudes that A-law knows, of 16 bits: 8 segments of 16 steps on each side."""
    first = np.arange(16) * 16 + 8
    others = [(np.arange(16) * 16 + 264) << segment for segment in range(7)]
    positive = np.concatenate([first, *others])
    return np.sort(np.concatenate([-positive, positive]))


def _table() -> bytes:
    samples = np.frombuffer(decode_mulaw(bytes(range(256))), dtype=np.int16).astype(np.int32)
    levels = _a_law_levels()
    nearest = levels[np.abs(samples[:, None] - levels[None, :]).argmin(axis=1)]
    return encode_mulaw(nearest.astype(np.int16).tobytes())


_OVER_A_LAW = _table()
