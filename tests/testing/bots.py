"""Small web servers for the simulated Twilio to ring."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from aiohttp import web
from twilio.request_validator import RequestValidator

from twilio_frames.audio import encode_mulaw

AUTH_TOKEN = "secret-of-the-tests"


def tone(seconds: float, frequency: float = 440.0) -> bytes:
    """A loud tone, mu-law."""
    time = np.arange(round(seconds * 8000)) / 8000
    return encode_mulaw((9000 * np.cos(2 * np.pi * frequency * time)).astype(np.int16).tobytes())


class TinyBot:
    """Writes down what Twilio says, and says what it is told to."""

    def __init__(self, greet: Callable[["TinyBot"], Awaitable[None]] | None = None):
        self.messages: list[dict] = []
        self.requests: list[web.Request] = []
        self.socket: web.WebSocketResponse | None = None
        self.stream_sid = ""
        self._greet = greet
        self._news = asyncio.Condition()

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.requests.append(request)
        self.socket = web.WebSocketResponse()
        await self.socket.prepare(request)
        async for message in self.socket:
            await self._take(json.loads(message.data))
        async with self._news:
            self._news.notify_all()
        return self.socket

    async def _take(self, message: dict) -> None:
        async with self._news:
            self.messages.append(message)
            self._news.notify_all()
        if message["event"] == "start":
            self.stream_sid = message["streamSid"]
            if self._greet is not None:
                await self._greet(self)

    async def send(self, event: str, **fields: object) -> None:
        assert self.socket is not None
        await self.socket.send_json({"event": event, "streamSid": self.stream_sid} | fields)

    async def play(self, mulaw: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(mulaw).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    def said(self, event: str) -> list[dict]:
        return [message for message in self.messages if message["event"] == event]

    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.said("mark")]

    async def wait_for(self, event: str, count: int = 1) -> list[dict]:
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: len(self.said(event)) >= count)
        return self.said(event)


class Webhook:
    """Answers with TwiML, and takes every webhook down with whether the SDK finds it signed."""

    def __init__(self, *documents: str):
        self._documents = list(documents)
        self.forms: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.are_signed: list[bool] = []

    async def answer(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.forms.append({name: str(value) for name, value in form.items()})
        self.paths.append(request.path)
        self.are_signed.append(
            RequestValidator(AUTH_TOKEN).validate(
                str(request.url), form, request.headers["X-Twilio-Signature"]
            )
        )
        document = self._documents.pop(0) if self._documents else ""
        return web.Response(text=f"<Response>{document}</Response>", content_type="text/xml")

    async def take(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.forms.append({name: str(value) for name, value in form.items()})
        self.are_signed.append(
            RequestValidator(AUTH_TOKEN).validate(
                str(request.url), form, request.headers["X-Twilio-Signature"]
            )
        )
        return web.Response(status=204)


@asynccontextmanager
async def serving(
    bot: TinyBot | None = None, webhook: Webhook | None = None, status: Webhook | None = None
) -> AsyncIterator[str]:
    """Serves them on a free port; gives host and port."""
    app = web.Application()
    if bot is not None:
        app.router.add_get("/stream", bot.stream)
    if status is not None:
        app.router.add_post("/status", status.take)
    if webhook is not None:
        app.router.add_post("/{path:.*}", webhook.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
