"""The services of the example bot: a vendor's where there is a key, else this machine's.

Keys are read from ``DEEPGRAM_API_KEY``, ``OPENAI_API_KEY`` and ``CARTESIA_API_KEY``; each role is
chosen by itself. ``DEEPGRAM_BASE_URL``, ``OPENAI_BASE_URL`` and ``CARTESIA_BASE_URL`` lead to
another server that speaks as the vendor's does, one of your own say.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pipecat.services.ai_service import AIService

from twilio_frames.errors import MissingExtraError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue

_INSTRUCTIONS = """You take coffee orders at a small coffee shop, by phone. Speak as one does on the
phone: one or two short sentences, no lists, no markup, numbers as words. You need the drink and its
size; roast, shots, milk and sweetener if the caller cares. Read the order back before you end. When
the caller has agreed, or says goodbye, thank them and say goodbye."""
_VOICE = "71a7ad14-091c-4e8e-a314-022ece01c121"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Who hears, who thinks, who speaks."""

    stt: AIService
    llm: AIService
    tts: AIService


async def choose_services(shop: Dialogue, keys: Mapping[str, str] | None = None) -> Services:
    """The services to use by the keys there are.

    Args:
        shop: The conversation, for an LLM without a key.
        keys: The keys by their names; those of the environment if left out.

    Raises:
        MissingExtraError: If a service that was chosen is not installed.
    """
    keys = os.environ if keys is None else keys
    return Services(
        stt=_deepgram(keys) if keys.get("DEEPGRAM_API_KEY") else await _local_stt(),
        llm=_openai(keys) if keys.get("OPENAI_API_KEY") else _local_llm(shop),
        tts=_cartesia(keys) if keys.get("CARTESIA_API_KEY") else _local_tts(),
    )


async def _local_stt() -> AIService:
    from twilio_frames.examples.coffee_shop.hearing import coffee_shop_stt

    return await coffee_shop_stt()


def _local_llm(shop: Dialogue) -> AIService:
    from twilio_frames.local.llm import DialogueLLMService

    return DialogueLLMService(shop)


def _local_tts() -> AIService:
    from twilio_frames.local.tts import EspeakTTSService

    return EspeakTTSService()


def _deepgram(keys: Mapping[str, str]) -> AIService:
    try:
        from pipecat.services.deepgram.stt import DeepgramSTTService
    except ImportError:
        raise MissingExtraError("deepgram", "deepgram") from None
    return DeepgramSTTService(
        api_key=keys["DEEPGRAM_API_KEY"],
        base_url=keys.get("DEEPGRAM_BASE_URL", ""),
        audio_passthrough=False,
        settings=DeepgramSTTService.Settings(model="nova-3-general", smart_format=True),
    )


def _openai(keys: Mapping[str, str]) -> AIService:
    try:
        from pipecat.services.openai.llm import OpenAILLMService
    except ImportError:
        raise MissingExtraError("openai", "openai") from None
    return OpenAILLMService(
        api_key=keys["OPENAI_API_KEY"],
        base_url=keys.get("OPENAI_BASE_URL"),
        settings=OpenAILLMService.Settings(model="gpt-4.1", system_instruction=_INSTRUCTIONS),
    )


def _cartesia(keys: Mapping[str, str]) -> AIService:
    try:
        from pipecat.services.cartesia.tts import CartesiaTTSService
    except ImportError:
        raise MissingExtraError("cartesia", "cartesia") from None
    return CartesiaTTSService(
        api_key=keys["CARTESIA_API_KEY"],
        url=keys.get("CARTESIA_BASE_URL", "wss://api.cartesia.ai/tts/websocket"),
        sample_rate=8000,
        settings=CartesiaTTSService.Settings(voice=_VOICE),
    )
