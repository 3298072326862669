"""With keys in the environment the example runs on the vendors' real clients, and past them."""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterable

import pytest

from twilio_frames.call import Call
from twilio_frames.errors import MissingExtraError
from twilio_frames.examples.bot import bot
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import cartesia_address, choose_services, warm_up
from twilio_frames.frames import CallEndReason
from twilio_frames.local.llm import DialogueLLMService
from twilio_frames.local.stt import PocketsphinxSTTService
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.fallback import LLMFallback, STTFallback, TTSFallback, vendor_health
from twilio_frames.testing import CallEnd, Caller, Phone
from twilio_frames.testing.known_speech import espeak_voice
from twilio_frames.testing.vendors import (
    CartesiaServer,
    DeepgramServer,
    FunctionCall,
    OpenAIServer,
    Refusal,
)
from twilio_frames.testing.vendors.faults import Fault
from twilio_frames.testing.vendors.server import VendorServer

KEYS = {"DEEPGRAM_API_KEY": "dg", "OPENAI_API_KEY": "sk", "CARTESIA_API_KEY": "ca"}
ORDER = "A small cappuccino with honey, please."


@pytest.fixture(autouse=True)
def forget_vendors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vendor_health.VENDORS, "_vendors", {})


class Vendors:
    """All three of them, with the same bad days."""

    def __init__(self, faults: Iterable[Fault | None] = ()):
        self.deepgram = DeepgramServer(hears=[ORDER], faults=faults)
        self.openai = OpenAIServer(["One small cappuccino. Anything else?"], faults=faults)
        self.cartesia = CartesiaServer(voice=espeak_voice(), faults=faults)
        self._all: tuple[VendorServer, ...] = (self.deepgram, self.openai, self.cartesia)

    async def __aenter__(self) -> "Vendors":
        await asyncio.gather(*(server.__aenter__() for server in self._all))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.__aexit__() for server in self._all))

    @property
    def keys(self) -> dict[str, str]:
        return KEYS | {
            "DEEPGRAM_BASE_URL": self.deepgram.ws_url,
            "OPENAI_BASE_URL": self.openai.base_url,
            "CARTESIA_BASE_URL": self.cartesia.url,
        }

    async def bot(self, call: Call) -> None:
        await bot(call, await choose_services(Dialogue(), self.keys))


async def order(caller: Caller) -> None:
    await caller.wait_for_bot()
    await caller.say(ORDER)
    await caller.wait_for_bot()


async def test_keys_choose_the_vendors():
    services = await choose_services(Dialogue(), KEYS)

    assert isinstance(services.stt, STTFallback)
    assert isinstance(services.llm, LLMFallback)
    assert isinstance(services.tts, TTSFallback)


async def test_roles_are_chosen_one_by_one():
    services = await choose_services(Dialogue(), {"DEEPGRAM_API_KEY": "dg"})

    assert isinstance(services.stt, STTFallback)
    assert isinstance(services.llm, DialogueLLMService)
    assert isinstance(services.tts, EspeakTTSService)


async def test_without_keys_nothing_is_asked():
    services = await choose_services(Dialogue(), {})

    assert isinstance(services.stt, PocketsphinxSTTService)


async def test_missing_vendor_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "twilio_frames.services.deepgram", raising=False)
    monkeypatch.setitem(sys.modules, "deepgram", None)

    with pytest.raises(MissingExtraError, match=r"pipecat-twilio-frames\[deepgram\]"):
        await choose_services(Dialogue(), KEYS)


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("", "wss://api.cartesia.ai/tts/websocket"),
        ("wss://voice:8443", "wss://voice:8443/tts/websocket"),
        ("ws://127.0.0.1:8080/", "ws://127.0.0.1:8080/tts/websocket"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/tts/websocket"),
        ("https://voice", "wss://voice/tts/websocket"),
        ("HTTPS://voice/tts/websocket", "wss://voice/tts/websocket"),
        ("wss://voice/tts/websocket/", "wss://voice/tts/websocket"),
        ("https://proxy/cartesia", "wss://proxy/cartesia/tts/websocket"),
        ("voice:8443", "wss://voice:8443/tts/websocket"),
    ],
)
def test_cartesia_is_found_by_any_form_of_its_address(base_url: str, address: str):
    assert cartesia_address(base_url) == address


async def test_vendors_hold_a_conversation(phone: Phone):
    async with Vendors() as vendors:
        await warm_up(vendors.keys)
        call = await phone.ring(vendors.bot, order)

    health = {(one.role.value, one.name): one for one in vendor_health.VENDORS}
    for vendor in (("stt", "deepgram"), ("llm", "openai"), ("tts", "cartesia")):
        took = health[vendor].first_byte(0.5)
        assert took is not None, vendor
        assert 0 < took < 3
    assert [visit.key for visit in vendors.deepgram.visits] == ["dg"]
    assert {visit.key for visit in vendors.openai.visits} == {"sk"}
    assert {visit.key for visit in vendors.cartesia.visits} == {"ca"}
    asked = vendors.openai.asked[0].messages
    assert [message["content"] for message in asked if message["role"] == "user"] == [ORDER]
    assert call.heard("welcome to the coffee shop")
    assert call.heard("one small cappuccino")


async def test_call_goes_on_without_any_vendor(phone: Phone):
    async with Vendors(faults=itertools.repeat(Refusal(status=401))) as vendors:
        call = await phone.ring(vendors.bot, order)

    assert vendors.deepgram.visits
    assert vendors.openai.visits
    assert vendors.cartesia.visits
    assert call.heard("small cappuccino")


def thinking_with(server: OpenAIServer) -> Callable[[Call], Awaitable[None]]:
    async def served(call: Call) -> None:
        keys = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": server.base_url}
        await bot(call, await choose_services(Dialogue(), keys))

    return served


async def test_model_hangs_up_after_its_goodbye(phone: Phone):
    async def caller(telephone: Caller) -> None:
        await telephone.wait_for_bot()
        await telephone.say("That is all.")
        assert await telephone.wait_for_end() is CallEnd.BOT_HUNG_UP

    end = FunctionCall("end_call", {"goodbye": "Thank you for calling. Goodbye!"})
    async with OpenAIServer([end]) as server:
        call = await phone.ring(thinking_with(server), caller)

    assert call.heard("thank you for calling goodbye")
    assert len(server.asked) == 1


async def test_dialogue_that_took_over_hangs_up_too(phone: Phone):
    replies = ["What size?", FunctionCall("end_call", {"goodbye": "Bye!"})]
    async with OpenAIServer(replies) as server:
        async with phone.text(thinking_with(server)) as talk:
            await talk.reply()
            assert await talk.say("A latte.") == "What size?"
            server.go_wrong(Refusal(status=401))
            assert "Goodbye!" in await talk.say("Goodbye.")
            assert await talk.ended() is CallEndReason.BOT_HUNG_UP
    assert len(server.asked) == 1
