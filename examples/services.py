"""The services of the example bot: a vendor's where there is a key, else this machine's.

Keys are read from ``DEEPGRAM_API_KEY``, ``OPENAI_API_KEY`` and ``CARTESIA_API_KEY``; each role is
chosen by itself. ``DEEPGRAM_BASE_URL``, ``OPENAI_BASE_URL`` and ``CARTESIA_BASE_URL`` lead to
another server that speaks as the vendor's does, one of your own say.

Where the ``local`` extra is installed, this machine's service takes over in the middle of a call
from a vendor's that fails.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from twilio_frames.errors import ConfigurationError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.lines import GREETING
from twilio_frames.processors.fallback import LLMFallback, STTFallback, TTSFallback
from twilio_frames.processors.greeting import Greeting

_INSTRUCTIONS = f"""You take coffee orders at a small coffee shop, by phone. You have picked up and
said: "{GREETING}" Speak as one does on the phone: one or two short sentences, no lists, no markup,
numbers as words. You need the drink and its size; roast, shots, milk and sweetener if the caller
cares. Read the order back before you end. When the caller has agreed, or says goodbye, call
end_call: thank them and say goodbye in its last words."""
_CARTESIA_PATH = "/tts/websocket"
_VOICE = "71a7ad14-091c-4e8e-a314-022ece01c121"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Who hears, who thinks, who speaks, and what is said first.

    Parameters:
        stt: Hears.
        llm: Thinks.
        tts: Speaks.
        greeting: The first words, recorded once in the voice that speaks.
    """

    stt: FrameProcessor
    llm: FrameProcessor
    tts: FrameProcessor
    greeting: Greeting


@dataclass(frozen=True)
class _Keys:
    """The keys and addresses there are."""

    deepgram: str = field(repr=False)
    openai: str = field(repr=False)
    cartesia: str = field(repr=False)
    deepgram_url: str
    openai_url: str | None
    cartesia_url: str

    @classmethod
    def of(cls, keys: Mapping[str, str] | None) -> "_Keys":
        keys = os.environ if keys is None else keys
        return cls(
            deepgram=keys.get("DEEPGRAM_API_KEY", ""),
            openai=keys.get("OPENAI_API_KEY", ""),
            cartesia=keys.get("CARTESIA_API_KEY", ""),
            deepgram_url=keys.get("DEEPGRAM_BASE_URL", ""),
            openai_url=keys.get("OPENAI_BASE_URL"),
            cartesia_url=cartesia_address(keys.get("CARTESIA_BASE_URL", "")),
        )


def cartesia_address(base_url: str) -> str:
    """The address of Cartesia's WebSocket at a server, ``https://host`` or ``ws://host:port`` say.

    Args:
        base_url: The server, with the WebSocket's path or without; empty for Cartesia's.
    """
    base = (base_url or "wss://api.cartesia.ai").rstrip("/")
    scheme, _, rest = base.rpartition("://")
    scheme = {"http": "ws", "https": "wss", "": "wss"}.get(scheme.lower(), scheme.lower())
    return f"{scheme}://{rest.removesuffix(_CARTESIA_PATH)}{_CARTESIA_PATH}"


async def choose_services(shop: Dialogue, keys: Mapping[str, str] | None = None) -> Services:
    """The services to use by the keys there are.

    Args:
        shop: The conversation, for an LLM without a key.
        keys: The keys by their names; those of the environment if left out.

    Raises:
        MissingExtraError: If a service that was chosen is not installed.
    """
    chosen = _Keys.of(keys)
    return Services(
        stt=await _stt(chosen), llm=_llm(chosen, shop), tts=_tts(chosen), greeting=_greeting(chosen)
    )


async def warm_up(keys: Mapping[str, str] | None = None) -> None:
    """Makes ready what all calls share, before the first one comes: the greeting, for one.

    Args:
        keys: As for :func:`choose_services`.

    Raises:
        MissingExtraError: If a service that is chosen is not installed.
    """
    await load_services(keys=keys)
    await _greeting(_Keys.of(keys)).prepare()


