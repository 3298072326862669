"""A processor that never comes back ends its call, and the log says which one it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    StartFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from tests.pipecat_versions import HELD_SETUP, unless_pipecat_112
from tests.server.test_bulkhead import CLOSED, site_of
from tests.transport.bots import tone
from tests.vendors.faults import bad_day
from tests.waiting import time_passes
from twilio_frames.call import Call
from twilio_frames.errors import CallFailedError
from twilio_frames.frames import CallStartedFrame
from twilio_frames.server.state import STATE
from twilio_frames.testing import Phone
from twilio_frames.transport import TwilioParams

SILENCE = "////" * 53 + "/w=="
MEDIA = {
    "event": "media",
    "streamSid": "MZ1",
    "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": SILENCE},
}


async def forever() -> None:
    await asyncio.Event().wait()


async def polling() -> None:
    while True:  # noqa: ASYNC110  # as bad as it looks
        await asyncio.sleep(0.3)  # a place in this file, which the error names


async def iterating() -> None:
    async def never() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async for _ in never():
        pass


class Sticks(FrameProcessor):
    """Never returns from frames of a kind."""

    def __init__(self, kind: type[Frame], wait: Any = forever):
        super().__init__()
        self._kind = kind
        self._wait = wait

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, self._kind):
            await self._wait()
        await self.push_frame(frame, direction)


class SticksInSetup(IdentityFilter):
    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        await forever()


class Starts(IdentityFilter):
    """Is long, but not too long, about its start."""

    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        await time_passes(8)


class AsTask(FrameProcessor):
    """Does what takes long in a task of its own."""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, CallStartedFrame):
            self.create_task(forever())
        await self.push_frame(frame, direction)


class Speaks(FrameProcessor):
    """Speaks for as long as it is at one frame, as an LLM service does whose reply is long."""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, TextFrame):
            while True:
                await self.push_frame(TTSStartedFrame())
                audio = TTSAudioRawFrame(audio=tone(2.0), sample_rate=8000, num_channels=1)
                await self.push_frame(audio)
                await self.push_frame(TTSStoppedFrame())
                await time_passes(5.0)


def bot_with(*parts: FrameProcessor) -> Callable[[Call], Any]:
    async def bot(call: Call) -> None:
        pipeline = Pipeline([call.transport.input(), *parts, call.transport.output()])
        await call.run(pipeline, begin_with=[TextFrame("one")])

    return bot


async def lasts(bot: Callable[[Call], Any], *, seconds: float = 60.0) -> tuple[float, list[str]]:
    """How long the call is up, at most so long, and what Twilio is told then."""
    clock = asyncio.get_running_loop().time
    async with site_of(bot) as site:
        websocket = await site.start(await site.parameters())
        began = clock()
        await websocket.send_json(MEDIA)
        await websocket.send_json(
            {"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound", "digit": "1"}}
        )
        hearing = asyncio.create_task(heard_by(websocket))
        asking = asyncio.create_task(echoing(websocket))
        await asyncio.wait({hearing}, timeout=seconds)
        asking.cancel()
        took = clock() - began
        told = [verb.tag for verb in await site.ask("/after-stream")] if hearing.done() else []
        hearing.cancel()
        await websocket.close()
        assert await site.client.app[STATE].switchboard.drain(40) == 0
    return took, told


async def heard_by(websocket: Any) -> None:
    while (message := await websocket.receive()).type not in CLOSED:
        if message.json()["event"] == "mark":
            await websocket.send_json({**message.json(), "sequenceNumber": "9"})


async def echoing(websocket: Any) -> None:
    """Keeps the line alive."""
    while True:
        await time_passes(1.0)
        await websocket.send_json(MEDIA)


HELD: dict[str, tuple[Callable[[], list[FrameProcessor]], str]] = {
    "a frame": (lambda: [Sticks(TextFrame)], " at TextFrame"),
    "a system frame": (lambda: [Sticks(InputAudioRawFrame)], "at MulawInputFrame"),
    "a key": (lambda: [Sticks(InputDTMFFrame)], "at InputDTMFFrame"),
    "again and again": (lambda: [Sticks(TextFrame, polling)], "at TextFrame"),
    "in a generator": (lambda: [Sticks(TextFrame, iterating)], "at TextFrame"),
    "inside of a pipeline": (lambda: [Pipeline([Sticks(TextFrame)])], "Sticks#"),
    "in a branch": (lambda: [ParallelPipeline([IdentityFilter()], [Sticks(TextFrame)])], "Sticks#"),
    "without a queue": (lambda: [Direct(TextFrame)], "Direct#"),
}


class Direct(Sticks):
    """Works in the task of the one ahead of it."""

    def __init__(self, kind: type[Frame]):
        super().__init__(kind)
        self._enable_direct_mode = True


@bad_day(
    "bot",
    "a processor never comes back from a frame",
    "Silence, for 15 s at most (`processor_timeout_secs`); then the apology.",
)
@pytest.mark.parametrize("held", HELD)
async def test_processor_that_sticks_ends_its_call(held: str, log_lines: list[str]):
    make, named = HELD[held]
    async with asyncio.timeout(200):
        took, told = await lasts(bot_with(*make()))

    assert 15.0 <= took < 20.0
    assert told == ["Say", "Hangup"]
    errors = [line for line in log_lines if "holds it up" in line and "held_up" not in line]
    assert named in errors[0]
    assert f"{__file__}:" in errors[0]


STARTS: dict[str, tuple[Callable[[], FrameProcessor], str]] = {
    "setup": (SticksInSetup, " at setup()"),
    "StartFrame": (lambda: Sticks(StartFrame), "at StartFrame"),
    "in a pipeline": (lambda: Pipeline([SticksInSetup()]), "at setup()"),
}


@bad_day(
    "bot",
    "a pipeline that does not start",
    "Silence, for 10 s at most (`pipeline_timeout_secs`); then the apology.",
)
@pytest.mark.parametrize(
    "start",
    [
        "StartFrame",
        *(
            pytest.param(start, marks=unless_pipecat_112(HELD_SETUP))
            for start in ("setup", "in a pipeline")
        ),
    ],
)
async def test_pipeline_that_does_not_start_is_no_long_silence(start: str, log_lines: list[str]):
    make, named = STARTS[start]
    async with asyncio.timeout(200):
        took, told = await lasts(bot_with(make()))

    assert 10.0 <= took < 12.0
    assert told == ["Say", "Hangup"]
    assert any(named in line and "come up in time" in line for line in log_lines)


GOES_ON: dict[str, Callable[[], FrameProcessor]] = {
    "slow start": Starts,
    "task of its own": AsTask,
    "speech": Speaks,
    "one that swallows frames": lambda: Sticks(TextFrame, lambda: time_passes(12)),
}


@pytest.mark.parametrize("kind", GOES_ON)
async def test_what_is_only_slow_goes_on(kind: str, log_lines: list[str]):
    async with asyncio.timeout(200):
        took, _ = await lasts(bot_with(GOES_ON[kind]()), seconds=40)

    assert took >= 40
    assert "holds it up" not in "".join(log_lines)


async def test_limit_is_a_setting(phone: Phone):
    with pytest.raises(CallFailedError, match=r"within 3 s, got one that holds it up: Sticks"):
        await phone.ring(with_limit(3.0), listen)


async def test_no_limit_is_a_setting(phone: Phone):
    call = await phone.ring(with_limit(None), listen)
    assert call.bot_errors == ()


def with_limit(limit: float | None) -> Callable[[Any], Any]:
    from twilio_frames.server import ServerSettings, create_app

    def make(twilio: Any) -> Any:
        params = TwilioParams(processor_timeout_secs=limit)
        settings = ServerSettings(
            account_sid=twilio.account_sid, auth_token=twilio.auth_token, transport=params
        )
        return create_app(bot_with(Sticks(TextFrame)), settings)

    return make


async def listen(caller: Any) -> None:
    await caller.wait_until(lambda: False, seconds=30.0)
