"""Whoever hears nothing behind a recogniser is named."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from loguru import logger
from pipecat.audio.vad.vad_analyzer import VADAnalyzer
from pipecat.frames.frames import StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.processors.output_rig import FakeLine
from tests.transport.bots import Tap
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.pipeline.audio_warnings import (
    advise_on_ends,
    forget_advice,
    passes_audio,
)
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.transport import TwilioParams


class Parrot(UtteranceSTTService):
    async def transcribe(self, pcm: bytes) -> str | None:
        return None


class Nobody(VADAnalyzer):
    def num_frames_required(self) -> int:
        return 256

    def voice_confidence(self, buffer: bytes) -> float:
        return 0.0


@pytest.fixture
def advice() -> Iterator[list[str]]:
    forget_advice()
    texts: list[str] = []
    number = logger.add(
        lambda message: texts.append(message.record["message"]),
        level="WARNING",
        filter="twilio_frames.processors.pipeline.audio_warnings",
    )
    yield texts
    logger.remove(number)
    forget_advice()


async def start(ahead: list[FrameProcessor], behind: list[FrameProcessor]) -> None:
    tap = Tap()
    output = MulawOutput(FakeLine(), TwilioParams())
    worker = PipelineWorker(
        Pipeline([Pipeline(ahead), output, *behind, tap]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await tap.wait_for(StartFrame)
    await worker.cancel()
    await running


def stock(params: LLMUserAggregatorParams | None = None) -> FrameProcessor:
    return LLMContextAggregatorPair(LLMContext(), user_params=params).user()


@pytest.mark.parametrize(
    ("make", "named", "way"),
    [
        (lambda: VADProcessor(vad_analyzer=Nobody()), "VADProcessor", "ahead of"),
        (PhoneVAD, "PhoneVAD", "ahead of"),
        (AudioBufferProcessor, "AudioBufferProcessor", "ahead of"),
        (
            lambda: PhoneContextAggregator(
                user_params=LLMUserAggregatorParams(vad_analyzer=Nobody())
            ).user(),
            "vad_analyzer",
            "PhoneVAD()",
        ),
        (stock, "TurnAnalyzerUserTurnStopStrategy", "Endpointing.SMART_TURN"),
    ],
)
async def test_whoever_hears_nothing_is_named_once(
    advice: list[str], make: Callable[[], FrameProcessor], named: str, way: str
):
    await start([Parrot(), make()], [])
    await start([Parrot(), make()], [])

    (text,) = advice
    assert named in text
    assert way in text
    assert "Parrot ahead of it lets none pass" in text


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda: stock(LLMUserAggregatorParams(vad_analyzer=Nobody())), "the vad_analyzer of LLM"),
        (lambda: Pipeline([VADProcessor(vad_analyzer=Nobody())]), "another VADProcessor"),
    ],
)
async def test_second_vad_is_named(
    advice: list[str], other: Callable[[], FrameProcessor], named: str
):
    await start([PhoneVAD(), other()], [])
    await start([PhoneVAD(), other()], [])

    (text,) = advice
    assert text.startswith(f"PhoneVAD and {named}")
    assert "the LLM is asked twice. Leave one of them out" in text


async def test_recorder_behind_the_output_is_named(advice: list[str]):
    await start([Parrot()], [AudioBufferProcessor()])

    assert "AudioBufferProcessor gets no audio" in advice[0]


async def test_nothing_is_said_where_audio_comes(advice: list[str]):
    await start([PhoneVAD(), AudioBufferProcessor(), Parrot(), PhoneContextAggregator().user()], [])
    await start([Parrot(audio_passthrough=True), PhoneVAD()], [AudioBufferProcessor()])

    assert advice == []


def test_recognisers_tell_whether_they_let_audio_pass():
    """Kept by Pipecat under a name of its own."""
    assert not passes_audio(Parrot())
    assert passes_audio(Parrot(audio_passthrough=True))


def test_half_of_a_transport_that_stands_in_no_pipeline_is_named(advice: list[str]):
    hears, speaks = Tap(), Tap()
    advise_on_ends(Pipeline([hears, Parrot(), speaks]), hears, speaks)
    # An announcement hears nobody.
    advise_on_ends(Pipeline([Tap(), speaks]), Tap(), speaks)
    assert advice == []

    advise_on_ends(Pipeline([hears, Parrot()]), hears, Tap())
    advise_on_ends(Pipeline([Pipeline([Parrot()]), speaks]), Tap(), speaks)

    assert [text.partition(":")[0] for text in advice] == [
        "`call.transport.output()` is not in the pipeline",
        "`call.transport.input()` is not in the pipeline",
    ]
