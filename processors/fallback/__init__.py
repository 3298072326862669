"""A second vendor that takes over in mid-call, and how well each does."""

from twilio_frames.processors.fallback.llm import LLMFallback
from twilio_frames.processors.fallback.stt import STTFallback
from twilio_frames.processors.fallback.switch import FallbackOptions
from twilio_frames.processors.fallback.tts import TTSFallback
from twilio_frames.processors.fallback.vendor_health import VendorHealth, VendorState

__all__ = [
    "FallbackOptions",
    "LLMFallback",
    "STTFallback",
    "TTSFallback",
    "VendorHealth",
    "VendorState",
]
