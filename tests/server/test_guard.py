"""Applications of one's own let nobody in but Twilio."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import aiohttp
import pytest
from aiohttp import web
from fastapi import Depends, FastAPI, Response

from tests.server.site import FORM
from twilio_frames.server import ServerSettings
from twilio_frames.server.guard import AiohttpTwilioGuard, Door, Webhook
from twilio_frames.server.starlette_guard import TwilioGuard
from twilio_frames.signature import SIGNATURE_HEADER, sign
from twilio_frames.testing import Phone
from twilio_frames.testing.exchange import DEFAULT_AUTH_TOKEN
from twilio_frames.testing.serving import serving
from twilio_frames.transport import TwilioParams, TwilioTransport

QUICK = TwilioParams(start_timeout_secs=0.5, close_timeout_secs=0.1)


class Doors:
    """Who came in."""

    def __init__(self) -> None:
        self.transports: asyncio.Queue[TwilioTransport] = asyncio.Queue()

    async def take(self, transport: TwilioTransport) -> None:
        self.transports.put_nowait(transport)
        await transport.close()


def of_fastapi(settings: ServerSettings, doors: Doors) -> FastAPI:
    app, guard = FastAPI(), TwilioGuard(settings)

    @app.api_route("/voice/in", methods=["GET", "POST"])
    async def twiml(webhook: Annotated[Webhook, Depends(guard.webhook)]) -> Response:
        text = webhook.connect("/voice/stream", parameters={"order": "7"})
        return Response(text, media_type="text/xml")

    @app.websocket("/voice/stream")
    async def stream(transport: Annotated[TwilioTransport, Depends(guard.stream)]) -> None:
        await doors.take(transport)

    return app


def of_aiohttp(settings: ServerSettings, doors: Doors) -> web.Application:
    app, guard = web.Application(), AiohttpTwilioGuard(settings)

    async def twiml(request: web.Request) -> web.Response:
        webhook = await guard.webhook(request)
        text = webhook.connect("/voice/stream", parameters={"order": "7"})
        return web.Response(text=text, content_type="text/xml")

    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket, transport = await guard.stream(request)
        await doors.take(transport)
        return websocket

    app.router.add_route("*", "/voice/in", twiml)
    app.router.add_get("/voice/stream", stream)
    return app


KINDS = {"fastapi": of_fastapi, "aiohttp": of_aiohttp}


@pytest.fixture
def doors() -> Doors:
    return Doors()


class Site:
    """An application under test, and Twilio's requests to it."""

    def __init__(self, url: str, session: aiohttp.ClientSession, token: str) -> None:
        self.url, self._session, self._token = url, session, token

    async def ask(self, *, signed: bool = True, method: str = "POST", **form: str) -> Any:
        url = f"{self.url}/voice/in"
        sent = FORM | form
        if method == "GET":
            url += "?" + "&".join(f"{name}=x" for name in sent)
            sent = {}
        signature = sign(self._token, url, sent) if signed else "wrong"
        headers = {SIGNATURE_HEADER: signature}
        return await self._session.request(
            method, url, data=sent if method == "POST" else None, headers=headers
        )

    async def token(self) -> str:
        answer = await self.ask()
        text = await answer.text()
        assert f'url="{self.url.replace("http", "ws")}/voice/stream"' in text
        assert 'name="order" value="7"' in text
        return text.split('name="token" value="')[1].split('"')[0]

    async def open(self, *, signed: bool = True) -> aiohttp.ClientWebSocketResponse:
        url = self.url.replace("http", "ws") + "/voice/stream"
        headers = {SIGNATURE_HEADER: sign(self._token, url) if signed else "wrong"}
        return await self._session.ws_connect(url, headers=headers)

    async def start(self, token: str, call_sid: str = "CA1") -> aiohttp.ClientWebSocketResponse:
        websocket = await self.open()
        start = {"streamSid": "MZ1", "callSid": call_sid, "customParameters": {"token": token}}
        await websocket.send_json({"event": "connected"})
        await websocket.send_json({"event": "start", "streamSid": "MZ1", "start": start})
        return websocket


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, doors: Doors) -> AsyncIterator[Site]:
    settings = ServerSettings(auth_token="token", transport=QUICK)
    app = KINDS[request.param](settings, doors)
    nobody: Any = None
    async with serving(app, nobody) as url, aiohttp.ClientSession() as session:
        yield Site(url, session, "token")


async def test_signed_webhook_and_token_open_a_stream(site: Site, doors: Doors):
    websocket = await site.start(await site.token())

    async with asyncio.timeout(10):
        transport = await doors.transports.get()
    assert (await transport.wait_for_start()).call_sid == "CA1"
    await websocket.close()


async def test_webhook_that_nobody_signed_is_403(site: Site):
    assert (await site.ask(signed=False)).status == 403


async def test_webhook_by_get_is_answered(site: Site):
    assert (await site.ask(method="GET")).status == 200


async def test_body_beyond_reason_is_413(site: Site):
    assert (await site.ask(Long="x" * 70_000)).status == 413


async def test_upgrade_that_nobody_signed_is_403(site: Site):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await site.open(signed=False)

    assert refusal.value.status == 403


@pytest.mark.parametrize("token", ["", "wrong", "another call's"])
async def test_stream_without_its_token_is_closed(site: Site, doors: Doors, token: str):
    right = await site.token()
    is_another = token.startswith("another")
    websocket = await site.start(right if is_another else token, "CA2" if is_another else "CA1")

    assert (await websocket.receive(10)).data == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert doors.transports.empty()


async def test_token_opens_one_stream(site: Site, doors: Doors):
    token = await site.token()
    await site.start(token)
    websocket = await site.start(token)

    assert (await websocket.receive(10)).data == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert doors.transports.qsize() == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_token_only_this_machine_is_let_in(kind: str, doors: Doors):
    app = KINDS[kind](ServerSettings(transport=QUICK), doors)
    nobody: Any = None
    async with serving(app, nobody) as url, aiohttp.ClientSession() as session:
        site = Site(url, session, "any")
        assert (await site.ask(signed=False)).status == 200
        headers = {"X-Forwarded-For": "203.0.113.9"}
        answer = await session.post(f"{url}/voice/in", data=FORM, headers=headers)
        assert answer.status == 403


async def test_refusals_are_few_in_the_log(site: Site, log_lines: list[str]):
    for _ in range(30):
        await site.ask(signed=False)

    told = [line for line in log_lines if "signature of Twilio's" in line]
    assert len(told) == 2


async def test_example_takes_a_call(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    from twilio_frames.examples import own_application

    settings = ServerSettings(auth_token=DEFAULT_AUTH_TOKEN)
    monkeypatch.setattr(own_application.guard, "settings", settings)
    Door.__init__(own_application.guard, settings)
    async with phone.call(own_application.app, path="/twiml") as caller:
        await caller.wait(1)

    assert not caller.alerts
    assert not caller.result.violations
