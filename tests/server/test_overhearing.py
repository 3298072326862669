"""Others listen in on a call, whisper to its bot, end it, and take it over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.answering.test_decider import speech
from tests.call.test_detours import DetourBot
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.call.overhearing import Overhearer
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import ServerSettings
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Caller, Desk, Phone
from twilio_frames.testing.vendors import OpenAIServer

KEY = "k" * 20
BOSS = "+14155550123"
SETTINGS = ServerSettings(
    phone_number="+14155550199", dial_key=KEY, trust_proxies=True, dial_prefixes=("+1",)
)


class Talker(DetourBot):
    """Says a second again and again, until the call ends."""

    def __init__(self) -> None:
        async def act(call: Call, bot: DetourBot) -> object:
            while call.end_reason is None:
                await bot.say(1.0)
                await asyncio.sleep(2.0)
            return None

        super().__init__(act)


@asynccontextmanager
async def listening(
    desk: Desk, caller: Caller, key: str = KEY, *, sid: str | None = None
) -> AsyncIterator[ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{desk.base_url}/calls/{sid or caller.call_sid}/listen"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.ws_connect(url) as websocket:
            yield websocket


class Heard:
    """What somebody was told until the WebSocket was closed."""

    def __init__(self, websocket: ClientWebSocketResponse):
        self._websocket = websocket
        self.audio: dict[int, bytes] = {0: b"", 1: b""}
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._websocket:
            if message.type is WSMsgType.BINARY:
                self.audio[message.data[0]] += message.data[5:]
            else:
                self.events.append(json.loads(message.data))
                self._news.set()

    async def wait_for(self, event: str, seconds: float = 30.0) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while not (found := [one for one in self.events if one["event"] == event]):
                self._news.clear()
                await self._news.wait()
        return found[-1]


async def test_two_hear_both_sides_to_the_end(phone: Phone):
    bot = Talker()
    async with phone.desk(bot, settings=SETTINGS) as desk, desk.call() as caller:
        async with listening(desk, caller) as first, listening(desk, caller) as second:
            both = [Heard(first), Heard(second)]
            await caller.say(speech(1.0))
            await caller.wait(3.0)
            await caller.hang_up()
            for heard in both:
                await asyncio.wait_for(heard.reading, 30)
    for heard in both:
        assert heard.events[0]["event"] == "start"
        assert heard.events[0]["words"] is False
        assert heard.events[-1] == {"event": "end", "reason": CallEndReason.CALLER_HUNG_UP.value}
        assert len(heard.audio[0]) / 8000 == pytest.approx(4.0, abs=0.7)
        assert len(set(heard.audio[0])) > 10, "the caller is heard"
        assert 0.9 < len(heard.audio[1]) / 8000 < 3.2


async def test_slow_listener_loses_audio_and_is_told():
    overhearer = Overhearer(words=False, most=3)
    for n in range(5):
        overhearer.caller_audio(bytes(160), n * 0.02)
    told = [await overhearer.next() for _ in range(4)]
    assert [type(one) for one in told] == [bytes, bytes, bytes, dict]
    assert told[3] == {"event": "lost", "count": 2}
    overhearer.line_ended(0.1)
    assert await overhearer.next() is None


async def test_listener_who_reads_nothing_does_not_hurt_the_call(phone: Phone):
    bot = Talker()
    async with phone.desk(bot, settings=SETTINGS) as desk, desk.call() as caller:
        async with listening(desk, caller):
            await caller.wait(30.0)
            assert caller.is_connected
            assert bot.call.transport.listener_failures == {}
    assert caller.result.gaps == ()


@pytest.mark.parametrize(("key", "status"), [("wrong" * 5, 401), (KEY, 404)])
async def test_strangers_and_strange_calls_are_refused(phone: Phone, key: str, status: int):
    async with phone.desk(Talker(), settings=SETTINGS) as desk, desk.call() as caller:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with listening(desk, caller, key, sid="CA404" if status == 404 else None):
                pass
        assert caught.value.status == status


async def test_page_of_another_origin_is_refused(phone: Phone):
    async with phone.desk(Talker(), settings=SETTINGS) as desk, desk.call() as caller:
        url = f"{desk.base_url}/calls/{caller.call_sid}/listen"
        headers = {"Authorization": f"Bearer {KEY}", "Origin": "https://evil.example.com"}
        async with aiohttp.ClientSession(headers=headers) as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url)
        assert caught.value.status == 403


async def test_browser_shows_a_ticket_once(phone: Phone):
    """It can show no key when it opens a WebSocket."""
    async with phone.desk(Talker(), settings=SETTINGS) as desk, desk.call() as caller:
        url = f"{desk.base_url}/calls/{caller.call_sid}/listen"
        async with aiohttp.ClientSession() as session:
            async with session.post(url) as refused:
                assert refused.status == 401
            tickets: list[str] = []
            for _ in range(2):
                shown = {"Authorization": f"Bearer {KEY}"}
                async with session.post(url, headers=shown) as answer:
                    tickets.append((await answer.json())["ticket"])
            for one in tickets:
                async with session.ws_connect(url, params={"ticket": one}) as websocket:
                    assert (await websocket.receive_json())["event"] == "start"
            for used in (tickets[0], "", f"{tickets[0]}x", "ü.ü"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await session.ws_connect(url, params={"ticket": used})
                assert caught.value.status == 401


async def test_ticket_is_for_one_call(phone: Phone):
    async with phone.desk(Talker(), settings=SETTINGS) as desk:
        async with desk.call() as one, desk.call() as other, aiohttp.ClientSession() as session:
            shown = {"Authorization": f"Bearer {KEY}"}
            url = f"{desk.base_url}/calls/{{}}/listen"
            async with session.post(url.format(one.call_sid), headers=shown) as answer:
                ticket = (await answer.json())["ticket"]
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url.format(other.call_sid), params={"ticket": ticket})


async def test_listener_ends_the_call(phone: Phone):
    bot = Talker()
    async with phone.desk(bot, settings=SETTINGS) as desk, desk.call() as caller:
        async with listening(desk, caller) as websocket:
            heard = Heard(websocket)
            await websocket.send_str(json.dumps({"do": "hang_up"}))
            await caller.wait_for_end(seconds=10)
            await asyncio.wait_for(heard.reading, 10)
    assert heard.events[-1]["event"] in ("end", "done")


@pytest.mark.parametrize(
    "order",
    [
        "no JSON",
        "[]",
        '{"do": "sing"}',
        '{"do": ["whisper"]}',
        '{"do": "whisper"}',
        '{"do": "whisper", "text": "  "}',
        '{"do": "take_over", "to": "twelve"}',
        '{"do": "take_over", "to": "+447700900123"}',
        '{"do": "transfer", "to": "+447700900123"}',
    ],
)
async def test_what_cannot_be_done_is_refused(phone: Phone, order: str):
    async with phone.desk(Talker(), settings=SETTINGS) as desk, desk.call() as caller:
        async with listening(desk, caller) as websocket:
            heard = Heard(websocket)
            await websocket.send_str(order)
            refused = await heard.wait_for("refused")
            assert refused["why"].startswith("expected")
            assert caller.is_connected


async def test_model_sees_the_whisper_and_nobody_hears_it(phone: Phone):
    """With words in the logs, the listener sees them too."""
    async with OpenAIServer(["Certainly.", "It is ten dollars off."]) as server:

        async def bot(call: Call) -> None:
            context = PhoneContextAggregator(LLMContext())
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            ears = [call.transport.input(), PhoneVAD(), Scribe("a quote please"), context.user()]
            voice = [llm, EspeakTTSService(), call.transport.output()]
            await call.run(Pipeline([*ears, *voice, context.assistant()]))

        settings = ServerSettings(dial_key=KEY, trust_proxies=True, log_words=True)
        async with phone.desk(bot, settings=settings) as desk, desk.call() as caller:
            async with listening(desk, caller) as websocket:
                heard = Heard(websocket)
                await websocket.send_str(
                    json.dumps({"do": "whisper", "text": "Offer ten dollars off."})
                )
                assert (await heard.wait_for("done"))["do"] == "whisper"
                await caller.wait(2.0)
                assert server.asked == [], "nothing is said for it"
                await caller.say("A quote, please.")
                await caller.wait_for_bot()
    whispered = [one for one in server.asked[0].messages if "ten dollars" in str(one["content"])]
    assert len(whispered) == 1
    words = [(one["who"], one["text"]) for one in heard.events if one["event"] == "words"]
    assert ("caller", "a quote please") in words
    assert ("bot", "Certainly.") in words
    lines = [one["line"] for one in heard.events if one["event"] == "log"]
    kinds = [line["kind"] for line in lines]
    for kind in ("vad_started", "vad_stopped", "transcript", "llm_started", "said", "word"):
        assert kind in kinds
    assert len([kind for kind in kinds if kind == "transcript"]) == 1
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    (answer,) = [one for one in heard.events if one["event"] == "answer"]
    assert 0.1 < answer["seconds"] < 3.0


@pytest.mark.parametrize("how", ["take_over", "transfer"])
async def test_listener_puts_the_caller_through(phone: Phone, how: str):
    talks: list[bool] = []

    async def boss(caller: Caller) -> None:
        await caller.say("Hello, this is Bob.")
        await caller.wait(3.0)
        talks.append(bool(caller.bot_spells))

    bot = Talker()
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(BOSS, boss, rings_for=3.0)
        async with desk.call() as caller, listening(desk, caller) as websocket:
            heard = Heard(websocket)
            await websocket.send_str(json.dumps({"do": how, "to": BOSS}))
            done = await heard.wait_for("done")
            assert done == {
                "event": "done",
                "do": how,
                "outcome": "answered",
                "caller_is_back": False,
            }
            await caller.say(speech(1.5))
            await party.wait_for_result()
    assert await bot.reason is CallEndReason.TRANSFERRED
    assert talks == [True]


async def test_call_that_nobody_takes_over_stays_with_the_bot(phone: Phone):
    bot = Talker()
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(BOSS, None)
        async with desk.call() as caller, listening(desk, caller) as websocket:
            heard = Heard(websocket)
            await websocket.send_str(json.dumps({"do": "take_over", "to": BOSS}))
            done = await heard.wait_for("done")
            assert (done["outcome"], done["caller_is_back"]) == ("busy", True)
            assert caller.is_connected


async def test_there_are_only_so_many_listeners(phone: Phone):
    async with phone.desk(Talker(), settings=SETTINGS) as desk, desk.call() as caller:
        open_ones = [listening(desk, caller) for _ in range(8)]
        for one in open_ones:
            await one.__aenter__()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with listening(desk, caller):
                pass
        assert caught.value.status == 429
        for one in open_ones:
            await one.__aexit__(None, None, None)
        async with listening(desk, caller):
            pass
