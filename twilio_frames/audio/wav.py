"""WAV files as telephone audio: 16-bit PCM of any rate, or mu-law as it is."""

import struct
from enum import IntEnum

import numpy as np

from twilio_frames.audio.mulaw import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.audio.resampler import Resampler


class _Format(IntEnum):
    """What a WAV file says of its samples (RFC 2361, and Microsoft's extension of the header)."""

    PCM = 1
    MULAW = 7
    EXTENSIBLE = 0xFFFE


def mulaw_of_wav(data: bytes, *, channel: int | None = None) -> bytes:
    """A WAV file's sound as 8 kHz mu-law; the channels of more than one are mixed.

    Args:
        data: The file. Mu-law in it that is 8 kHz mono comes out bit for bit.
        channel: Which of its channels, the left one is 0; by default all are mixed into one.

    Raises:
        ValueError: If it is no WAV file, or holds samples of another kind.
    """
    chunks = _chunks_of(data)
    if "fmt " not in chunks or "data" not in chunks or len(chunks["fmt "]) < 16:
        raise ValueError("expected a WAV file, got something else: pass 16-bit PCM or mu-law WAV")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunks["fmt "][:16])
    if kind == _Format.EXTENSIBLE and len(chunks["fmt "]) >= 26:
        kind = int.from_bytes(chunks["fmt "][24:26], "little")
    if (kind, bits) not in ((_Format.PCM, 16), (_Format.MULAW, 8)) or not channels or not rate:
        raise ValueError(
            f"expected 16-bit PCM or mu-law in a WAV file, got format {kind} with {bits} bits: "
            "convert the file"
        )
    sound = chunks["data"]
    if kind == _Format.MULAW:
        if (channels, rate) == (1, SAMPLE_RATE):
            return sound
        sound = decode_mulaw(sound)
    whole = len(sound) // (2 * channels) * 2 * channels
    samples = np.frombuffer(sound[:whole], dtype="<i2").reshape(-1, channels)
    mixed = samples.astype(np.int32).mean(axis=1) if channel is None else samples[:, channel]
    mono = mixed.astype(np.int16).tobytes()
    resampler = Resampler(rate, SAMPLE_RATE)
    return encode_mulaw(resampler.resample(mono) + resampler.flush())


def _chunks_of(data: bytes) -> dict[str, bytes]:
    """The first chunk of each name; one that is cut off ends where the file does."""
    chunks: dict[str, bytes] = {}
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return chunks
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4].decode("latin-1")
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.setdefault(name, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return chunks
