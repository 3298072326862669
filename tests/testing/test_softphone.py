"""The softphone's page and its calls, by a browser of a few lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from pipecat.pipeline.pipeline import Pipeline

from tests.transport.bots import tone
from tests.waiting import time_passes, until
from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.processors.clips import Clip
from twilio_frames.report.answers import AnswerTimes
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing.softphone import Softphone
from twilio_frames.testing.softphone.browser_call import CallWatch

KEY = "k" * 20
GREETING = Clip(mulaw=encode_mulaw(tone(0.5)), text="Hello there.")


@dataclass
class Shop:
    """A bot that greets, and hears."""

    heard: bytearray = field(default_factory=bytearray)
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        call.transport.add_tap(self)
        await call.run(
            Pipeline([call.transport.input(), call.transport.output()]), greeting=GREETING
        )

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        self.heard += mulaw

    def bot_audio(self, mulaw: bytes, at: float) -> None: ...

    def line_ended(self, at: float) -> None: ...


@dataclass
class Browser:
    """Opens the page's addresses as a page of the same server does."""

    session: aiohttp.ClientSession
    url: str
    audio: bytearray = field(default_factory=bytearray)
    told: list[dict[str, Any]] = field(default_factory=list)

    async def ticket(self, **headers: str) -> str:
        async with self.session.post(f"{self.url}/phone/ticket", headers=headers) as answer:
            told = await answer.json()
            assert answer.status == 201, told
            return told["ticket"]

    async def refusal(self, **headers: str) -> int:
        async with self.session.post(f"{self.url}/phone/ticket", headers=headers) as answer:
            return answer.status

    @asynccontextmanager
    async def call(
        self, ticket: str | None = None, **headers: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        ticket = await self.ticket() if ticket is None else ticket
        protocols = ("twilio-frames-softphone", ticket)
        async with self.session.ws_connect(
            f"{self.url}/phone/line", protocols=protocols, headers=headers
        ) as socket:
            reading = asyncio.create_task(self._read(socket))
            yield socket
            reading.cancel()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio += message.data
            else:
                self.told.append(json.loads(message.data))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["event"] == name]

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [each["line"] for each in self.events("log") if each["line"]["kind"] == kind]

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"{self.url}/{path}") as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def served(bot: Any = None, **settings: Any) -> AsyncIterator[Browser]:
    bot = bot or Shop()
    app = create_app(bot, ServerSettings(warm=False, **settings))
    Softphone(bot, name="<The> shop").add_to(app)
    async with aiohttp.ClientSession() as session, Server(app) as server:
        yield Browser(session, server.url)


async def test_page_is_whole_and_takes_code_from_here_alone():
    async with served() as browser:
        async with browser.session.get(f"{browser.url}/phone") as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        named = ("theme.js", "softphone.js", "softphone.css", "tokens.css", "call.js", "sound.js")
        parts = [await browser.get(f"phone/{name}") for name in (*named, "worklet.js", "talk.js")]
        strangers = [
            await browser.get(f"phone/{name}")
            for name in ("softphone.py", "x.js", "..%2Fconsole.html")
        ]

        _, console = await browser.get("console")

    assert 'data-has-softphone="true"' in console
    assert "Softphone: &lt;The&gt; shop" in page
    assert "{{" not in page
    assert "default-src 'none'; script-src 'self'" in policy
    assert [status for status, _ in parts] == [200] * len(parts)
    assert not any("//" + host in text for _, text in parts for host in ("cdn", "unpkg", "fonts"))
    assert [status for status, _ in strangers] == [404] * 3


async def test_call_carries_both_sides_words_and_keys():
    shop = Shop()
    async with served(shop) as browser, browser.call() as socket:
        await until(lambda: browser.events("answered"))
        for _ in range(100):
            await socket.send_bytes(bytes([0x10]) * 160)
            await time_passes(0.02)
        await socket.send_json({"do": "press", "digit": "5"})
        for nonsense in ("{", '{"do": "press", "digit": "55"}', '{"do": []}', "[" * 1000):
            await socket.send_str(nonsense)
        await until(lambda: browser.lines("digit"))
        await socket.send_json({"do": "hang_up"})
        await until(lambda: browser.events("report"), seconds=30)
        status, report = await browser.get(browser.events("report")[0]["address"])

    assert shop.heard.count(0x10) > 90 * 160
    assert sum(code not in (0xFF, 0x7F) for code in browser.audio) > 3800
    assert [line["text"] for line in browser.lines("word")] == ["Hello", "there."]
    assert browser.lines("digit")[0]["digit"] == "5"
    assert browser.events("ended")[0]["why"] == "caller hung up"
    assert browser.events("ended")[0]["alerts"] == []
    assert 0 <= browser.lines("said")[0]["t"] < browser.lines("word")[1]["t"] < 2
    assert (status, "Hello there." in report) == (200, True)


async def test_bot_that_hangs_up_ends_the_call_and_the_socket():
    async def leave(call: Call) -> None:
        await call.hang_up()

    async with served(leave) as browser, browser.call() as socket:
        await until(lambda: browser.events("ended"))
        await until(lambda: socket.closed, seconds=30)

    assert browser.events("ended")[0]["why"] == "bot hung up"


