import asyncio
import os
import signal
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.server.site import FORM, RecordingBot
from tests.vendors.faults import bad_day
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallEndReason
from twilio_frames.server import Server, ServerSettings, create_app, listening, serve
from twilio_frames.transport import TwilioParams

QUICK = TwilioParams(close_timeout_secs=0.1)


@dataclass
class Serving:
    """A server that runs until it is told to stop, with its console."""

    bot: RecordingBot = field(default_factory=RecordingBot)
    lines: list[str] = field(default_factory=list)
    up: "asyncio.Future[Server]" = field(default_factory=asyncio.Future)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def announce(self, line: str) -> None:
        self.lines.append(line)
        self.news.set()

    async def announced(self, part: str) -> None:
        while not any(part in line for line in self.lines):
            self.news.clear()
            await self.news.wait()

    async def run(self, settings: ServerSettings) -> None:
        await serve(self.bot, settings, port=0, started=self.up.set_result, announce=self.announce)


async def ring(server: Server, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    answer = await session.post(f"{server.url}/twiml", data=FORM)
    token = (await answer.text()).split('name="token" value="')[1].split('"')[0]
    websocket = await session.ws_connect(f"{server.url}/stream")
    start = {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    await websocket.send_json({"event": "connected"})
    await websocket.send_json({"event": "start", "streamSid": "MZ1", "start": start})
    return websocket


async def test_free_port_is_known():
    async with Server(create_app(RecordingBot(), ServerSettings())) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        async with aiohttp.request("GET", f"{server.url}/healthz") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", ""])
def test_open_address_needs_token(host: str):
    with pytest.raises(ConfigurationError, match="expected TWILIO_AUTH_TOKEN for listening on"):
        Server(create_app(RecordingBot(), ServerSettings()), host=host)


async def test_open_address_with_token():
    app = create_app(RecordingBot(), ServerSettings(auth_token="t"))
    async with Server(app, host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")


async def test_taken_port_is_named():
    async with Server(create_app(RecordingBot(), ServerSettings())) as server:
        other = Server(create_app(RecordingBot(), ServerSettings()), port=server.port)
        with pytest.raises(ConfigurationError, match=f"listen on 127.0.0.1:{server.port}, got"):
            await other.__aenter__()


def test_page_url_holds_key():
    settings = ServerSettings(auth_token="t", public_url="https://b.example.com")
    server = Server(create_app(RecordingBot(), settings), port=8000)

    assert server.page_url.startswith("http://127.0.0.1:8000/#key=")


def test_whoever_starts_a_server_is_told_where_its_pages_are():
    told = listening.welcome(ServerSettings(), "http://127.0.0.1:8000", "secret")
    assert told[:2] == [
        "page: http://127.0.0.1:8000/#key=secret",
        "console: http://127.0.0.1:8000/console#key=secret",
    ]


async def test_missing_token_is_announced():
    serving = Serving()
    run = asyncio.create_task(serving.run(ServerSettings()))
    await serving.up
    os.kill(os.getpid(), signal.SIGINT)
    await run

    assert any("TWILIO_AUTH_TOKEN is not set" in line for line in serving.lines)


@bad_day(
    "server",
    "SIGTERM or Ctrl-C (our own server)",
    "The call, to its end; new callers hear that it is busy.",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_first_signal_lets_calls_finish(number: signal.Signals):
    serving = Serving()
    run = asyncio.create_task(serving.run(ServerSettings(transport=QUICK)))
    server = await serving.up
    async with aiohttp.ClientSession() as session:
        _line = await ring(server, session)
        await serving.bot.arrived.wait()
        os.kill(os.getpid(), number)
        await serving.announced("no new calls; 1 up")

        assert (await session.get(f"{server.url}/readyz")).status == 503
        assert "Reject" in await (await session.post(f"{server.url}/twiml", data=FORM)).text()
        assert not run.done()
        serving.bot.leave.set()
        await run

    assert serving.bot.calls[0].end_reason is CallEndReason.BOT_HUNG_UP


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_second_signal_ends_at_once_and_hangs_up_nobody(number: signal.Signals):
    requests: list[str] = []

    async def note(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.json_response({"sid": "CA1", "status": "completed"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    async with TestServer(app) as api:
        settings = ServerSettings(
            transport=QUICK,
            drain_secs=3600,
            account_sid="AC1",
            auth_token=None,
            api_key="SK1",
            api_secret="secret",
            api_url=str(api.make_url("/")),
        )
        await _stop_twice(settings, number)

    assert requests == []


async def _stop_twice(settings: ServerSettings, number: signal.Signals) -> None:
    serving = Serving()
    run = asyncio.create_task(serving.run(settings))
    server = await serving.up
    async with aiohttp.ClientSession() as session:
        _line = await ring(server, session)
        await serving.bot.arrived.wait()
        os.kill(os.getpid(), number)
        await serving.announced("no new calls; 1 up")
        os.kill(os.getpid(), number)
        await run

    assert serving.bot.calls[0].end_reason is CallEndReason.ERROR


async def test_time_for_finishing_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listening, "_LAST_WORDS_SECS", 0.01)
    serving = Serving()
    run = asyncio.create_task(serving.run(ServerSettings(transport=QUICK, drain_secs=0.01)))
    server = await serving.up
    async with aiohttp.ClientSession() as session:
        _line = await ring(server, session)
        await serving.bot.arrived.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await run

    assert "time is up: 1 ended" in serving.lines


async def test_leaving_ends_calls():
    bot = RecordingBot()
    settings = ServerSettings(transport=QUICK)
    async with aiohttp.ClientSession() as session:
        async with Server(create_app(bot, settings)) as server:
            websocket = await ring(server, session)
            await bot.arrived.wait()

        assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert bot.calls[0].end_reason is CallEndReason.ERROR


@bad_day(
    "server",
    "a second SIGTERM or Ctrl-C (our own server)",
    "An apology.",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_calls_that_the_second_signal_cuts_end_with_an_apology(number: signal.Signals):
    serving = Serving()
    run = asyncio.create_task(serving.run(ServerSettings(transport=QUICK, drain_secs=3600)))
    server = await serving.up
    async with aiohttp.ClientSession() as session:
        websocket = await ring(server, session)
        await serving.bot.arrived.wait()
        os.kill(os.getpid(), number)
        await serving.announced("no new calls; 1 up")
        os.kill(os.getpid(), number)
        while not (await websocket.receive()).type.name.startswith("CLOS"):
            pass
        answer = await session.post(f"{server.url}/after-stream", data=FORM)

        assert "something went wrong on our side" in await answer.text()
        os.kill(os.getpid(), number)  # the third one waits for nothing
        await run


@bad_day(
    "server",
    "a message of many megabytes",
    "Nothing; its memory is given back.",
)
async def test_message_beyond_reason_is_not_kept_in_memory():
    async with Server(create_app(RecordingBot(), ServerSettings())) as server:
        async with aiohttp.ClientSession() as session:
            websocket = await session.ws_connect(f"{server.url}/stream")
            await websocket.send_str("x" * (1100 * 1024))

            assert (await websocket.receive()).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
