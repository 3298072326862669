"""What is done ahead of calls: once for the process, and once for each call."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.server.site import FORM, Open, Site
from tests.waiting import others_run, until
from twilio_frames.server import ComingCall, ServerSettings, create_app
from twilio_frames.server.calls.preparing import Preparations


@dataclass
class Made:
    """Something that was made ready, and may be closed."""

    coming: ComingCall
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def aclose(self) -> None:
        self.closed.set()


@dataclass
class Maker:
    """Makes something ready for each call, when it may."""

    made: list[Made] = field(default_factory=list)
    began: list[ComingCall] = field(default_factory=list)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def __post_init__(self):
        self.may_go_on.set()

    async def __call__(self, coming: ComingCall) -> Made:
        self.began.append(coming)
        try:
            await self.may_go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error:
            raise self.error
        self.made.append(Made(coming))
        return self.made[-1]


async def arrive(site: Site, parameters: dict[str, str] | None = None) -> Any:
    """Has the stream come; gives what its bot finds prepared."""
    await site.start(parameters or await site.parameters())
    await site.bot.arrived.wait()
    return await site.bot.calls[0].prepared()


async def within(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def test_call_is_prepared_from_its_webhook_on(open_site: Open):
    maker = Maker()
    site = await open_site(prepare=maker)
    parameters = await site.parameters()
    assert [coming.call_sid for coming in maker.began] == ["CA1"]
    assert maker.began[0].parameters["from"] == FORM["From"]
    assert "token" not in maker.began[0].parameters

    assert await arrive(site, parameters) is maker.made[0]
    assert await site.bot.calls[0].prepared() is None
    assert len(site.state.preparations) == 0


async def test_bot_waits_for_what_is_still_being_prepared(open_site: Open):
    maker = Maker(may_go_on=asyncio.Event())
    maker.may_go_on.clear()
    site = await open_site(prepare=maker)
    arriving = asyncio.create_task(arrive(site))
    await site.bot.arrived.wait()
    assert not maker.made
    maker.may_go_on.set()

    assert await arriving is maker.made[0]


async def test_failed_preparation_leaves_the_call_alone(open_site: Open, log_lines: list[str]):
    site = await open_site(prepare=Maker(error=RuntimeError("+14155550100")))

    assert await arrive(site) is None
    logged = "".join(log_lines)
    assert "the preparation failed: RuntimeError" in logged
    assert "4155550100" not in logged


async def test_what_the_bot_does_not_take_is_closed_with_the_call(open_site: Open):
    maker = Maker()
    site = await open_site(prepare=maker)
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    site.bot.leave.set()

    await within(maker.made[0].closed)


async def test_call_that_never_comes_is_given_up(open_site: Open):
    maker = Maker()
    site = await open_site(prepare=maker, token_seconds=0.05)
    await site.ask("/twiml")

    await until(lambda: maker.made)
    await within(maker.made[0].closed)
    assert len(site.state.preparations) == 0


async def test_second_webhook_of_a_call_prepares_anew(open_site: Open):
    maker = Maker()
    site = await open_site(prepare=maker)
    await site.ask("/twiml")
    parameters = await site.parameters()

    assert await arrive(site, parameters) is maker.made[1]
    await within(maker.made[0].closed)


async def test_preparation_under_way_ends_with_the_server():
    maker = Maker()
    maker.may_go_on.clear()
    preparations = Preparations(maker, lifetime=60.0)
    preparations.begin(ComingCall(call_sid="CA1", parameters={}))
    await others_run()
    await preparations.close()

    assert maker.cancelled.is_set()
    assert len(preparations) == 0


async def test_nothing_is_prepared_without_the_hook(site: Site):
    assert await arrive(site) is None


async def test_bot_is_warm_before_calls_are_taken():
    class Bot:
        is_warm = False

        async def warm_up(self) -> None:
            self.is_warm = True

        async def __call__(self, call: Any) -> None:
            await call.hang_up()

    bot = Bot()
    server = TestServer(create_app(bot))
    await server.start_server()
    assert bot.is_warm
    await server.close()


async def test_calls_are_taken_while_a_warm_up_hangs(log_lines: list[str]):
    finish = asyncio.Event()

    async def bot(call: Any) -> None:
        await call.hang_up()

    settings = ServerSettings(warm_up_secs=0.1, warm=False)
    async with TestClient(TestServer(create_app(bot, settings, warm_up=finish.wait))) as client:
        assert (await client.get("/healthz")).status == 200
        finish.set()
        await until(lambda: any("warm-up is done" in line for line in log_lines), seconds=5)

    told = [line for line in log_lines if "warm-up is not done after 0.1 s" in line]
    assert len(told) == 1


async def test_late_failure_of_a_warm_up_is_logged(log_lines: list[str]):
    fail = asyncio.Event()

    async def warm_up() -> None:
        await fail.wait()
        raise ValueError("+14155550199")

    async def bot(call: Any) -> None:
        await call.hang_up()

    settings = ServerSettings(warm_up_secs=0.1, warm=False)
    async with TestServer(create_app(bot, settings, warm_up=warm_up)):
        fail.set()
        await until(lambda: any("warm-up failed" in line for line in log_lines), seconds=5)

    assert not any("5550199" in line for line in log_lines)


async def test_hanging_warm_up_ends_with_the_server():
    cancelled = asyncio.Event()

    async def warm_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def bot(call: Any) -> None:
        await call.hang_up()

    settings = ServerSettings(warm_up_secs=0.1, warm=False)
    async with TestServer(create_app(bot, settings, warm_up=warm_up)):
        pass

    assert cancelled.is_set()


async def test_bot_that_cannot_warm_up_is_not_served():
    async def warm_up() -> None:
        raise ValueError("no such voice")

    async def bot(call: Any) -> None:
        await call.hang_up()

    with pytest.raises(ValueError, match="no such voice"):
        await TestServer(create_app(bot, warm_up=warm_up)).start_server()
