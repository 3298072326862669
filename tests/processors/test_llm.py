import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    MetricsFrame,
    TextFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.tests.utils import run_test
from pipecat.workers.runner import WorkerRunner

from twilio_frames.processors.llm import PythonLLMAdapter, PythonLLMService
from twilio_frames.processors.replies.apology import APOLOGY


class Counting(PythonLLMService):
    """Says how many messages it was given, in two pieces."""

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        yield f"{len(context.get_messages())} "
        yield "messages."


class Failing(PythonLLMService):
    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        yield "One moment."
        raise LookupError("the caller said 5550100")


class Endless(PythonLLMService):
    def __init__(self, *, time_limit: float = 30.0):
        super().__init__(time_limit=time_limit)
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        self.running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        yield "never"


def conversation(*texts: str) -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": text} for text in texts]))


def spoken(frames: Sequence[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


async def test_response_is_framed_as_any_llm():
    await run_test(
        Counting(),
        frames_to_send=[conversation("hello", "there")],
        expected_down_frames=[
            LLMServiceMetadataFrame,
            LLMFullResponseStartFrame,
            LLMTextFrame,
            LLMTextFrame,
            LLMFullResponseEndFrame,
        ],
    )


async def test_pieces_join_as_they_are():
    down, _ = await run_test(Counting(), frames_to_send=[conversation("hello", "there")])

    assert spoken(down) == "2 messages."


async def test_other_frames_pass():
    await run_test(
        Counting(),
        frames_to_send=[TextFrame("hello")],
        expected_down_frames=[LLMServiceMetadataFrame, TextFrame],
    )


async def test_time_to_first_text_is_measured():
    down, _ = await run_test(
        Counting(),
        frames_to_send=[conversation("hello")],
        pipeline_params=PipelineParams(enable_metrics=True),
    )

    metrics = [entry for frame in down if isinstance(frame, MetricsFrame) for entry in frame.data]
    assert any(isinstance(entry, TTFBMetricsData) for entry in metrics)


async def test_failed_response_is_apologized_for():
    down, up = await run_test(Failing(apology="Sorry."), frames_to_send=[conversation("hello")])

    assert spoken(down) == "One moment. Sorry."
    assert isinstance(down[-1], LLMFullResponseEndFrame)
    errors = [frame.error for frame in up if isinstance(frame, ErrorFrame)]
    assert errors == ["respond() raised LookupError"]


async def test_apology_is_parted_from_words_that_broke_off():
    class BreakingOff(PythonLLMService):
        async def respond(self, context: LLMContext) -> AsyncIterator[str]:
            yield "We are open"
            raise LookupError

    down, _ = await run_test(
        BreakingOff(apology="Sorry."), frames_to_send=[conversation("one"), conversation("two")]
    )

    assert spoken(down) == "We are open \N{EM DASH} Sorry." * 2


async def test_service_answers_after_failure():
    down, _ = await run_test(
        Failing(apology="Sorry."), frames_to_send=[conversation("one"), conversation("two")]
    )

    assert spoken(down) == "One moment. Sorry." * 2


async def test_empty_apology_stays_silent():
    down, _ = await run_test(Failing(apology=""), frames_to_send=[conversation("hello")])

    assert spoken(down) == "One moment."


async def test_slow_response_is_given_up():
    service = Endless(time_limit=0.01)
    timeouts: list[object] = []

    @service.event_handler("on_completion_timeout")
    async def on_completion_timeout(service: PythonLLMService) -> None:
        timeouts.append(service)

    down, up = await run_test(service, frames_to_send=[conversation("hello")])

    assert spoken(down) == APOLOGY
    assert [frame.error for frame in up if isinstance(frame, ErrorFrame)] == [
        "respond() took too long"
    ]
    assert service.cancelled.is_set()


async def test_interruption_cancels_response():
    service = Endless()
    worker = PipelineWorker(Pipeline([service]), cancel_on_idle_timeout=False, enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frame(conversation("hello"))
    await asyncio.wait_for(service.running.wait(), 2)

    await worker.queue_frame(InterruptionFrame())

    await asyncio.wait_for(service.cancelled.wait(), 2)
    await worker.cancel()
    await asyncio.wait_for(running, 2)


def test_vendors_sdk_is_not_imported():
    code = (
        "import sys\n"
        "from twilio_frames.processors.llm import PythonLLMService\n"
        "class Mute(PythonLLMService):\n"
        "    async def respond(self, context):\n"
        "        yield ''\n"
        "Mute()\n"
        "sys.exit('openai' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


async def test_adapter_hands_on_messages():
    context = conversation("hello").context
    adapter = PythonLLMAdapter()

    assert await adapter.get_llm_invocation_params(context) == {"messages": context.get_messages()}
    assert adapter.get_messages_for_logging(context) == []


def test_response_must_be_written():
    with pytest.raises(TypeError, match="respond"):
        PythonLLMService()  # pyright: ignore[reportAbstractUsage] That it is abstract is the point.
