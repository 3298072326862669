"""The audio formats of the Realtime protocol. Pure."""

from dataclasses import dataclass

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, Resampler, decode_mulaw

PCM_RATE = 24000


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How audio is encoded.

    Parameters:
        name: ``audio/pcm`` (16 bit at 24 kHz) or ``audio/pcmu`` (mu-law at 8 kHz).
    """

    name: str = "audio/pcm"

    @property
    def bytes_a_millisecond(self) -> int:
        """How many bytes a millisecond takes."""
        return 2 * PCM_RATE // 1000 if self.name == "audio/pcm" else SAMPLE_RATE // 1000

    def level(self, audio: bytes) -> float:
        """How loud audio is: the root of its mean square, of 32768."""
        pcm = audio[: len(audio) // 2 * 2] if self.name == "audio/pcm" else decode_mulaw(audio)
        samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
        return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0

    def encoder(self) -> "Encoder":
        """Brings one stretch of speech into this format."""
        return Encoder(self)


class Encoder:
    """Brings mu-law audio into a format, piece by piece.

    Args:
        format: The format.
    """

    def __init__(self, format: AudioFormat):
        is_pcm = format.name == "audio/pcm"
        # The quickest filter holds nothing back, so each piece keeps its length.
        self._resampler = Resampler(SAMPLE_RATE, PCM_RATE, quality="QQ") if is_pcm else None

    def encode(self, mulaw: bytes) -> bytes:
        """The audio in the format."""
        if self._resampler is None:
            return mulaw
        return self._resampler.resample(decode_mulaw(mulaw))
