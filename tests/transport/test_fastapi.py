"""The transport inside a plain FastAPI application, and Pipecat's own with our serializer."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import EndFrame, InputDTMFFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Bot, Tap, speech, tone
from tests.vendors.faults import bad_day
from twilio_frames.audio import encode_mulaw
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallStartedFrame, MulawInputFrame
from twilio_frames.processors.serializer import TwilioSerializer
from twilio_frames.testing import Phone
from twilio_frames.transport import TwilioTransport


async def test_transport_runs_in_fastapi(phone: Phone):
    app = FastAPI()
    bots: asyncio.Queue[Bot] = asyncio.Queue()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        bot = Bot(TwilioTransport(websocket))
        bots.put_nowait(bot)
        await bot.run()

    async with phone.call(app, path="ws:/stream") as caller:
        bot = await bots.get()
        await bot.before.wait_for(CallStartedFrame)
        await caller.press("7")
        await bot.before.wait_for(InputDTMFFrame)
        await bot.worker.queue_frames([*speech(0.5), EndFrame()])
        await caller.wait_for_end(seconds=5)
        assert await bot.end_reason() == "bot hung up"

    assert encode_mulaw(tone(0.5)) in caller.result.heard_bot


async def test_caller_ends_a_fastapi_call(phone: Phone):
    app = FastAPI()
    bots: asyncio.Queue[Bot] = asyncio.Queue()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        bot = Bot(TwilioTransport(websocket))
        bots.put_nowait(bot)
        await bot.run()

    async with phone.desk(app, path="ws:/stream") as desk:
        async with desk.call():
            bot = await bots.get()
            await bot.before.wait_for(CallStartedFrame)
        assert await bot.end_reason() == "caller hung up"


@bad_day(
    "line",
    "the caller's side closes the socket first (FastAPI)",
    "Nothing more: the bot ends.",
)
async def test_end_is_noticed_where_the_caller_closes_first(phone: Phone):
    app = FastAPI()
    bots: asyncio.Queue[Bot] = asyncio.Queue()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        bot = Bot(TwilioTransport(websocket))
        bots.put_nowait(bot)
        await bot.run()

    async def served(scope: Any, receive: Any, send: Any) -> None:
        """The application in a server whose sockets are closed by the time it closes them."""

        async def send_unless_closed(message: Any) -> None:
            if message["type"] == "websocket.close":
                raise OSError("the client is gone")
            await send(message)

        await app(scope, receive, send_unless_closed)

    async with phone.desk(served, path="ws:/stream") as desk:
        async with desk.call():
            bot = await bots.get()
            await bot.before.wait_for(CallStartedFrame)
        assert await bot.end_reason() == "caller hung up"


async def test_serializer_serves_pipecats_transport(phone: Phone):
    app = FastAPI()
    taps: asyncio.Queue[tuple[Tap, PipelineWorker]] = asyncio.Queue()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_end_silence_secs=0,
            serializer=TwilioSerializer(),
        )
        transport = FastAPIWebsocketTransport(websocket, params)
        tap = Tap()
        worker = PipelineWorker(
            Pipeline([transport.input(), tap, transport.output()]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )
        taps.put_nowait((tap, worker))
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(worker)
        await runner.run()

    async with phone.call(app, path="ws:/stream") as caller:
        tap, worker = await taps.get()
        await tap.wait_for(CallStartedFrame)
        await caller.press("3")
        await tap.wait_for(InputDTMFFrame)
        await tap.wait_for(MulawInputFrame, count=3)
        await worker.queue_frames([*speech(0.5), EndFrame()])
        await caller.wait_for_end(seconds=5)

    assert encode_mulaw(tone(0.4)) in caller.result.heard_bot
    assert not caller.result.violations


def test_other_objects_are_refused():
    with pytest.raises(ConfigurationError, match="aiohttp WebSocketResponse or a Starlette"):
        TwilioTransport(object())


def test_unprepared_websocket_is_refused():
    from aiohttp import web

    with pytest.raises(ConfigurationError, match="prepare"):
        TwilioTransport(web.WebSocketResponse())
