"""One call by the metrics, against what its caller heard."""

from collections.abc import AsyncIterator

import pytest
from pipecat.frames.frames import Frame, TranscriptionFrame, VADUserStoppedSpeakingFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.metrics.counted import Counted
from tests.pipecat.rig import ToneTTS
from twilio_frames import metrics
from twilio_frames.metrics import Metric
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Call
from twilio_frames.testing import Caller, CallerOptions, LineConditions, Phone


class Hearer(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(TranscriptionFrame("a large pizza", "", "", finalized=True))


class Talker(PythonLLMService):
    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        yield "one two three four five six seven eight nine ten eleven twelve."


async def bot(call: Call) -> None:
    transport, memory = call.transport, PhoneContextAggregator()
    ahead = [transport.input(), PhoneVAD(), Hearer(), memory.user(), Talker(), ToneTTS()]
    pipeline = Pipeline([*ahead, transport.output(), memory.assistant()])
    await call.run(pipeline, greeting="hello there")


async def test_call_is_measured_as_it_was_heard(phone: Phone):
    async def talk(caller: Caller) -> None:
        await caller.wait_for_bot()
        await caller.say("I would like a pizza.")
        await caller.wait(1.6)
        await caller.say("No, stop, I want something else.")
        await caller.wait_for_bot()

    line = LineConditions(delay_to_bot=0.05, delay_from_bot=0.1)
    counted = Counted()
    rung = await phone.ring(bot, talk, options=CallerOptions(line=line))

    call = rung.result

    def of(metric: Metric) -> tuple[float, float]:
        return counted.of(metric, "_count"), counted.of(metric, "_sum")

    assert of(metrics.FIRST_AUDIO) == (1, pytest.approx(call.first_audio, abs=0.03))
    # The VAD is not as sharp as the caller, who knows when they spoke.
    assert of(metrics.ANSWER) == (2, pytest.approx(sum(call.answer_times), abs=0.15))
    assert of(metrics.BARGE_IN) == (1, pytest.approx(sum(call.silence_times), abs=0.12))
    assert of(metrics.CALL) == (1, pytest.approx(call.seconds, abs=0.1))
    assert counted.of(metrics.ENDED, end_reason="caller hung up") == 1
    assert (counted.of(metrics.HOLDS), counted.of(metrics.FALSE_ALARMS)) == (1, 0)
    assert counted.of(metrics.LAG, "_count") > 100
