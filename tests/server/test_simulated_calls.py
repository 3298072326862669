"""The server against the simulated Twilio: signed webhooks, streams, REST, all over loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.frames import CallEndReason
from twilio_frames.server import Call, ServerSettings
from twilio_frames.testing import CallEnd, Desk, Phone


@dataclass
class Bot:
    """Listens in silence until the caller has had enough, or it has."""

    calls: list[Call] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    ended: "asyncio.Queue[CallEndReason | None]" = field(default_factory=asyncio.Queue)
    fails: bool = False

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        self.up.set()
        if self.fails:
            raise RuntimeError("a bot that fails")
        pipeline = Pipeline([call.transport.input(), call.transport.output()])
        self.ended.put_nowait(await call.run(pipeline))


@dataclass
class Office:
    """A bot, and the desk it can be rung from."""

    bot: Bot
    desk: Desk


@pytest.fixture
async def office(phone: Phone) -> AsyncIterator[Office]:
    bot = Bot()
    settings = ServerSettings(phone_number="+14155550199", apology="Sorry.")
    async with phone.desk(bot, settings=settings) as desk:
        yield Office(bot, desk)


async def end_of(office: Office) -> CallEndReason | None:
    return await asyncio.wait_for(office.bot.ended.get(), 10)


async def test_caller_hangs_up(office: Office):
    async with office.desk.call() as caller:
        await office.bot.up.wait()
        await caller.hang_up()

    assert await end_of(office) is CallEndReason.CALLER_HUNG_UP
    assert office.bot.calls[0].call_sid == caller.call_sid
    assert office.bot.calls[0].direction == "inbound"


async def test_bot_hangs_up(office: Office):
    async with office.desk.call() as caller:
        await office.bot.up.wait()
        await office.bot.calls[0].hang_up()

        assert await caller.wait_for_end(seconds=10) is CallEnd.BOT_HUNG_UP
    assert await end_of(office) is CallEndReason.BOT_HUNG_UP
    assert "say" not in [entry.event for entry in caller.log.entries]


async def test_failed_bot_apologises(office: Office):
    office.bot.fails = True
    log: list[str] = []

    async def listen() -> None:
        async with office.desk.call() as caller:
            assert await caller.wait_for_end(seconds=20) is CallEnd.BOT_HUNG_UP
            log.extend(entry.event for entry in caller.log.entries)

    with pytest.raises(RuntimeError, match="a bot that fails"):
        await listen()
    assert "say" in log


async def test_placed_call_is_followed(office: Office):
    async with aiohttp.ClientSession(office.desk.base_url) as session:
        answer = await session.post("/call", json={"to": "+14155550100"})
        call_sid = (await answer.json())["call_sid"]
        ringing = await office.desk.twilio.wait_for_call()
        assert (ringing.call_sid, ringing.to_number) == (call_sid, "+14155550100")

        async with ringing.answer() as caller:
            await office.bot.up.wait()
            await office.bot.calls[0].hang_up(by_rest=True)
            assert await caller.wait_for_end(seconds=10) is CallEnd.BOT_HUNG_UP

        assert office.bot.calls[0].direction == "outbound-api"
        state = await (await session.get(f"/calls/{call_sid}")).json()
        assert (state["status"], state["end_reason"]) == ("completed", "bot hung up")
