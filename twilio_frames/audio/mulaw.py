"""G.711 mu-law, the only audio format of a Twilio media stream: 8000 bytes a second, mono.

G.711 encodes 14-bit samples (https://www.itu.int/rec/T-REC-G.711, tables 2a and 2b); a 16-bit
sample is brought to 14 bits by an arithmetic shift, as is common. ``audioop`` does exactly this in
C and is in the standard library up to Python 3.12; from 3.13 on Pipecat brings ``audioop-lts``.
"""

import math
import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

SAMPLE_RATE = 8000
"""Samples a second, and bytes a second, of mu-law telephone audio."""

MULAW_SILENCE = 0xFF
"""The code of a zero sample. (0x00 is not silence but the loudest negative sample, -32124.)"""


NEARLY_SILENT = bytes(
    code for code in range(256) if audioop.max(audioop.ulaw2lin(bytes([code]), 2), 2) < 250
)
"""The codes of samples below -42 dB of full scale, as noise on a quiet line has them: audio that
holds no others (``not mulaw.translate(None, NEARLY_SILENT)``) is no speech that a caller means to
be heard."""


def encode_mulaw(pcm: bytes) -> bytes:
    """Mu-law of 16-bit PCM: half as many bytes.

    Args:
        pcm: Signed 16-bit native-endian mono samples at 8 kHz; the number of bytes must be even.

    Raises:
        ValueError: If half a sample is left over.
    """
    if len(pcm) % 2:
        raise ValueError(
            f"expected whole 16-bit samples, got {len(pcm)} bytes: keep the odd byte back"
        )
    return audioop.lin2ulaw(pcm, 2)


ulaw2lin = audioop.ulaw2lin
"""What :func:`decode_mulaw` calls with a width of 2, for where it is called 50 times a second."""

mean_amplitude = audioop.rms
"""The root of the mean power of PCM; takes it, and the bytes of a sample."""
loudest_amplitude = audioop.max
"""The largest amplitude in PCM; takes it, and the bytes of a sample."""


def decode_mulaw(mulaw: bytes) -> bytes:
    """16-bit PCM of mu-law: signed native-endian mono samples at 8 kHz, twice as many bytes."""
    return ulaw2lin(mulaw, 2)


def mulaw_silence(seconds: float) -> bytes:
    """Silence of a length, rounded to the nearest sample."""
    return bytes([MULAW_SILENCE]) * round(seconds * SAMPLE_RATE)


def mulaw_seconds(mulaw: bytes) -> float:
    """How long mu-law audio plays."""
    return len(mulaw) / SAMPLE_RATE


def pcm_level(pcm: bytes) -> float:
    """How loud 16-bit PCM is: its mean power in dB of full scale; minus infinity for silence.

    A sine that just fits is at -3 dB, speech on a telephone at some -20 dB.
    """
    return decibels(mean_amplitude(pcm, 2))


def decibels(amplitude: float) -> float:
    """The level of a mean amplitude of 16-bit PCM, dB of full scale; minus infinity for none."""
    return 20 * math.log10(amplitude / 32768) if amplitude else -math.inf


def faded_in(mulaw: bytes) -> bytes:
    """Audio whose first 20 ms rise from silence, so that a voice taken up again does not click."""
    samples = np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.float32)
    length = min(len(samples), SAMPLE_RATE // 50)
    samples[:length] *= np.linspace(0.0, 1.0, length, dtype=np.float32)
    return encode_mulaw(samples.astype(np.int16).tobytes())
