"""A filler is said into a silence that is too long, and never else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.waiting import time_passes
from twilio_frames.processors.replies.filler import SilenceFiller

AFTER = 0.5
LONG = AFTER + 0.4
SHORT = 0.05


class Spoken(FrameProcessor):
    def __init__(self):
        super().__init__()
        self.fillers: list[TTSSpeakFrame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSSpeakFrame):
            self.fillers.append(frame)
        await self.push_frame(frame, direction)


class Rig:
    def __init__(self, worker: PipelineWorker, spoken: Spoken):
        self._worker = worker
        self._spoken = spoken

    async def take(self, *frames: Frame, wait: float = 0.0) -> list[str]:
        """Lets frames pass, waits, and gives all fillers so far."""
        for frame in frames:
            await self._worker.queue_frame(frame)
            # System frames would overtake what was queued before them.
            await time_passes(0.02)
        await time_passes(wait)
        return [frame.text for frame in self._spoken.fillers]

    @property
    def frames(self) -> list[TTSSpeakFrame]:
        return self._spoken.fillers


@asynccontextmanager
async def rig(*fillers: SilenceFiller) -> AsyncIterator[Rig]:
    spoken = Spoken()
    fillers = fillers or (SilenceFiller(fillers=("One.", "Two."), filler_after=AFTER),)
    worker = PipelineWorker(Pipeline([*fillers, spoken]), enable_rtvi=False)
    started = asyncio.Event()

    async def on_started(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", on_started)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await started.wait()
    try:
        yield Rig(worker, spoken)
    finally:
        await worker.cancel()
        await running


def call(id: str) -> FunctionCallsStartedFrame:
    made = FunctionCallFromLLM(
        function_name="order", tool_call_id=id, arguments={}, context=LLMContext()
    )
    return FunctionCallsStartedFrame(function_calls=[made])


def result(id: str) -> FunctionCallResultFrame:
    return FunctionCallResultFrame(
        function_name="order", tool_call_id=id, arguments={}, result="done"
    )


async def test_one_filler_is_said_in_each_turn():
    async with rig() as pipe:
        assert await pipe.take(
            UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), wait=LONG
        ) == ["One."]
        assert await pipe.take(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame(), wait=LONG) == [
            "One."
        ]
        await pipe.take(LLMTextFrame("Hello."), LLMFullResponseEndFrame())
        assert await pipe.take(
            UserStartedSpeakingFrame(),
            UserStoppedSpeakingFrame(),
            LLMFullResponseStartFrame(),
            wait=LONG,
        ) == ["One.", "Two."]
    assert not any(frame.append_to_context for frame in pipe.frames)


async def test_quick_reply_needs_none():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), wait=SHORT)
        await pipe.take(LLMTextFrame("Hello."), LLMFullResponseEndFrame())
        assert await pipe.take(wait=LONG) == []


async def test_turn_without_response_needs_none():
    async with rig() as pipe:
        assert await pipe.take(UserStoppedSpeakingFrame(), wait=LONG) == []


async def test_caller_who_goes_on_hears_none():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), wait=SHORT)
        assert await pipe.take(UserStartedSpeakingFrame(), InterruptionFrame(), wait=LONG) == []


async def test_bot_that_is_heard_needs_none():
    async with rig() as pipe:
        await pipe.take(BotStartedSpeakingFrame(), UserStoppedSpeakingFrame())
        assert await pipe.take(LLMFullResponseStartFrame(), wait=LONG) == []
        assert await pipe.take(BotStoppedSpeakingFrame(), wait=SHORT) == []
        assert await pipe.take(wait=LONG) == ["One."]


async def test_words_that_stop_coming_are_filled():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), wait=SHORT)
        assert await pipe.take(LLMTextFrame("We are"), wait=LONG) == ["One."]


async def test_slow_function_is_filled():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), call("a"))
        await pipe.take(LLMFullResponseEndFrame())
        assert await pipe.take(wait=LONG) == ["One."]
        await pipe.take(result("a"), LLMFullResponseStartFrame(), LLMTextFrame("Seven."))
        assert await pipe.take(LLMFullResponseEndFrame(), wait=LONG) == ["One."]


async def test_wait_for_a_function_is_one_wait():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), call("a"))
        await pipe.take(LLMFullResponseEndFrame(), result("a"), wait=SHORT)
        assert await pipe.take(LLMFullResponseStartFrame(), wait=LONG) == ["One."]


async def test_function_in_the_background_is_not_filled():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), call("a"))
        running = FunctionCallInProgressFrame(
            function_name="order", tool_call_id="a", arguments={}, cancel_on_interruption=False
        )
        await pipe.take(running, LLMTextFrame("I am on it."), LLMFullResponseEndFrame())
        assert await pipe.take(wait=LONG) == []


async def test_eager_reply_is_not_filled_in_mid_turn():
    async with rig() as pipe:
        await pipe.take(UserStartedSpeakingFrame(), LLMFullResponseStartFrame(), wait=LONG)
        assert await pipe.take(EagerEndOfTurnCancelFrame(), wait=LONG) == []
        await pipe.take(LLMFullResponseStartFrame(), LLMTextFrame("Hi."), LLMFullResponseEndFrame())
        assert await pipe.take(UserStoppedSpeakingFrame(), wait=LONG) == []


async def test_idle_bot_that_speaks_up_has_its_time():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), wait=AFTER + 1.2)
        assert await pipe.take(LLMFullResponseStartFrame(), wait=SHORT) == []
        assert await pipe.take(wait=LONG) == ["One."]


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.2), (0.2, 0.3), (0.3, 0.2)])
async def test_two_in_a_row_say_one(first: float, second: float):
    fillers = [SilenceFiller(fillers=["One."], filler_after=after) for after in (first, second)]
    async with rig(*fillers) as pipe:
        for turn in (1, 2):
            await pipe.take(UserStartedSpeakingFrame(), UserStoppedSpeakingFrame())
            said = await pipe.take(LLMFullResponseStartFrame(), wait=LONG)
            assert said == ["One."] * turn


async def test_second_response_of_a_turn_has_none():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame(), wait=LONG)
        await pipe.take(LLMTextFrame("Hello."), LLMFullResponseEndFrame())
        assert await pipe.take(LLMFullResponseStartFrame(), wait=LONG) == ["One."]


async def test_somebody_elses_words_count_as_one():
    async with rig() as pipe:
        await pipe.take(UserStoppedSpeakingFrame(), LLMFullResponseStartFrame())
        speech = TTSSpeakFrame("I am looking it up.", append_to_context=False)
        assert await pipe.take(speech, wait=LONG) == [speech.text]
