"""A second vendor that takes over in mid-call, and how well each does."""

from twilio_frames.processors.fallback.health import (
    VENDORS,
    FailureKind,
    VendorHealth,
    VendorList,
    VendorRole,
    VendorState,
)
from twilio_frames.processors.fallback.llm import LLMFallback
from twilio_frames.processors.fallback.stt import STTFallback
from twilio_frames.processors.fallback.tts import TTSFallback

__all__ = [
    "VENDORS",
    "FailureKind",
    "LLMFallback",
    "STTFallback",
    "TTSFallback",
    "VendorHealth",
    "VendorList",
    "VendorRole",
    "VendorState",
]