async def test_apology_for_a_bot_that_fails_is_told():
    async def fail(call: Call) -> None:
        raise RuntimeError("expected a bot that fails")

    async with served(fail, apology="Sorry about that.") as browser, browser.call():
        await until(lambda: browser.events("ended"))

    (told,) = browser.events("announced")
    assert told["text"] == "Sorry about that."
    assert told["at"] < 2.0


async def test_browser_that_goes_hangs_up():
    shop = Shop()
    async with served(shop) as browser:
        async with browser.call():
            await until(lambda: shop.calls)
        await until(lambda: shop.calls[0].end_reason)


async def test_server_that_ends_ends_its_calls():
    shop = Shop()
    async with served(shop) as browser:
        call = browser.call()
        await call.__aenter__()
        await until(lambda: shop.calls)

    assert shop.calls[0].end_reason


async def test_ticket_is_good_once_and_for_half_a_minute():
    async with served() as browser:
        ticket, late = await browser.ticket(), await browser.ticket()
        async with browser.call(ticket):
            await until(lambda: browser.told)
        await time_passes(31)

        for used in (ticket, late, "", "a.b"):
            with pytest.raises(WSServerHandshakeError) as refused:
                async with browser.call(used):
                    pass
            assert refused.value.status == 403


async def test_page_of_another_origin_gets_nothing():
    async with served() as browser:
        ticket = await browser.ticket()

        assert await browser.refusal(Origin="http://evil.example") == 403
        assert await browser.refusal(**{"Sec-Fetch-Site": "cross-site"}) == 403
        with pytest.raises(WSServerHandshakeError) as refused:
            async with browser.call(ticket, Origin="http://evil.example"):
                pass
        assert refused.value.status == 403


async def test_whoever_is_elsewhere_shows_the_dial_key():
    elsewhere = {"X-Forwarded-For": "203.0.113.5"}
    async with served(auth_token="secret", dial_key=KEY, trust_proxies=True) as browser:
        assert await browser.refusal(**elsewhere) == 401
        assert await browser.refusal(Authorization="Bearer wrong", **elsewhere) == 401
        assert await browser.ticket(Authorization=f"Bearer {KEY}", **elsewhere)
    async with served(auth_token="secret") as browser:
        assert await browser.refusal(**elsewhere) == 403
    async with served() as browser:
        assert await browser.refusal(**elsewhere) == 403


async def test_message_that_is_too_long_ends_that_call_alone():
    async with served() as browser, browser.call() as socket:
        await until(lambda: browser.events("answered"))
        await socket.send_bytes(bytes(5000))
        await until(lambda: socket.closed)
        assert await browser.ticket()


async def test_page_has_only_so_many_calls():
    async with served() as browser:
        tickets = [await browser.ticket() for _ in range(5)]
        calls = [browser.call(ticket) for ticket in tickets]
        for call in calls[:4]:
            await call.__aenter__()
        with pytest.raises(WSServerHandshakeError):
            await calls[4].__aenter__()
        assert await browser.refusal() == 503
        for call in calls[:4]:
            await call.__aexit__(None, None, None)


def answer_time(*lines: tuple[str, float, float], heard: float) -> float | None:
    times = AnswerTimes()
    for kind, t, after in lines:
        times.note({"kind": kind, "t": t, "after": after})
    return times.heard(heard)


def test_answer_is_timed_from_the_last_word():
    said = (("vad_started", 1.2, 0.2), ("vad_stopped", 3.0, 0.2), ("turn_stopped", 3.4, 0.0))

    assert answer_time(*said, heard=3.6) == pytest.approx(0.8)
    assert answer_time(*said, ("turn_started", 3.5, 0.0), heard=3.6) is None
    assert answer_time(*said[:2], heard=3.6) is None  # the bot says on
    assert answer_time(heard=0.4) is None  # the greeting


def test_what_ended_before_anybody_listened_is_not_timed():
    times = AnswerTimes(is_whole=False)
    times.note({"kind": "turn_stopped", "t": 3.4})
    assert times.heard(3.44) is None
    for kind, t in (("turn_started", 5.0), ("vad_stopped", 6.0), ("turn_stopped", 6.4)):
        times.note({"kind": kind, "t": t, "after": 0.2})
    assert times.heard(6.6) == pytest.approx(0.8)

    joined_in_the_turn = AnswerTimes(is_whole=False)
    for kind, t in (("vad_stopped", 3.0), ("turn_stopped", 3.4)):
        joined_in_the_turn.note({"kind": kind, "t": t, "after": 0.2})
    assert joined_in_the_turn.heard(3.6) == pytest.approx(0.8)


def test_lines_that_come_before_anybody_looks_are_not_lost():
    watch, seen = CallWatch(), list[Any]()
    watch.note({"kind": "call", "t": 0.0})

    watch.follow(seen.append)
    watch.note({"kind": "said", "t": 0.1})

    assert [line["kind"] for line in seen] == ["call", "said"]
