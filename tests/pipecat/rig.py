"""One bot over Pipecat's Twilio transport or over ours, served alike, and rung by a caller."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import (
    Frame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.base_transport import BaseTransport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from tests.pipecat.features import Side
from tests.transport.bots import Tap
from twilio_frames.call import phone_worker
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk
from twilio_frames.testing import Caller, Phone
from twilio_frames.transport import TwilioParams, TwilioTransport

TONE = bytes([0x20, 0xA0])
"""A loud sound of mu-law, to be repeated."""


class ToneTTS(PythonTTSService):
    """Speaks 0.2 s for each word."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.texts: list[str] = []
        self.voices: list[str] = []

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        self.texts.append(text)
        self.voices.append(str(self._settings.voice))
        pcm = (b"\x00\x20" * 8 + b"\x00\xe0" * 8) * (100 * len(text.split()))
        yield SpeechChunk(pcm=pcm, sample_rate=8000)


class Hearer(FrameProcessor):
    """Says that words were heard where the VAD says that somebody spoke."""

    def __init__(self, text: str = "a large pizza please"):
        super().__init__()
        self._text = text

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(TranscriptionFrame(self._text, "", "", finalized=True))


@dataclass
class Bot:
    """What stands between the input and the output, and behind, and what the worker is told.

    Parameters:
        ahead: Between the input and the output.
        behind: Behind the output.
        params: Of the transport.
        pipeline_params: Of the worker, but for rates.
        options: More of the worker.
    """

    ahead: Sequence[FrameProcessor] = ()
    behind: Sequence[FrameProcessor] = ()
    params: dict[str, Any] = field(default_factory=dict)
    pipeline_params: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    before: Tap = field(default_factory=Tap)
    after: Tap = field(default_factory=Tap)
    worker: PipelineWorker | None = None

    async def say(self, text: str) -> None:
        await self.queue(TTSSpeakFrame(text))

    async def queue(self, *frames: Frame) -> None:
        assert self.worker is not None
        await self.worker.queue_frames(list(frames))

    async def run(self, side: Side, websocket: WebSocket) -> None:
        if side is Side.OURS:
            transport: BaseTransport = TwilioTransport(websocket, TwilioParams(**self.params))
        else:
            transport = await _stock(websocket, self.params)
        ahead, behind = [self.before, *self.ahead], [*self.behind, self.after]
        pipeline = Pipeline([transport.input(), *ahead, transport.output(), *behind])
        params = PipelineParams(**self.pipeline_params)
        if side is Side.OURS:
            self.worker = phone_worker(pipeline, params=params, **self.options)
        else:
            rates = {"audio_in_sample_rate": 8000, "audio_out_sample_rate": 8000}
            params = params.model_copy(update=rates)
            self.worker = PipelineWorker(pipeline, params=params, **self.options)
            worker = self.worker

            @transport.event_handler("on_client_disconnected")
            async def on_client_disconnected(*_: object):
                await worker.cancel()

        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(self.worker)
        await runner.run()


async def _stock(websocket: WebSocket, params: dict[str, Any]) -> FastAPIWebsocketTransport:
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    return FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer, **params
        ),
    )


@asynccontextmanager
async def calling(side: Side, bot: Bot) -> AsyncIterator[Caller]:
    """A caller on the line, once the bot's pipeline is up; leaving it hangs up."""
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        await bot.run(side, websocket)

    async with Phone(seed=1).call(app, path="ws:/stream") as caller:
        await bot.after.wait_for(StartFrame)
        yield caller


def audio_of(tap: Tap) -> bytes:
    """What speech a tap saw."""
    return b"".join(f.audio for f, _ in tap.seen if isinstance(f, TTSAudioRawFrame))


def kinds(tap: Tap, *wanted: type[Frame]) -> list[type[Frame]]:
    """What a tap saw of some kinds, in order."""
    return [type(frame) for frame, _ in tap.seen if isinstance(frame, wanted)]
