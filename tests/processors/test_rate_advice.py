import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from loguru import logger
from pipecat.frames.frames import StartFrame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.workers.runner import WorkerRunner

from tests.processors.output_rig import FakeLine
from tests.transport.bots import Tap, tone
from tests.waiting import until
from twilio_frames.audio import decode_mulaw
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.pipeline.audio_warnings import forget_advice
from twilio_frames.protocol import SendMedia
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.transport import TwilioParams


class Tone(TTSService):
    """A second of a tone at the service's rate."""

    def __init__(self, **options: Any):
        settings = TTSSettings(model=None, voice=None, language=None)
        options |= {"push_start_frame": True, "push_stop_frames": True}
        super().__init__(settings=settings, **options)

    async def run_tts(self, text: str, context_id: str):
        pcm = tone(1.0, rate=self.sample_rate)
        for begin in range(0, len(pcm), 5000):
            piece = pcm[begin : begin + 5000]
            yield TTSAudioRawFrame(piece, self.sample_rate, 1, context_id=context_id)


class CartesiaTTSService(Tone):
    """Has the name of Pipecat's."""


class OpenAITTSService(Tone):
    """Has the name of Pipecat's."""


class Ears(STTService):
    def __init__(self, **options: Any):
        settings = STTSettings(model=None, language=None)
        super().__init__(settings=settings, ttfs_p99_latency=0.0, **options)

    async def run_stt(self, audio: bytes):
        yield None


@pytest.fixture
def advice() -> Iterator[list[str]]:
    forget_advice()
    texts: list[str] = []
    number = logger.add(lambda message: texts.append(message.record["message"]), level="WARNING")
    yield texts
    logger.remove(number)
    forget_advice()


async def run(
    *processors: FrameProcessor, in_rate: int = 8000, params: TwilioParams | None = None
) -> FakeLine:
    """Has the processors speak, if they can, between an input and an output of the line."""
    line, tap, params = FakeLine(), Tap(), params or TwilioParams()
    input_, output = BaseInputTransport(params), MulawOutput(line, params)
    worker = PipelineWorker(
        Pipeline([input_, Pipeline([*processors]), output, tap]),
        params=PipelineParams(audio_in_sample_rate=in_rate, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await tap.wait_for(StartFrame)
    if any(isinstance(one, TTSService) for one in processors):
        await worker.queue_frames([TTSSpeakFrame("one"), TTSSpeakFrame("two")])
        await until(lambda: len(line.of(SendMedia)) >= 4)
    await worker.cancel()
    await running
    return line


async def test_audio_of_another_rate_is_resampled_once_with_advice(advice: list[str]):
    line = await run(Tone(sample_rate=24000))
    await run(Tone(sample_rate=24000))

    sound = np.frombuffer(decode_mulaw(line.audio()), dtype=np.int16).astype(float)
    strongest = np.argmax(np.abs(np.fft.rfft(sound))) * 8000 / len(sound)
    assert strongest == pytest.approx(440, abs=5)
    assert len(advice) == 1
    assert advice[0].startswith("Tone gives audio of 24000 Hz and a telephone has 8000")
    assert "sample_rate=8000" in advice[0]


async def test_advice_names_the_service_that_fits_the_line(advice: list[str]):
    await run(CartesiaTTSService(sample_rate=16000))

    assert "PhoneCartesiaTTSService" in advice[0]


@pytest.mark.parametrize("make", [Tone, partial(OpenAITTSService, sample_rate=24000)])
async def test_nothing_is_said_where_nothing_could_be_better(
    advice: list[str], make: Callable[[], TTSService]
):
    await run(make(), Ears())

    assert advice == []


async def test_recogniser_that_is_told_another_rate_than_it_hears(advice: list[str]):
    await run(Ears(sample_rate=16000))
    await run(Ears(), in_rate=16000, params=TwilioParams(audio_in_sample_rate=8000))

    assert len(advice) == 1
    assert "Ears is told to expect audio of 16000 Hz and gets 8000" in advice[0]
    assert "phone_worker()" in advice[0]


async def test_recogniser_that_hears_the_lines_own_audio_is_no_matter(advice: list[str]):
    await run(PhoneDeepgramSTTService(api_key="any", base_url="ws://127.0.0.1:9"), in_rate=16000)

    assert not [text for text in advice if "16000" in text]


async def test_recogniser_that_hears_more_than_the_line_has(advice: list[str]):
    # Pipecat's own default for the pipeline.
    await run(Ears(), in_rate=16000)

    assert len(advice) == 1
    assert "Ears gets audio of 16000 Hz, and a telephone has 8000" in advice[0]


class WhisperSTTService(Ears):
    """Has the name of Pipecat's."""


class TogetherSTTService(Ears):
    """Has the name of Pipecat's."""


class OwnWhisper(WhisperSTTService):
    pass


async def test_recogniser_that_takes_all_audio_for_16_khz_is_named(advice: list[str]):
    await run(OwnWhisper(), TogetherSTTService(sample_rate=16000))

    texts = sorted(advice)
    assert texts[0].startswith("OwnWhisper takes all audio for 16000 Hz and gets 8000")
    assert "PhoneWhisperSTTService" in texts[0]
    assert texts[1].startswith("TogetherSTTService takes all audio for 16000 Hz and gets 8000")
    assert "TwilioParams(audio_in_sample_rate=16000)" in texts[1]


async def test_nothing_is_said_of_it_where_it_gets_16_khz(advice: list[str]):
    await run(WhisperSTTService(), params=TwilioParams(audio_in_sample_rate=16000))

    assert advice == []
