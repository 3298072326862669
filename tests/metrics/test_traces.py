"""A call's trace: which spans it has, whose they are, and by what they are found."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import pytest
from loguru import logger
from pipecat.frames.frames import EndFrame, Frame, LLMTextFrame, TextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner

from tests.pipecat.rig import ToneTTS
from twilio_frames.call import phone_worker
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Call
from twilio_frames.services.traced_replies import TracedReplies
from twilio_frames.testing import Caller, Phone

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)


class Hearer(UtteranceSTTService):
    async def transcribe(self, pcm: bytes) -> str | None:
        return "a large pizza"


class Talker(PythonLLMService):
    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        yield "one two three four five six seven eight nine."


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


def parts(call: Call) -> Pipeline:
    transport, memory = call.transport, PhoneContextAggregator()
    ahead = [transport.input(), PhoneVAD(), Hearer(), memory.user(), Talker(), ToneTTS()]
    return Pipeline([*ahead, transport.output(), memory.assistant()])


def of(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def told(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


async def test_a_call_has_spans_of_all_that_is_done(phone: Phone, exported: InMemorySpanExporter):
    sids = Counter[str | None]()

    def note(message: Any) -> None:
        sids[message.record["extra"].get("call_sid")] += "pipecat" in message.record["name"]

    async def bot(call: Call) -> None:
        worker = phone_worker(parts(call), enable_tracing=True)
        sink = logger.add(note, level="DEBUG")
        await call.run(worker, greeting="hello there")
        logger.remove(sink)

    async def talk(caller: Caller) -> None:
        await caller.wait_for_bot()
        await caller.say("I would like a pizza.")
        await caller.wait(1.6)
        await caller.say("No, stop.")
        await caller.wait_for_bot()

    result = (await phone.ring(bot, talk)).result
    spans = exported.get_finished_spans()
    (call,) = of(spans, "conversation")
    turns = {span.context.span_id for span in of(spans, "turn") if span.context}
    work = {name: of(spans, name) for name in ("stt", "llm", "tts", "playout")}

    assert told(call)["conversation.id"] == result.call_sid
    # Its lines in the log, Pipecat's own too.
    assert sids.keys() == {result.call_sid}
    assert sids[result.call_sid] > 10
    assert {name: len(made) for name, made in work.items()} == {
        "stt": 2, "llm": 2, "tts": 3, "playout": 3,
    }  # fmt: skip
    for span in (span for made in work.values() for span in made):
        assert span.parent is not None, span.name
        assert span.parent.span_id in turns, span.name
    assert [told(span)["playout.was_interrupted"] for span in work["playout"]] == [
        False, True, False,
    ]  # fmt: skip
    for span in work["playout"]:
        assert told(span)["call.sid"] == result.call_sid
        assert told(span)["playout.underruns"] == 0
    assert [event.name for event in work["playout"][1].events] == ["held"]


class Reader(TracedReplies):
    """Replies to each text frame; to an empty one it has not replied when the pipeline ends."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TextFrame):
            await self.start_processing_metrics()
            for word in frame.text.split():
                await self.push_frame(LLMTextFrame(f"{word} "))
            if frame.text:
                await self.stop_processing_metrics()
        await self.push_frame(frame, direction)


async def test_replies_of_any_service_are_spans(exported: InMemorySpanExporter):
    worker = phone_worker(Pipeline([Reader()]), enable_tracing=True)
    await worker.queue_frames([TextFrame("one two"), TextFrame(""), EndFrame()])
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await runner.run()

    spans = of(exported.get_finished_spans(), "llm")
    assert [told(span)["output"] for span in spans] == ["one two ", ""]
    assert all(told(span)["gen_ai.provider.name"] == "reader" and span.parent for span in spans)


async def test_a_trace_keeps_the_name_it_was_given(phone: Phone, exported: InMemorySpanExporter):
    async def bot(call: Call) -> None:
        await call.run(parts(call), enable_tracing=True, conversation_id="mine")

    await phone.ring(bot, lambda caller: caller.wait(0.2))

    (call,) = of(exported.get_finished_spans(), "conversation")
    assert told(call)["conversation.id"] == "mine"


async def test_speech_that_ends_with_the_call_is_a_span_too(
    phone: Phone, exported: InMemorySpanExporter
):
    async def bot(call: Call) -> None:
        await call.run(parts(call), greeting="one two three four five", enable_tracing=True)

    await phone.ring(bot, lambda caller: caller.wait(0.5))

    assert len(of(exported.get_finished_spans(), "playout")) == 1
