"""The server against the simulated Twilio: signed webhooks, streams, REST, all over loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.frames import CallEndReason
from twilio_frames.server import Call, Server, ServerSettings, create_app
from twilio_frames.testing import CallEnd, SimulatedTwilio


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
class Exchange:
    """A bot, its server, and a Twilio."""

    bot: Bot
    server: Server
    twilio: SimulatedTwilio

    @property
    def webhook(self) -> str:
        return f"{self.server.url}/twiml"


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    bot = Bot()
    async with SimulatedTwilio(seed=1) as twilio:
        settings = ServerSettings(
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            phone_number="+14155550199",
            api_url=twilio.rest_url,
            apology="Sorry.",
        )
        async with Server(create_app(bot, settings)) as server:
            yield Exchange(bot, server, twilio)


async def end_of(exchange: Exchange) -> CallEndReason | None:
    return await asyncio.wait_for(exchange.bot.ended.get(), 10)


async def test_caller_hangs_up(exchange: Exchange):
    async with exchange.twilio.call(exchange.webhook) as caller:
        await exchange.bot.up.wait()
        await caller.hang_up()

    assert await end_of(exchange) is CallEndReason.CALLER_HUNG_UP
    assert exchange.bot.calls[0].call_sid == caller.call_sid
    assert exchange.bot.calls[0].direction == "inbound"


async def test_bot_hangs_up(exchange: Exchange):
    async with exchange.twilio.call(exchange.webhook) as caller:
        await exchange.bot.up.wait()
        await exchange.bot.calls[0].hang_up()

        assert await caller.wait_for_end(seconds=10) is CallEnd.BOT_HUNG_UP
    assert await end_of(exchange) is CallEndReason.BOT_HUNG_UP
    assert "say" not in [entry.event for entry in caller.log.entries]


async def test_failed_bot_apologises(exchange: Exchange):
    exchange.bot.fails = True
    async with exchange.twilio.call(exchange.webhook) as caller:
        assert await caller.wait_for_end(seconds=20) is CallEnd.BOT_HUNG_UP

    assert "say" in [entry.event for entry in caller.log.entries]


async def test_placed_call_is_followed(exchange: Exchange):
    async with aiohttp.ClientSession(exchange.server.url) as session:
        answer = await session.post("/call", json={"to": "+14155550100"})
        call_sid = (await answer.json())["call_sid"]
        ringing = await exchange.twilio.wait_for_call()
        assert (ringing.call_sid, ringing.to_number) == (call_sid, "+14155550100")

        async with ringing.answer() as caller:
            await exchange.bot.up.wait()
            await exchange.bot.calls[0].hang_up(by_rest=True)
            assert await caller.wait_for_end(seconds=10) is CallEnd.BOT_HUNG_UP

        assert exchange.bot.calls[0].direction == "outbound-api"
        state = await (await session.get(f"/calls/{call_sid}")).json()
        assert (state["status"], state["end_reason"]) == ("completed", "bot hung up")
