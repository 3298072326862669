"""The service in a small pipeline, with a caller who speaks mu-law."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap
from tests.waiting import time_passes, until
from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.frames import MulawInputFrame
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.testing.vendors import DeepgramServer

Settings = DeepgramSTTService.Settings

_FRAME = 160


class Rig:
    """A pipeline of the service alone, between two taps."""

    def __init__(self, stt: FrameProcessor):
        self.stt = stt
        self.before, self.after = Tap(), Tap()
        self.said = bytearray()
        self.started = asyncio.Event()
        params = PipelineParams(
            audio_in_sample_rate=8000, enable_metrics=True, enable_usage_metrics=True
        )
        pipeline = Pipeline([self.before, stt, self.after])
        self.worker = PipelineWorker(pipeline, params=params, enable_rtvi=False)

        async def started(*_: object) -> None:
            self.started.set()

        self.worker.add_event_handler("on_pipeline_started", started)

    async def say(self, mulaw: bytes, *, speed: float = 20.0) -> None:
        """Says it, so many times faster than a caller does."""
        for begin in range(0, len(mulaw), _FRAME):
            piece = mulaw[begin : begin + _FRAME]
            self.said += piece
            await self.worker.queue_frame(
                MulawInputFrame(
                    audio=decode_mulaw(piece), sample_rate=8000, num_channels=1, mulaw=piece
                )
            )
            await time_passes(len(piece) / 8000 / speed)

    async def say_frame(self, frame: InputAudioRawFrame) -> None:
        await self.worker.queue_frame(frame)

    async def begin_to_speak(self) -> None:
        """As the VAD says it."""
        await self.worker.queue_frame(VADUserStartedSpeakingFrame())

    async def fall_silent(self) -> None:
        """As the VAD says it."""
        await self.worker.queue_frame(VADUserStoppedSpeakingFrame(stop_secs=0.2))

    @property
    def transcriptions(self) -> list[TranscriptionFrame]:
        frames = self.after.frames(TranscriptionFrame)
        return [frame for frame in frames if isinstance(frame, TranscriptionFrame)]

    @property
    def words(self) -> list[str]:
        """The words of all final transcripts."""
        return " ".join(frame.text for frame in self.transcriptions).split()

    @property
    def errors(self) -> list[ErrorFrame]:
        frames = self.before.frames(ErrorFrame)
        return [frame for frame in frames if isinstance(frame, ErrorFrame)]

    async def apology(self) -> str:
        """Listens to silence until there is an apology."""
        while not (spoken := self.after.frames(TTSSpeakFrame)):
            await self.say(mulaw_silence(0.1), speed=5)
        (frame,) = spoken
        assert isinstance(frame, TTSSpeakFrame)
        return frame.text

    async def has_words(self, count: int) -> None:
        """Waits for so many final words."""
        await until(lambda: len(self.words) >= count, seconds=15)


def service(server: DeepgramServer, **options: Any) -> PhoneDeepgramSTTService:
    return PhoneDeepgramSTTService(api_key="any", base_url=server.url, **options)


@asynccontextmanager
async def hearing(stt: FrameProcessor) -> AsyncIterator[Rig]:
    """Runs the pipeline while it lasts."""
    rig = Rig(stt)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(rig.worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            await rig.started.wait()
            yield rig
    finally:
        await rig.worker.stop_when_done()
        async with asyncio.timeout(10):
            await running
