"""Whatever a bot raises, and wherever, ends its own call and no other."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.pipecat_versions import HELD_SETUP, unless_pipecat_112
from tests.server.conftest import QUICK
from tests.server.failing_bots import (
    CALLBACKS,
    WAYS,
    Act,
    OwnError,
    itself,
    line,
    processor,
    processor_at_start,
    setup,
    stopped,
)
from tests.server.site import FORM, TOKEN, RecordingBot, Site
from tests.vendors.faults import bad_day
from tests.waiting import others_run, until
from twilio_frames.bulkhead import Compartment
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.server.state import STATE
from twilio_frames.stopping import FRAME_TASKS

CLOSED = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)


ERRORS = [
    SystemExit("+14155550100"),
    KeyboardInterrupt(),
    OwnError(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError()]),
    GeneratorExit(),
]


@asynccontextmanager
async def site_of(bot: Callable[[Call], Awaitable[None]], **hooks: Any) -> AsyncIterator[Site]:
    app = create_app(bot, ServerSettings(auth_token=TOKEN, transport=QUICK), **hooks)
    async with TestClient(TestServer(app)) as client:
        yield Site(client=client, state=app[STATE], bot=cast("RecordingBot", bot))


async def check(act: Act, error: BaseException, lines: list[str]) -> None:
    good = RecordingBot()

    async def bot(call: Call) -> None:
        await (act(call, error) if call.call_sid == "CA1" else good(call))

    async with asyncio.timeout(30), site_of(bot) as site:
        other = await site.start(await site.parameters(FORM | {"CallSid": "CA2"}), "CA2")
        await good.arrived.wait()
        websocket = await site.start(await site.parameters())
        while (await websocket.receive()).type not in CLOSED:
            pass
        told = [verb.tag for verb in await site.ask("/after-stream")]
        record = site.state.records.open("CA1")
        await record.settled.wait()

        assert told == ["Say", "Hangup"]
        assert record.phase == "failed"
        assert good.calls[0].end_reason is None
        good.leave.set()
        await other.receive()
        assert await site.state.switchboard.drain(15) == 0

    logged = "".join(lines)
    assert f"CA1: the bot failed: {type(error).__name__}" in logged
    assert "415555" not in logged.split("the bot failed")[1]


@bad_day(
    "bot",
    "the bot raises what is no `Exception`",
    "An apology; every other call goes on.",
)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("act", [itself, processor], ids=lambda act: act.__name__)
async def test_what_is_no_exception_ends_its_call(
    act: Act, error: BaseException, log_lines: list[str]
):
    await check(act, error, log_lines)


@pytest.mark.parametrize("event", ["on_call_ended", "on_client_disconnected"])
@pytest.mark.parametrize("is_coroutine", [True, False], ids=["coroutine", "function"])
async def test_exit_at_the_end_of_a_call_ends_no_other(
    event: str, is_coroutine: bool, log_lines: list[str]
):
    good = RecordingBot()

    def leave(*_: Any) -> None:
        raise SystemExit(3)

    async def leave_later(*_: Any) -> None:
        raise SystemExit(3)

    async def bot(call: Call) -> None:
        if call.call_sid == "CA2":
            await good(call)
        call.transport.add_event_handler(event, leave_later if is_coroutine else leave)
        await call.run(line(call))

    async with asyncio.timeout(30), site_of(bot) as site:
        other = await site.start(await site.parameters(FORM | {"CallSid": "CA2"}), "CA2")
        await good.arrived.wait()
        websocket = await site.start(await site.parameters())
        await websocket.send_json({"event": "stop", "sequenceNumber": "2", "streamSid": "MZ1"})
        await websocket.close()
        await site.state.records.open("CA1").settled.wait()

        assert good.calls[0].end_reason is None
        good.leave.set()
        await other.receive()
        assert await site.state.switchboard.drain(15) == 0

    assert "CA1: the bot failed: SystemExit" in "".join(log_lines)


@bad_day(
    "bot",
    "`sys.exit()` anywhere in a bot, its tasks and callbacks",
    "An apology; every other call goes on.",
)
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, marks=unless_pipecat_112(HELD_SETUP) if act is setup else ())
        for act in WAYS
    ],
    ids=lambda act: act.__name__,
)
async def test_exit_anywhere_in_a_bot_ends_its_call(act: Act, log_lines: list[str]):
    await check(act, SystemExit(3), log_lines)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OwnError(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("act", CALLBACKS, ids=lambda act: act.__name__)
async def test_callbacks_are_kept_in_their_call(
    act: Act, error: BaseException, log_lines: list[str]
):
    await check(act, error, log_lines)


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("act", CALLBACKS, ids=lambda act: act.__name__)
async def test_callback_that_fails_as_ever_ends_no_call(
    act: Act, error: BaseException, caplog: pytest.LogCaptureFixture
):
    bots: list[asyncio.Task[Any]] = []

    async def bot(call: Call) -> None:
        bots.extend(filter(None, [asyncio.current_task()]))
        await act(call, error)

    async with asyncio.timeout(30), site_of(bot) as site:
        websocket = await site.start(await site.parameters())
        await until(lambda: "Exception in callback" in caplog.text)
        assert not bots[0].done()
        await websocket.close()
        assert await site.state.switchboard.drain(15) == 0


async def test_callbacks_outside_a_bot_end_the_loop_as_ever():
    def signalled() -> None:
        raise SystemExit(3)

    async def nothing() -> None:
        pass

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, signalled)
        # What a bot calls runs where the bot does; the timer above was not set there.
        await asyncio.create_task(Compartment(lambda _: None).run(nothing()))
        await asyncio.Event().wait()

    def run() -> object:
        try:
            asyncio.run(work())
        except SystemExit as error:
            return error.code
        return None

    assert await asyncio.to_thread(run) == 3


@pytest.mark.real_time
async def test_ctrl_c_ends_a_process_whose_bot_is_busy():
    program = """
