"""A realtime service in a pipeline of its own, without a phone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap
from twilio_frames.frames import MulawInputFrame
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.testing.vendors import RealtimeServer


@asynccontextmanager
async def running(
    server: RealtimeServer | str, **options: Any
) -> AsyncIterator[tuple[Any, Tap, Tap]]:
    """The service in a pipeline of its own; gives the worker and what stands before and behind."""
    url = server if isinstance(server, str) else server.realtime_url
    llm = PhoneOpenAIRealtimeLLMService(api_key="secret", base_url=url, **options)
    before, behind = Tap(), Tap()
    worker = PipelineWorker(
        Pipeline([before, llm, behind]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        yield worker, before, behind
    finally:
        await worker.cancel()
        await task


def worker_service(worker: Any) -> PhoneOpenAIRealtimeLLMService:
    found = [
        processor
        for processor in worker.pipeline.processors_with_metrics()
        if isinstance(processor, PhoneOpenAIRealtimeLLMService)
    ]
    return found[0]


def numbered(begin: int, seconds: float) -> bytes:
    return bytes((begin + at) // 80 % 256 for at in range(round(seconds * 8000)))


def mulaw_frame(seconds: float) -> MulawInputFrame:
    mulaw = numbered(0, seconds)
    return MulawInputFrame(
        audio=b"\x00\x00" * len(mulaw), sample_rate=8000, num_channels=1, mulaw=mulaw
    )
