"""Bots that raise, and applications of somebody's own around them."""

from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import LLMRunFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.workers.runner import WorkerRunner

from twilio_frames.call import Call
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.transport import TwilioTransport

BOOKED = "Your table for two is booked."
Handle = Callable[[TwilioTransport], Awaitable[None]]


class PriceListError(Exception):
    """What a bot of these tests raises."""


async def raising(call: Call) -> None:
    raise PriceListError("no price list")


class Pricing(PythonLLMService):
    async def respond(self, context) -> AsyncIterator[str]:
        if context.get_messages():
            raise PriceListError("no price list")
        yield "What would you like?"


async def pricing(call: Call) -> None:
    context = PhoneContextAggregator()
    parts = [context.user(), Pricing(), EspeakTTSService(), call.transport.output()]
    pipeline = Pipeline([call.transport.input(), *parts, context.assistant()])
    await call.run(pipeline, begin_with=[LLMRunFrame()])


class Cashier(PythonLLMService):
    """Asks for digits where what it says for it would come behind them."""

    def __init__(self, call: Call):
        super().__init__(may_be_silent=True)
        self.call = call

    async def respond(self, context) -> AsyncIterator[str]:
        await self.call.collect_digits(length=4, prompt="Your PIN, please.")
        yield "Thank you."


async def cashier(call: Call) -> None:
    parts = [Cashier(call), EspeakTTSService(), call.transport.output()]
    context = PhoneContextAggregator()
    pipeline = Pipeline([call.transport.input(), context.user(), *parts])
    await call.run(pipeline, begin_with=[LLMRunFrame()])


class Raising(FrameProcessor):
    """Raises where the bot is to speak."""

    def __init__(self, error: BaseException):
        super().__init__()
        self._error = error

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSSpeakFrame):
            raise self._error
        await self.push_frame(frame, direction)


def speaking(call: Call, *parts: FrameProcessor) -> Awaitable[object]:
    line = [*parts, EspeakTTSService(), call.transport.output()]
    pipeline = Pipeline([call.transport.input(), *line])
    return call.run(pipeline, begin_with=[TTSSpeakFrame(BOOKED)])


async def stumbling(call: Call) -> None:
    await speaking(call, Raising(PriceListError("no price list")))


async def speak(transport: TwilioTransport) -> None:
    """A bot in an application of its own: nothing of this package but the transport."""
    parts = [transport.input(), EspeakTTSService(), transport.output()]
    params = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
    worker = PipelineWorker(Pipeline(parts), params=params, idle_timeout_secs=None)
    await worker.queue_frame(TTSSpeakFrame(BOOKED))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def fail(transport: TwilioTransport) -> None:
    await transport.wait_for_start()
    raise PriceListError("no price list")


def fastapi_app(handle: Handle = speak) -> FastAPI:
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        await handle(TwilioTransport(websocket))

    return app


def aiohttp_app(handle: Handle = speak) -> web.Application:
    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handle(TwilioTransport(socket))
        return socket

    app = web.Application()
    app.router.add_get("/stream", stream)
    return app


def throw(error: BaseException, *_: object) -> None:
    raise error
