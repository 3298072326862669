"""Small pipelines over a transport, behind aiohttp or FastAPI."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from twilio_frames.frames import CallEndedFrame
from twilio_frames.transport import TwilioParams, TwilioTransport


def tone(seconds: float, *, rate: int = 8000, hertz: float = 440.0) -> bytes:
    time = np.arange(round(seconds * rate)) / rate
    return (12000 * np.sin(2 * math.pi * hertz * time)).astype(np.int16).tobytes()


def speech(seconds: float, *, rate: int = 8000) -> list[Frame]:
    """An utterance as a TTS service would push it."""
    return [
        TTSStartedFrame(),
        TTSAudioRawFrame(audio=tone(seconds, rate=rate), sample_rate=rate, num_channels=1),
        TTSStoppedFrame(),
    ]


class Tap(FrameProcessor):
    """Keeps what passes, and tells when something has."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[Frame, FrameDirection]] = []
        self._changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        async with self._changed:
            self.seen.append((frame, direction))
            self._changed.notify_all()
        await self.push_frame(frame, direction)

    def frames(self, kind: type[Frame]) -> list[Frame]:
        return [frame for frame, _ in self.seen if isinstance(frame, kind)]

    async def wait_for(self, kind: type[Frame], *, count: int = 1) -> Frame:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.frames(kind)) >= count)
        return self.frames(kind)[count - 1]


@dataclass
class Bot:
    """One call's pipeline: input, a tap, output, a tap."""

    transport: TwilioTransport
    before: Tap = field(default_factory=Tap)
    after: Tap = field(default_factory=Tap)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self):
        self.worker = PipelineWorker(
            Pipeline([self.transport.input(), self.before, self.transport.output(), self.after]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )

    async def run(self):
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(self.worker)
        await runner.run()
        self.done.set()

    async def end_reason(self) -> str:
        """Waits for the pipeline to end by itself."""
        frame = await self.after.wait_for(CallEndedFrame)
        async with asyncio.timeout(10):
            await self.done.wait()
        assert isinstance(frame, CallEndedFrame)
        return frame.reason


Behaviour = Callable[[Bot], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(
    params: TwilioParams | None = None, behaviour: Behaviour | None = None
) -> AsyncIterator[tuple[str, "asyncio.Queue[Bot]"]]:
    """An aiohttp server with a bot for each stream: its URL, and the bots as calls come in."""
    bots: asyncio.Queue[Bot] = asyncio.Queue()

    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        bot = Bot(TwilioTransport(websocket, params))
        bots.put_nowait(bot)
        acting = asyncio.create_task(behaviour(bot)) if behaviour else None
        await bot.run()
        if acting:
            await acting
        return websocket

    app = web.Application()
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"ws://{host}:{port}/stream", bots
    finally:
        await runner.cleanup()
