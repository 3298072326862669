"""Vendors and Twilio's REST API are reached through the proxy that the environment names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pipecat.processors.aggregators.llm_context import LLMContext
from websockets.asyncio.server import ServerConnection, serve

from tests.services.proxy_rig import Proxy, proxy_to
from twilio_frames.errors import ConfigurationError
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.services.vendor_socket import VendorSocket
from twilio_frames.testing.vendors import OpenAIServer

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CREDENTIALS = Credentials(account_sid="AC1", auth_token="token")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def listening() -> AsyncIterator[str]:
    """A WebSocket server that answers whatever it is sent."""

    async def answer(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send('{"type": "session.created"}')

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def vendor(url: str) -> None:
    """Reaches a URL as Cartesia's voice does."""
    socket = await VendorSocket.open(url, {}, open_secs=5.0)
    await socket.close()


async def deepgram(url: str) -> None:
    """Reaches a URL as Deepgram's."""
    stt = PhoneDeepgramSTTService(api_key="key", base_url=url)
    socket = await stt.dial()
    await socket.close()


async def realtime(url: str) -> None:
    """Reaches a URL as OpenAI's Realtime API."""
    llm = PhoneOpenAIRealtimeLLMService(api_key="key", base_url=url)
    socket = await llm.dial()
    await socket.close()
    await llm.cleanup()


@pytest.mark.parametrize("reach", [vendor, deepgram, realtime])
async def test_sockets_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch, reach):
    async with listening() as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await reach(proxy.beyond(url))

    (asked,) = proxy.asked
    assert asked.startswith("CONNECT vendor.invalid:")


@pytest.mark.parametrize("reach", [vendor, deepgram, realtime])
async def test_sockets_of_this_machine_do_not(monkeypatch: pytest.MonkeyPatch, reach):
    async with listening() as url, proxy_to(url) as proxy:
        for name in _NAMES[:3]:
            monkeypatch.setenv(name, proxy.url)
        await reach(url)

    assert proxy.asked == []


@asynccontextmanager
async def twilio() -> AsyncIterator[str]:
    """Twilio's REST API, as far as one call goes."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response({"sid": "CA1", "status": "completed"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", show)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_rest_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch):
    async with twilio() as url, proxy_to(url) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with TwilioRest(_CREDENTIALS, base_url=proxy.beyond(url)) as rest:
            assert (await rest.fetch("CA1")).call_sid == "CA1"
        async with TwilioRest(_CREDENTIALS, base_url=url) as rest:
            assert (await rest.fetch("CA1")).call_sid == "CA1"

    (asked,) = proxy.asked
    assert asked.startswith("GET http://vendor.invalid:")


async def test_rest_tells_of_a_proxy_that_it_cannot_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")

    async with TwilioRest(_CREDENTIALS) as rest:
        with pytest.raises(ConfigurationError, match="'socks5'"):
            await rest.fetch("CA1")


async def test_model_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch):
    async with OpenAIServer(["Yes.", "No."]) as server, proxy_to(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert await _asked(proxy, proxy.beyond(server.base_url)) == ("Yes.", 1)
        assert await _asked(proxy, server.base_url) == ("No.", 1)


async def _asked(proxy: Proxy, url: str) -> tuple[str | None, int]:
    settings = PhoneOpenAILLMService.Settings(model="gpt-4.1")
    llm = PhoneOpenAILLMService(base_url=url, settings=settings)
    context = LLMContext([{"role": "user", "content": "Well?"}])
    answer = await llm.run_inference(context)
    await llm.cleanup()
    return answer, len(proxy.asked)
