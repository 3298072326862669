"""A pipeline that cannot come up is known at once, and the line is not dead air."""

import asyncio
import inspect

import aiohttp
import pytest
from pipecat.frames.frames import ClientConnectedFrame, Frame, StartFrame
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from tests.pipecat_versions import HELD_SETUP, unless_pipecat_112
from tests.transport.bots import Bot, listening
from tests.transport.test_transport import Wire
from tests.vendors.faults import bad_day
from twilio_frames.call import Call
from twilio_frames.frames import CallStartedFrame
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.testing import Phone
from twilio_frames.transport.coming_up import AT_FRAME, AT_SETUP
from twilio_frames.worker import phone_worker


class FailsAtStart(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            raise ValueError("no such model, key sk-123")
        await self.push_frame(frame, direction)


class FailsInSetup(IdentityFilter):
    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        raise ConnectionError("wrong key sk-123")


class FailsBeforeSetup(IdentityFilter):
    async def setup(self, setup: FrameProcessorSetup):
        raise OSError("wrong key sk-123")


class FailsLater(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, ClientConnectedFrame):
            raise ValueError
        await self.push_frame(frame, direction)


class ComplainsInSetup(IdentityFilter):
    """Tells of an error that it lives with."""

    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        await self.push_error("the first attempt to connect failed", exception=OSError())


def behind(processor: FrameProcessor) -> list[FrameProcessor]:
    """What hangs in its setup; an error has no way past it."""

    class Hangs(IdentityFilter):
        async def setup(self, setup: FrameProcessorSetup):
            await super().setup(setup)
            await asyncio.Event().wait()

    return [Hangs(), processor]


FAILING = {
    "at start": lambda: [FailsAtStart()],
    "in setup": lambda: [FailsInSetup()],
    "before setup": lambda: [FailsBeforeSetup()],
    "in a pipeline": lambda: [Pipeline([FailsInSetup()])],
    "in a branch": lambda: [ParallelPipeline([IdentityFilter()], [FailsAtStart()])],
    "both of two": lambda: [ServiceSwitcher([FailsInSetup(), FailsInSetup()])],
    "behind one that hangs": lambda: behind(FailsInSetup()),
    "of two, without Pipecat's part": lambda: [
        ServiceSwitcher([IdentityFilter(), FailsBeforeSetup()])
    ],
}
WORKING = {
    "one of two": lambda: [ServiceSwitcher([FailsInSetup(), IdentityFilter()])],
    "complains": lambda: [ComplainsInSetup()],
    "at another frame": lambda: [FailsLater()],
}


def with_parts(bot: Bot, parts: list[FrameProcessor]) -> None:
    own = [bot.transport.input(), bot.before, *parts, bot.transport.output(), bot.after]
    bot.worker = phone_worker(Pipeline(own))


@unless_pipecat_112(HELD_SETUP)
@bad_day(
    "bot",
    "a processor fails in its setup or at `StartFrame`",
    "No silence: the line is closed at once, and the apology follows.",
)
@pytest.mark.parametrize("kind", FAILING)
async def test_failure_ends_the_call_at_once(kind: str, monkeypatch: pytest.MonkeyPatch):
    run = Bot.run

    async def run_with_parts(bot: Bot) -> None:
        with_parts(bot, FAILING[kind]())
        await run(bot)

    monkeypatch.setattr(Bot, "run", run_with_parts)
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await Wire(socket).begin()
            bot = await bots.get()
            async with asyncio.timeout(5):
                await bot.done.wait()

    failure = bot.transport.pipeline_failure
    assert failure is not None
    assert type(failure.processor).__name__.startswith("Fails")
    assert bot.transport.end_reason == "error"


@pytest.mark.parametrize("kind", WORKING)
async def test_what_can_be_lived_with_ends_nothing(kind: str, monkeypatch: pytest.MonkeyPatch):
    run = Bot.run

    async def run_with_parts(bot: Bot) -> None:
        with_parts(bot, WORKING[kind]())
        await run(bot)

    monkeypatch.setattr(Bot, "run", run_with_parts)
    async with listening() as (url, bots), aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            wire = Wire(socket)
            await wire.begin()
            bot = await bots.get()
            await bot.after.wait_for(CallStartedFrame)
            assert bot.transport.end_reason is None
            await wire.say_stop()
            assert await bot.end_reason() == "caller hung up"


@unless_pipecat_112("catches elsewhere what a set-up raises")
def test_pipecat_catches_where_we_think():
    source = inspect.getsource(FrameProcessor)
    assert f"async def {AT_FRAME}(\n        self, frame: Frame" in source
    assert f"async def {AT_SETUP}(self, processor" in inspect.getsource(BasePipeline)
    assert hasattr(IdentityFilter(), "_task_manager")


async def test_bot_that_only_speaks_is_up(phone: Phone):
    """It has no input that would tell; its silence is no sign of a pipeline that never came up."""

    async def announces(call: Call) -> None:
        pipeline = Pipeline([EspeakTTSService(), call.transport.output()])
        await call.run(pipeline, greeting="The office is closed.")

    async with phone.call(announces) as caller:
        await caller.wait_for_bot(silence=0.5)
        await caller.wait(40)

        assert caller.is_connected
