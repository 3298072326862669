"""A bot's web server and a simulated Twilio, together."""

import asyncio
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from tests.testing.bots import TinyBot
from twilio_frames.testing import Caller, CallerOptions, Numbers, SimulatedTwilio
from twilio_frames.testing.calls.facts import StatusCallback

TOKEN = "secret-of-the-tests"
HANGUP = "<Response><Hangup/></Response>"
CONNECT_STREAM = '<Connect><Stream url="/stream"/></Connect>'
EVERY_EVENT = ("initiated", "ringing", "answered", "completed")
ANNA, BEN, BOT = "+12125550101", "+12125550102", "+12125550199"

Page = str | Callable[[], web.Response | Awaitable[web.Response]]


class Site:
    """Answers each path with its TwiML, takes down what is posted, and serves a bot's stream.

    ``pages`` holds TwiML by path, or a function that makes an answer; other paths are taken for
    status callbacks.
    """

    def __init__(self) -> None:
        self.bot = TinyBot()
        self.fork = TinyBot()
        self.pages: dict[str, Page] = {}
        self.posts: list[tuple[str, dict[str, str]]] = []
        self.are_signed: list[bool] = []
        self.host = ""
        self.twilio = SimulatedTwilio()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def client(self) -> Any:
        """The official SDK's client, unchanged but for the address."""
        client = Client(self.twilio.account_sid, TOKEN)
        client.api.base_url = self.twilio.rest_url
        return client

    def posted(self, path: str) -> list[dict[str, str]]:
        return [form for posted, form in self.posts if posted == path]

    async def wait_for_post(self, path: str, count: int = 1) -> list[dict[str, str]]:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: len(self.posted(path)) >= count)
        return self.posted(path)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        given = request.query if request.method == "GET" else await request.post()
        form = {name: str(value) for name, value in given.items()}
        signature = request.headers.get("X-Twilio-Signature", "")
        signed = form if request.method == "POST" else {}
        validator = RequestValidator(TOKEN)
        self.are_signed.append(validator.validate(str(request.url), signed, signature))
        async with self._news:
            self.posts.append((request.path, form))
            self._news.notify_all()
        page = self.pages.get(request.path, "")
        if callable(page):
            answer = page()
            return await answer if isinstance(answer, Awaitable) else answer
        return web.Response(text=f"<Response>{page}</Response>", content_type="text/xml")

    async def create(self, **arguments: Any) -> Any:
        """Has the official SDK make a call, to Anna and to the site's bot unless told otherwise."""
        given = {"to": ANNA, "from_": BOT} | arguments
        if not given.keys() & {"url", "twiml"}:
            self.pages["/twiml"] = CONNECT_STREAM
            given["url"] = f"{self.url}/twiml"
        return await asyncio.to_thread(self.client.calls.create, **given)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Site"]:
        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/fork", self._fork)
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def ring(
        self,
        twiml: str = CONNECT_STREAM,
        *,
        bot: TinyBot | None = None,
        twilio: SimulatedTwilio | None = None,
        options: CallerOptions | None = None,
        numbers: Numbers | None = None,
        callback: bool = False,
    ) -> AsyncIterator[tuple[TinyBot, Caller]]:
        """Rings the site's bot, whose webhook answers with this TwiML."""
        self.bot = bot or TinyBot()
        self.pages["/twiml"] = twiml
        status = StatusCallback(url=f"{self.url}/status", events=EVERY_EVENT) if callback else None
        async with AsyncExitStack() as stack:
            if twilio is not None:
                self.twilio = await stack.enter_async_context(twilio)
            caller = await stack.enter_async_context(
                self.twilio.call(
                    f"{self.url}/twiml", options=options, numbers=numbers, status_callback=status
                )
            )
            yield self.bot, caller

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        return await self.bot.stream(request)

    async def _fork(self, request: web.Request) -> web.WebSocketResponse:
        return await self.fork.stream(request)


async def listen(caller: Caller) -> None:
    await caller.wait_for_end(seconds=10)


async def refusal_of(request: Awaitable[object]) -> int | None:
    """The code a request is refused with."""
    with pytest.raises(TwilioRestException) as refused:
        await request
    return refused.value.code


async def close_socket(bot: TinyBot) -> None:
    assert bot.socket is not None
    await bot.socket.close()


def wav(seconds: float, samples: bytes | None = None) -> bytes:
    """A WAV file of a loud square wave, 8 kHz."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        period = b"\x00\x20" * 10 + b"\x00\xe0" * 10
        writer.writeframes(samples or period * round(seconds * 400))
    return file.getvalue()