def check_environment(*names: str) -> None:
    """Looks whether one of these variables is set; all is well if none are named.

    Raises:
        ConfigurationError: If none of them is.
    """
    if names and not any(map(os.environ.get, names)):
        raise ConfigurationError(
            f"expected {' or '.join(names)} in the environment, got nothing: set it and start again"
        )


async def load_services(*needed: str, keys: Mapping[str, str] | None = None) -> None:
    """Loads the services, seconds of work, before the first call comes.

    Args:
        needed: Variables of the environment, one of which must be set for the bot to work at all.
        keys: As for :func:`choose_services`.

    Raises:
        ConfigurationError: If none of them is set.
        MissingExtraError: If a service that is chosen is not installed.
    """
    check_environment(*needed)
    chosen = _Keys.of(keys)
    await asyncio.to_thread(_import_chosen, chosen)
    if _has_local() or not chosen.deepgram:
        await _local_stt()


@cache
def _greeting(keys: _Keys) -> Greeting:
    # Not by the fallback: what this machine's voice says is no recording of the vendor's.
    if keys.cartesia:
        return Greeting(GREETING, partial(_cartesia, keys), apart=keys.cartesia_url)
    return Greeting(GREETING, _local_tts)


async def _stt(keys: _Keys) -> FrameProcessor:
    if not keys.deepgram:
        return await _local_stt()
    vendor = _deepgram(keys)
    return STTFallback([vendor, await _local_stt()]) if _has_local() else vendor


def _llm(keys: _Keys, shop: Dialogue) -> FrameProcessor:
    if not keys.openai:
        return _local_llm(shop)
    return LLMFallback([_openai(keys), _local_llm(shop)])


def _tts(keys: _Keys) -> FrameProcessor:
    if not keys.cartesia:
        return _local_tts()
    return TTSFallback([_cartesia(keys), _local_tts()]) if _has_local() else _cartesia(keys)


def _has_local() -> bool:
    return all(find_spec(module) is not None for module in ("pocketsphinx", "espeakng_loader"))


def _import_chosen(keys: _Keys) -> None:
    """Imports what is chosen: seconds of work that would hold up the first call."""
    if keys.deepgram:
        _deepgram(keys)
    if keys.openai:
        _openai(keys)
    if keys.cartesia:
        _cartesia(keys)
    else:
        _local_tts()


async def _local_stt() -> STTService:
    from twilio_frames.examples.coffee_shop.hearing import coffee_shop_stt

    return await coffee_shop_stt()


def _local_llm(shop: Dialogue) -> LLMService[Any]:
    from twilio_frames.local.llm import DialogueLLMService

    return DialogueLLMService(shop)


def _local_tts() -> TTSService:
    from twilio_frames.local.tts import EspeakTTSService

    return EspeakTTSService()


def _deepgram(keys: _Keys) -> STTService:
    from twilio_frames.services.deepgram import PhoneDeepgramSTTService

    return PhoneDeepgramSTTService(api_key=keys.deepgram, base_url=keys.deepgram_url)


def _openai(keys: _Keys) -> LLMService[Any]:
    from twilio_frames.services.openai import PhoneOpenAILLMService

    return PhoneOpenAILLMService(
        api_key=keys.openai,
        base_url=keys.openai_url,
        settings=PhoneOpenAILLMService.Settings(model="gpt-4.1", system_instruction=_INSTRUCTIONS),
    )


def _cartesia(keys: _Keys) -> TTSService:
    from twilio_frames.services.cartesia import PhoneCartesiaTTSService

    return PhoneCartesiaTTSService(
        api_key=keys.cartesia,
        url=keys.cartesia_url,
        settings=PhoneCartesiaTTSService.Settings(voice=_VOICE),
    )
