"""Every vendor's failures are known where no fallback watches."""

from collections.abc import Callable

import pytest
from langchain_core.runnables import RunnableLambda
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.google import PhoneGoogleSTTService, PhoneGoogleTTSService
from twilio_frames.services.langchain import PhoneLangchainProcessor
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService

SERVICES = [
    (lambda: PhoneDeepgramSTTService(api_key="none"), VendorRole.STT, "deepgram"),
    (lambda: PhoneGoogleSTTService(target="localhost:1"), VendorRole.STT, "google"),
    (lambda: PhoneOpenAILLMService(api_key="none"), VendorRole.LLM, "openai"),
    (lambda: PhoneLangchainProcessor(RunnableLambda(str)), VendorRole.LLM, "langchain"),
    (lambda: PhoneCartesiaTTSService(api_key="none"), VendorRole.TTS, "cartesia"),
    (lambda: PhoneGoogleTTSService(target="localhost:1"), VendorRole.TTS, "google"),
    (
        lambda: PhoneOpenAIRealtimeLLMService(api_key="none"),
        VendorRole.REALTIME,
        "openairealtime",
    ),
]


@pytest.mark.parametrize(("make", "role", "name"), SERVICES)
async def test_failure_without_a_fallback_is_known(
    make: Callable[[], FrameProcessor],
    role: VendorRole,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    await make().push_error("expected an answer, got none", category=ErrorCategory.SERVER)

    assert VENDORS.of(role, name).failures == {FailureKind.SERVER: 1}
