"""Google's recogniser over a call's length: limits, pauses and silences lose no word."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import repeat

import numpy as np
import pytest
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    STTUpdateSettingsFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.call import phone_worker
from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.replies.apology import NOT_HEARD
from twilio_frames.services import RetryPolicy
from twilio_frames.services import outage_announcer as deafness
from twilio_frames.services.google import PhoneGoogleSTTService
from twilio_frames.services.google import stt as google_stt
from twilio_frames.testing.vendors import Hang, Refusal
from twilio_frames.testing.vendors.google import GoogleServer

PAUSE = mulaw_silence(0.7)


def loud(seconds: float) -> bytes:
    noise = np.random.default_rng(1).normal(0, 8000, round(seconds * 8000))
    return encode_mulaw(np.clip(noise, -30000, 30000).astype(np.int16).tobytes())


class Line(FrameProcessor):
    """What stands around the recogniser: the caller before it, and what it tells behind it."""

    def __init__(self):
        super().__init__()
        self.texts: list[str] = []
        self.apologies: list[str] = []
        self.errors: list[str] = []
        self._news = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        async with self._news:
            match frame:
                case TranscriptionFrame():
                    self.texts.append(frame.text)
                case TTSSpeakFrame():
                    self.apologies.append(frame.text)
                case _:
                    pass
            self._news.notify_all()
        await self.push_frame(frame, direction)

    async def until(self, is_true) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(is_true)


@asynccontextmanager
async def listening(
    server: GoogleServer, **options
) -> AsyncIterator[tuple[Line, Callable[[bytes], Awaitable[None]]]]:
    """Gives what is told, and a function that says something."""
    async with heard_by(PhoneGoogleSTTService(target=server.target, **options)) as heard:
        yield heard


@asynccontextmanager
async def heard_by(
    stt: FrameProcessor,
) -> AsyncIterator[tuple[Line, Callable[[bytes], Awaitable[None]]]]:
    line = Line()
    worker = phone_worker(Pipeline([stt, line]))
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)

    @worker.event_handler("on_pipeline_error")
    async def on_pipeline_error(_, frame: ErrorFrame) -> None:
        line.errors.append(frame.error)

    async def say(mulaw: bytes) -> None:
        if mulaw != PAUSE:
            await worker.queue_frame(VADUserStartedSpeakingFrame())
        for begin in range(0, len(mulaw), 160):
            piece = mulaw[begin : begin + 160]
            frame = MulawInputFrame(
                audio=decode_mulaw(piece), sample_rate=8000, num_channels=1, mulaw=piece
            )
            await worker.queue_frame(frame)
        await time_passes(0.05)
        await worker.queue_frame(VADUserStoppedSpeakingFrame(stop_secs=0.6))

    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        yield line, say
    finally:
        await worker.queue_frame(EndFrame())
        await asyncio.wait_for(running, 10)


async def test_long_streams_are_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(google_stt, "_LONG_SECS", 0.2)
    async with GoogleServer(hears=["one", "two", "three"]) as server:
        async with listening(server) as (line, say):
            for number in (1, 2, 3):
                await say(loud(0.4) + PAUSE)
                await line.until(lambda number=number: len(line.texts) == number)
                await time_passes(0.3)
                await say(PAUSE)

    assert line.texts == ["one", "two", "three"]
    assert len(server.streams) >= 2
    assert not line.errors


async def test_stream_without_audio_is_no_trouble():
    async with GoogleServer(hears=["one", "two"], idle_secs=0.2) as server:
        async with listening(server) as (line, say):
            await say(loud(0.4) + PAUSE)
            await line.until(lambda: line.texts == ["one"])
            await time_passes(0.5)
            await say(loud(0.4) + PAUSE)
            await line.until(lambda: line.texts == ["one", "two"])

    assert not line.errors


async def test_noise_is_sent_again_once():
    async with GoogleServer() as server:
        async with listening(server, policy=RetryPolicy(answer_secs=0.2)) as (line, say):
            server.go_wrong(*repeat(Hang(), 3))
            await say(loud(0.5) + PAUSE)
            async with asyncio.timeout(10):
                while len(server.streams) < 2 or not server.streams[1].is_over:
                    await time_passes(0.5)
                    await say(PAUSE)

    first, second = (bytes(stream.audio) for stream in server.streams[:2])
    assert second.startswith(first)
    assert not line.apologies


async def test_google_that_never_answers_is_told():
    async with GoogleServer(faults=repeat(Hang())) as server:
        async with listening(server, policy=RetryPolicy(answer_secs=0.2)) as (line, say):
            for _ in range(4):
                await say(loud(0.5) + PAUSE)
                await time_passes(0.5)
            await line.until(lambda: NOT_HEARD in line.apologies)

    assert len(line.errors) == 1
    assert "TimeoutError" in line.errors[0]


async def test_own_failure_is_told(monkeypatch: pytest.MonkeyPatch):
    """An exception that no network makes: it would end the listening in silence."""
    failed: list[None] = []

    async def fail(*_: object) -> None:
        failed.append(None)
        raise RuntimeError("the caller's words")

    monkeypatch.setattr(PhoneGoogleSTTService, "_take", fail)
    async with GoogleServer(hears=["one"] * 50) as server:
        async with listening(server, policy=RetryPolicy(give_up_secs=0.1)) as (line, say):
            async with asyncio.timeout(10):
                while not line.apologies:
                    await say(loud(0.4) + PAUSE)

    assert len(failed) > 1
    error = line.errors[0]
    assert "RuntimeError" in error
    assert "the caller's words" not in error


async def test_another_service_takes_over():
    """Pipecat's switch goes over to it, and the caller hears no apology."""
    switched = asyncio.Event()
    refusals = repeat(Refusal(status=401))
    async with GoogleServer(faults=refusals) as bad, GoogleServer(hears=["one"]) as good:
        services = [PhoneGoogleSTTService(target=server.target) for server in (bad, good)]
        switch = ServiceSwitcher([*services], ServiceSwitcherStrategyFailover)
        switch.strategy.add_event_handler("on_service_switched", lambda *_: switched.set())
        async with heard_by(switch) as (line, say):
            async with asyncio.timeout(10):
                while not switched.is_set():
                    await say(PAUSE)
            await time_passes(0.15)
            await say(loud(0.4) + PAUSE)
            await line.until(lambda: bool(line.texts))

    assert line.texts == ["one"]
    assert not line.apologies


