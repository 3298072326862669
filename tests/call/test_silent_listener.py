"""The bot has put its caller through, and stays as a silent listener."""

import asyncio

import pytest
from aiohttp import ClientSession, WSMsgType
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.call.test_warm_transfer import (
    BY_TWILIO,
    SALES,
    SETTINGS,
    WarmBot,
    phone_is_quiet,
    takes_it,
    talk,
)
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call, TransferOutcome, TransferResult
from twilio_frames.frames import CallAwayFrame, CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.protocol import Connected, Role, Start, Stream
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.signature import SIGNATURE_HEADER, sign
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.calls.facts import StatusCallback
from twilio_frames.testing.vendors import OpenAIServer


async def test_bot_that_listens_remembers_both_and_has_the_caller_back(phone: Phone):
    """They talk, the bot says nothing; the person hangs up, and the bot knows what was agreed."""
    recognisers = [Scribe("I want a hundred muffins"), Scribe("It is ninety dollars")]
    results: list[TransferResult] = []
    in_room: list[float] = []

    async def talk_and_leave(agent: Caller) -> None:
        in_room.append(agent.now)
        await agent.wait(7.0)
        await agent.say("It is ninety dollars.")
        await agent.wait(1.0)

    async with OpenAIServer(["It was ninety dollars."]) as server:

        async def bot(call: Call) -> None:
            context = PhoneContextAggregator(LLMContext())
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            ears = [call.transport.input(), PhoneVAD(), Scribe("What was it"), context.user()]
            voice = [llm, EspeakTTSService(), call.transport.output()]

            async def put_through() -> None:
                make = iter(recognisers).__next__
                results.append(
                    await call.warm_transfer(SALES, briefing=BY_TWILIO, listen_with=make)
                )

            moving = asyncio.create_task(put_through())
            await call.run(Pipeline([*ears, *voice, context.assistant()]))
            await moving

        async with phone.desk(bot, settings=SETTINGS) as desk:
            party = desk.twilio.answer_with(SALES, takes_it("1", then=talk_and_leave))
            async with desk.call() as caller:
                assert await caller.wait_until(lambda: bool(in_room), seconds=60)
                await caller.wait(3.0)
                await caller.say("I want a hundred muffins.")
                told = await party.wait_for_result()
                assert await caller.wait_until(lambda: bool(results), seconds=30)
                await caller.say("What was it?")
                await caller.wait_for_bot()

    assert (results[0].outcome, results[0].is_back) == (TransferOutcome.ANSWERED, True)
    assert results[0].talked_secs > 3.0
    asked = [str(message["content"]) for message in server.asked[0].messages]
    assert asked[-3:-1] == [
        "Overheard, the caller: I want a hundred muffins",
        "Overheard, the person: It is ninety dollars",
    ]
    (hears,) = [turn for turn in told.turns if turn.speaker == "bot" and turn.began_at > in_room[0]]
    assert hears.ended_at - hears.began_at < 4.0, "the caller, and nobody else"
    assert len(server.asked) == 1, "the bot says nothing of its own"


async def test_bot_that_listens_ends_with_its_caller(phone: Phone):
    bot = WarmBot(briefing=BY_TWILIO, listen_with=Scribe)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        party = desk.twilio.answer_with(SALES, takes_it("1", then=talk))
        told = StatusCallback(url=desk.base_url + "/status")
        async with desk.call(status_callback=told) as caller:
            await bot.after.wait_for(CallAwayFrame)
            await caller.wait(4.0)
            await caller.hang_up()
            result = await bot.outcome()
        await party.wait_for_result()
        assert await phone_is_quiet(desk)

    assert (result.outcome, result.is_back) == (TransferOutcome.ANSWERED, False)
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("says_start", [True, False])
async def test_nobody_else_is_listened_to_in_the_room(phone: Phone, says_start: bool):
    start = Start(custom_parameters={"consult": "c", "ticket": "t"}, stream_sid="MZ1")
    async with phone.desk(WarmBot(briefing=BY_TWILIO), settings=SETTINGS) as desk:
        url = desk.base_url.replace("http", "ws") + "/room-audio"
        headers = {SIGNATURE_HEADER: sign(phone.auth_token, url)}
        async with ClientSession() as session:
            async with session.ws_connect(url, headers=headers) as websocket:
                if says_start:
                    twilio = Stream(Role.TWILIO)
                    await websocket.send_str(twilio.send(Connected()))
                    await websocket.send_str(twilio.send(start))
                assert (await websocket.receive(timeout=30)).type is WSMsgType.CLOSE
