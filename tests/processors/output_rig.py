"""A bot's voice on a line that keeps what is sent."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap
from twilio_frames.frames import Act, CallEndReason, DetourFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import BotMessage, Clear, Playback, SendMark, SendMedia
from twilio_frames.transport import TwilioParams


class FakeLine:
    """A line that keeps what is sent; its far end plays nothing and echoes what it is told to."""

    def __init__(self, *, echoes: bool = True):
        self.playback = Playback()
        self.sent: list[tuple[float, BotMessage]] = []
        self.closed_for: CallEndReason | None = None
        self.on_echo: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self.on_left: Callable[[], None] = lambda: None
        self.on_open: Callable[[], None] = lambda: None
        self.is_away = False
        self.left_for: list[object] = []
        self.heard = b""
        self.playback.last_received = math.inf  # the caller's audio, all the time
        self.overhearing: Sequence[object] = [self]
        self._echoes = echoes

    @property
    def is_open(self) -> bool:
        return self.closed_for is None and not self.is_away

    @property
    def is_over(self) -> bool:
        return self.closed_for is not None

    async def send(self, message: BotMessage) -> bool:
        if not self.is_open:
            return False
        now = time.monotonic()
        self.sent.append((now, message))
        match message:
            case SendMedia():
                self.playback.audio_sent(len(message.payload), now)
            case SendMark():
                self.playback.mark_sent(message.name, now)
                if self._echoes:
                    due = max(0.0, self.playback.ends_at - now)
                    asyncio.get_running_loop().call_later(due, self.echo, message.name)
            case Clear():
                pass
        return True

    async def send_audio(self, mulaw: bytes) -> bool:
        if time.monotonic() >= self.playback.ends_at:
            await self.send(SendMark(name=f"heard:{self.playback.sent}"))
        await self.send(SendMedia(payload=mulaw))
        return await self.send(SendMark(name=f"heard:{self.playback.sent}"))

    async def clear(self) -> bool:
        if not await self.send(Clear()):
            return False
        self.playback.clear_sent(["fence"], time.monotonic())
        if self._echoes:
            asyncio.get_running_loop().call_soon(self.echo, "fence")
        return True

    def bot_heard(self, mulaw: bytes, played_at: float) -> None:
        self.heard += mulaw

    def echo(self, name: str) -> None:
        self.playback.mark_echoed(name, time.monotonic())
        self.on_echo()

    def echo_first(self) -> None:
        """The first mark comes back: the line has a round trip."""
        mark = next(message for _, message in self.sent if isinstance(message, SendMark))
        self.echo(mark.name)

    def act(self, action: Act) -> bool:
        return False

    async def leave(self, detour: DetourFrame) -> bool:
        self.is_away = True
        self.left_for.append(detour.verbs)
        self.on_left()
        self.playback.begin_anew(time.monotonic())
        return True

    def come_back(self) -> None:
        self.is_away = False
        self.on_open()

    async def close(self, reason: CallEndReason, detail: str) -> None:
        self.closed_for = self.closed_for or reason
        self.on_end()

    def audio(self) -> bytes:
        return b"".join(m.payload for _, m in self.sent if isinstance(m, SendMedia))

    def of(self, kind: type[BotMessage]) -> list[tuple[float, BotMessage]]:
        return [(sent_at, message) for sent_at, message in self.sent if isinstance(message, kind)]


@asynccontextmanager
async def speaking(
    line: FakeLine, params: TwilioParams | None = None, *, rate: int = 8000
) -> AsyncIterator[tuple[PipelineWorker, Tap]]:
    tap = Tap()
    output = MulawOutput(line, params or TwilioParams())
    worker = PipelineWorker(
        Pipeline([tap, output]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=rate),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        yield worker, tap
    finally:
        await worker.cancel()
        await running


def words_heard(worker: PipelineWorker) -> list[str]:
    """The words that come out of the pipeline, from here on."""
    heard: list[str] = []

    @worker.event_handler("on_frame_reached_downstream")
    async def on_frame(_worker, frame):
        heard.append(frame.text)

    worker.set_reached_downstream_filter((HeardTextFrame,))
    return heard