import asyncio, os, signal
from twilio_frames.bulkhead import Compartment

# A shell's background jobs inherit that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def bot():
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    asyncio.get_running_loop().call_soon(interrupt)
    await asyncio.Event().wait()

async def main():
    await asyncio.create_task(Compartment(lambda error: print("breach")).run(bot()))

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert output.split() == [b"interrupted"]


async def test_coroutine_that_is_thrown_away_is_no_breach():
    breaches: list[BaseException] = []

    async def bot() -> None:
        await asyncio.Event().wait()

    work = Compartment(breaches.append).run(bot())
    task = asyncio.create_task(work)
    await others_run()
    work.close()
    task.cancel()
    await asyncio.wait({task})
    assert breaches == []


@pytest.mark.parametrize(
    "act",
    [processor, pytest.param(setup, marks=unless_pipecat_112(HELD_SETUP))],
    ids=lambda act: act.__name__,
)
async def test_cancellation_that_nobody_ordered_mutes_nobody(act: Act, log_lines: list[str]):
    began = asyncio.get_running_loop().time()
    await check(act, asyncio.CancelledError(), log_lines)
    # Pipecat waits for twenty seconds for a pipeline that does not come up.
    assert asyncio.get_running_loop().time() - began < 15.0


@pytest.mark.parametrize("error", [SystemExit(3), ValueError()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("act", [setup, processor_at_start, stopped], ids=lambda act: act.__name__)
async def test_pipeline_without_an_end_leaves_no_task(act: Act, error: BaseException):
    async def bot(call: Call) -> None:
        await act(call, error)

    before = asyncio.all_tasks()
    async with asyncio.timeout(30), site_of(bot) as site:
        websocket = await site.start(await site.parameters())
        while (await websocket.receive()).type not in CLOSED:
            pass
        assert await site.state.switchboard.drain(15) == 0
        reason = site.state.records.open("CA1").end_reason
    assert (reason is CallEndReason.BOT_HUNG_UP) is (act is stopped)
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not any(FRAME_TASKS in name or "::" in name for name in left), left


async def test_exit_in_a_preparation_costs_no_call():
    async def prepare(_: object) -> None:
        raise SystemExit

    bot = RecordingBot()
    async with asyncio.timeout(20), site_of(bot, prepare=prepare) as site:
        await site.start(await site.parameters())
        await bot.arrived.wait()

        assert await bot.calls[0].prepared() is None


async def test_task_that_is_cancelled_before_it_began_leaves_nothing():
    async def bot() -> bool:
        task = asyncio.create_task(others_run())
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    breaches: list[BaseException] = []
    assert await asyncio.create_task(Compartment(breaches.append).run(bot()))
    assert breaches == []


async def test_tasks_outside_a_bot_are_as_ever():
    async def nothing() -> None:
        pass

    await asyncio.create_task(Compartment(lambda _: None).run(nothing()))
    work = nothing()
    task = asyncio.create_task(work)

    assert task.get_coro() is work
    await task


async def test_pipecat_names_tasks_as_we_think():
    names: set[str] = set()

    class Namer(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection):
            await super().process_frame(frame, direction)
            task = asyncio.current_task()
            assert task is not None
            names.add(task.get_name())
            await self.push_frame(frame, direction)

    async def bot(call: Call) -> None:
        async def started(*_: Any) -> None:
            await call.hang_up()

        call.transport.add_event_handler("on_client_connected", started)
        await call.run(line(call, Namer()))

    async with asyncio.timeout(20), site_of(bot) as site:
        websocket = await site.start(await site.parameters())
        while (await websocket.receive()).type not in CLOSED:
            pass

    assert names
    assert all(name.endswith(FRAME_TASKS) for name in names)
