"""With keys in the environment the example's pipeline runs on the vendors' real clients."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.llm import OpenAILLMService

from twilio_frames.call import Call
from twilio_frames.errors import MissingExtraError
from twilio_frames.examples.bot import bot
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services
from twilio_frames.local.llm import DialogueLLMService
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.testing import Phone

KEYS = {"DEEPGRAM_API_KEY": "dg", "OPENAI_API_KEY": "sk", "CARTESIA_API_KEY": "ca"}


class Vendors:
    """Servers that answer to the vendors' clients, and note who came and what was asked."""

    def __init__(self):
        self.heard_audio = asyncio.Event()
        self.was_asked = asyncio.Event()
        self.spoke = asyncio.Event()
        self.texts: list[str] = []
        self.authorizations: list[str] = []

    async def deepgram(self, request: web.Request) -> web.WebSocketResponse:
        self.authorizations.append(request.headers["Authorization"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.heard_audio.set()
        return socket

    async def openai(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers["Authorization"])
        self.was_asked.set()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        # The service never closes its client; an idle connection would outlive the test.
        response.force_close()
        await response.prepare(request)
        for number, text in enumerate(["Good ", "morning."]):
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            chunk = {
                "id": f"c{number}", "object": "chat.completion.chunk", "created": 0,
                "model": "gpt-4.1", "choices": [choice],
            }  # fmt: skip
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def cartesia(self, request: web.Request) -> web.WebSocketResponse:
        self.authorizations.append(request.headers["X-API-Key"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            if asked.get("transcript", "").strip():
                self.texts.append(asked["transcript"].strip())
                self.spoke.set()
        return socket


@asynccontextmanager
async def serving(vendors: Vendors) -> AsyncIterator[dict[str, str]]:
    app = web.Application()
    app.router.add_get("/v1/listen", vendors.deepgram)
    app.router.add_post("/v1/chat/completions", vendors.openai)
    app.router.add_get("/tts/websocket", vendors.cartesia)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield {
            "DEEPGRAM_BASE_URL": f"ws://{host}:{port}",
            "OPENAI_BASE_URL": f"http://{host}:{port}/v1",
            "CARTESIA_BASE_URL": f"ws://{host}:{port}/tts/websocket",
        }
    finally:
        await runner.cleanup()


async def test_keys_choose_the_vendors():
    services = await choose_services(Dialogue(), KEYS)

    assert isinstance(services.stt, DeepgramSTTService)
    assert isinstance(services.llm, OpenAILLMService)
    assert isinstance(services.tts, CartesiaTTSService)


async def test_roles_are_chosen_one_by_one():
    services = await choose_services(Dialogue(), {"DEEPGRAM_API_KEY": "dg"})

    assert isinstance(services.stt, DeepgramSTTService)
    assert isinstance(services.llm, DialogueLLMService)
    assert isinstance(services.tts, EspeakTTSService)


async def test_missing_vendor_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pipecat.services.deepgram.stt", None)

    with pytest.raises(MissingExtraError, match=r"pipecat-twilio-frames\[deepgram\]"):
        await choose_services(Dialogue(), KEYS)


async def test_vendors_take_part_in_a_call(phone: Phone):
    vendors = Vendors()
    async with serving(vendors) as urls:

        async def vendor_bot(call: Call) -> None:
            await bot(call, await choose_services(Dialogue(), KEYS | urls))

        async with phone.call(vendor_bot), asyncio.timeout(10):
            await vendors.heard_audio.wait()
            await vendors.was_asked.wait()
            await vendors.spoke.wait()

    assert sorted(vendors.authorizations) == ["Bearer sk", "Token dg", "ca"]
    assert vendors.texts[0].startswith("Good morning")
