"""Telephone audio: G.711 mu-law, and PCM of any rate to and from 8 kHz. Pure, no I/O.

``python -m twilio_frames.audio`` sends tones to 8 kHz mu-law and back and says what it cost.
"""

# Other rooms import from here what is not public, too.
# ruff: noqa: F401
# pyright: reportUnusedImport=false

from twilio_frames.audio.mulaw import (
    MULAW_SILENCE,
    SAMPLE_RATE,
    decode_mulaw,
    encode_mulaw,
    mulaw_seconds,
    mulaw_silence,
    pcm_level,
)
from twilio_frames.audio.resampler import Resampler
from twilio_frames.audio.wav import mulaw_of_wav

__all__ = [
    "SAMPLE_RATE",
    "decode_mulaw",
    "encode_mulaw",
]