async def test_each_deafness_has_its_apologies(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deafness, "_MOST_APOLOGIES", 1)
    async with GoogleServer(hears=["one"], faults=repeat(Hang())) as server:
        async with listening(server, policy=RetryPolicy(answer_secs=0.1)) as (line, say):

            async def is_told(count: int) -> None:
                async with asyncio.timeout(15):
                    while len(line.apologies) < count:
                        await say(loud(0.5) + PAUSE)
                        await time_passes(0.1)

            await is_told(1)
            server.go_wrong()
            async with asyncio.timeout(10):
                while not line.texts:
                    await say(loud(0.4) + PAUSE)
                    await time_passes(0.1)
            server.go_wrong(*repeat(Hang(), 50))
            server.drop()
            await is_told(2)

    assert len(line.errors) == 2


async def test_one_failure_deafens_nobody(monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("the caller's words")

    monkeypatch.setattr(PhoneGoogleSTTService, "_take", fail)
    async with GoogleServer(hears=lambda _: "one") as server:
        async with listening(server) as (line, say):
            await say(loud(0.4) + PAUSE)
            async with asyncio.timeout(10):
                while not line.texts:
                    await say(PAUSE)

    assert line.texts == ["one"]
    assert not line.errors


async def test_other_settings_are_another_chance():
    async with GoogleServer(hears=["one"], faults=repeat(Refusal(status=401))) as server:
        async with listening(server) as (line, say):
            async with asyncio.timeout(10):
                while not line.apologies:
                    await say(PAUSE)
            server.go_wrong()
            other = PhoneGoogleSTTService.Settings(model="latest_long")
            update = STTUpdateSettingsFrame(delta=other)
            await line.push_frame(update, FrameDirection.UPSTREAM)
            async with asyncio.timeout(10):
                while not server.streams:
                    await say(PAUSE)
            await say(loud(0.4) + PAUSE)
            await line.until(lambda: line.texts == ["one"])

    assert server.streams[0].config.config.model == "latest_long"
