"""A pipeline's run ends in bounded time, whatever stands in the way."""

import asyncio

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputTransportMessageFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from tests.waiting import others_run
from twilio_frames.running import PipelineRun
from twilio_frames.worker import phone_worker


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PipelineRun, "_ASK_SECS", 0.1)
    monkeypatch.setattr(PipelineRun, "_CLEAN_UP_SECS", 0.1)


class HoldsUp(FrameProcessor):
    """Does not let frames of a kind through."""

    def __init__(self, kind: type[Frame], *, is_stubborn: bool = False):
        super().__init__()
        self._kind = kind
        self._is_stubborn = is_stubborn
        self.holding = asyncio.Event()
        self.free = asyncio.Event()
        self.cleaned_up = False

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, self._kind):
            self.holding.set()
            while not self.free.is_set():
                try:
                    await self.free.wait()
                except asyncio.CancelledError:
                    if not self._is_stubborn:
                        raise
        await self.push_frame(frame, direction)

    async def cleanup(self):
        self.cleaned_up = True
        await super().cleanup()


class HangsInSetup(HoldsUp):
    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        self.holding.set()
        await self.free.wait()


async def stop(part: HoldsUp, *frames: Frame) -> PipelineRun:
    worker = phone_worker(Pipeline([part]))
    await worker.queue_frames(frames)
    run = PipelineRun(worker, "CA1")
    task = asyncio.create_task(run.run(lambda: None))
    async with asyncio.timeout(10):
        await part.holding.wait()
        await run.stop("the test")
        await task
    return run


PARTS = {
    "the end": lambda: (HoldsUp(EndFrame), EndFrame()),
    "a system frame": lambda: (HoldsUp(InputTransportMessageFrame), InputTransportMessageFrame({})),
    "the start": lambda: (HoldsUp(StartFrame),),
    "its setup": lambda: (HangsInSetup(EndFrame),),
    "the cancellation, too": lambda: (HoldsUp((EndFrame, CancelFrame)), EndFrame()),  # pyright: ignore[reportArgumentType] isinstance() takes both.
}


@pytest.mark.parametrize("what", PARTS)
async def test_nothing_is_left_of_a_pipeline_that_is_held_up(what: str):
    before = asyncio.all_tasks()
    part, *frames = PARTS[what]()

    run = await stop(part, *frames)

    assert run.left == set()
    assert part.cleaned_up
    await others_run()
    assert asyncio.all_tasks() == before


async def test_what_cannot_be_stopped_is_told_of():
    part = HoldsUp(InputTransportMessageFrame, is_stubborn=True)

    try:
        run = await stop(part, InputTransportMessageFrame({}))
        left = len(run.left)
    finally:
        part.free.set()
    await asyncio.wait(run.left, timeout=5)

    assert left >= 1


async def test_cancelled_run_is_stopped_too():
    part = HoldsUp(EndFrame)
    worker = phone_worker(Pipeline([part]))
    await worker.queue_frame(EndFrame())
    told = []
    run = PipelineRun(worker, "CA1")
    task = asyncio.create_task(run.run(lambda: told.append("broken off")))
    async with asyncio.timeout(10):
        await part.holding.wait()
        task.cancel()
        await asyncio.wait({task})

    assert task.cancelled()
    assert told == ["broken off"]
