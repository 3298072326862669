"""Two phone bots of the same parts, one on this package and one on stock Pipecat, in a thread.

A thread of their own, so that a stalled event loop is the bots' trouble and not the caller's: the
simulated line that knows the truth goes on by its own clock.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
from aiohttp import web
from fastapi import FastAPI, WebSocket
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, Frame, LLMMessagesAppendFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from truth_services import Behaviour, Hearer, Prompter, Replier, speaker

from twilio_frames.call import Call, phone_worker
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.transport import TwilioTransport

OURS, STOCK = "ours", "stock"

T = TypeVar("T")


@dataclass(kw_only=True)
class BotCall:
    """One call as the bot has it. To be used in the bots' thread, but for what is said otherwise.

    Parameters:
        context: The memory; may be read from any thread.
        behaviour: How its services behave; may be changed from any thread.
    """

    behaviour: Behaviour
    context: LLMContext = field(default_factory=LLMContext)
    prompter: Prompter = field(default_factory=Prompter)
    worker: PipelineWorker | None = None

    def __post_init__(self) -> None:
        """Makes the services."""
        self.replier = Replier(self.behaviour)
        self.services: list[FrameProcessor] = [
            Hearer(self.behaviour),
            self.replier,
            speaker(self.behaviour),
        ]

    async def queue(self, *frames: Frame) -> None:
        """Queues frames at the pipeline's beginning."""
        assert self.worker is not None
        await self.worker.queue_frames(frames)

    async def ask(self, reply: str, *first: Frame) -> None:
        """Has the bot reply; frames may go before."""
        self.behaviour.replies.append(reply)
        question: LLMContextMessage = {"role": "user", "content": "Go on."}
        await self.queue(*first, LLMMessagesAppendFrame(messages=[question], run_llm=True))

    async def interrupt(self) -> None:
        """Interrupts, as the user aggregator does when the caller's turn begins."""
        await self.prompter.broadcast_interruption()

    async def end(self, *first: Frame) -> None:
        """Ends the pipeline, with frames right before that."""
        await self.queue(*first, EndFrame())

    def memory(self, begin: int = 0) -> list[str]:
        """The assistant's messages from one on, counting all messages."""
        found: list[str] = []
        for message in list(self.context.get_messages())[begin:]:
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(message, dict) and message.get("role") == "assistant" and content:
                found.append(content if isinstance(content, str) else str(content))
        return found


class Bots:
    """Both bots, served in a thread.

    Args:
        twilio: The simulated Twilio, for the REST API by which stock Pipecat hangs up.
    """

    def __init__(self, twilio: SimulatedTwilio):
        self._twilio = twilio
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bots", daemon=True)
        self._stack = AsyncExitStack()
        self._calls: dict[str, asyncio.Future[BotCall]] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self.urls: dict[str, str] = {}

    async def __aenter__(self) -> "Bots":
        self._thread.start()
        await self.do(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, 5.0)
        self._loop.close()

    async def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs something in the bots' thread."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def stall(self, seconds: float) -> None:
        """Blocks the bots' event loop, as a model built on it does."""
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    def expect(self, name: str, behaviour: Behaviour) -> None:
        """Says how the services of the call with this ``name`` parameter are to behave."""
        self._behaviours[name] = behaviour

    async def call(self, name: str) -> BotCall:
        """The call with this ``name`` parameter, once its pipeline runs."""
        async with asyncio.timeout(20):
            return await self.do(self._ready(name))

    async def _ready(self, name: str) -> BotCall:
        return await self._future(name)

    def _future(self, name: str) -> "asyncio.Future[BotCall]":
        return self._calls.setdefault(name, self._loop.create_future())

    async def _serve(self) -> None:
        self.urls[OURS] = await self._stack.enter_async_context(_serving_ours(self._ours))
        self.urls[STOCK] = await self._stack.enter_async_context(_serving_stock(self._stock))

    def _announce(self, name: str, call: BotCall, worker: PipelineWorker) -> None:
        """Gives the call to whoever waits for it, once its pipeline runs."""
        call.worker = worker
        ready = self._future(name)

        async def started(*_: object) -> None:
            ready.set_result(call)

        worker.add_event_handler("on_pipeline_started", started)

    async def _ours(self, websocket: web.WebSocketResponse) -> None:
        transport = TwilioTransport(websocket)
        start = await transport.wait_for_start()
        name = start.custom_parameters["name"]
        call = BotCall(behaviour=self._behaviours[name])
        context = PhoneContextAggregator(call.context)
        hearer, replier, tts = call.services
        pipeline = Pipeline(
            [
                transport.input(),
                call.prompter,
                PhoneVAD(),
                hearer,
                context.user(),
                replier,
                tts,
                transport.output(),
                context.assistant(),
            ]
        )
        worker = phone_worker(pipeline)
        self._announce(name, call, worker)
        await Call(transport, start).run(worker)

    async def _stock(self, websocket: WebSocket) -> None:
        _, start = await parse_telephony_websocket(websocket)
        name = start["body"]["name"]
        call = BotCall(behaviour=self._behaviours[name])
        transport = self._stock_transport(websocket, start["stream_id"], start["call_id"])
        context = LLMContextAggregatorPair(call.context, user_params=_stock_user_params())
        hearer, replier, tts = call.services
        pipeline = Pipeline(
            [
                transport.input(),
                call.prompter,
                hearer,
                context.user(),
                replier,
                tts,
                transport.output(),
                context.assistant(),
            ]
        )
        params = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
        worker = PipelineWorker(pipeline, params=params, enable_rtvi=False)

        async def hung_up(*_: object) -> None:
            await worker.cancel()

        transport.add_event_handler("on_client_disconnected", hung_up)
        self._announce(name, call, worker)
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(worker)
        await runner.run()

    def _stock_transport(
        self, websocket: WebSocket, stream_sid: str, call_sid: str
    ) -> FastAPIWebsocketTransport:
        serializer = TwilioFrameSerializer(
            stream_sid=stream_sid,
            call_sid=call_sid,
            account_sid=self._twilio.account_sid,
            auth_token=self._twilio.auth_token,
            base_url=self._twilio.rest_url,
        )
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=serializer,
        )
        return FastAPIWebsocketTransport(websocket, params)


def _stock_user_params() -> LLMUserAggregatorParams:
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()]),
    )


@asynccontextmanager
async def _serving_ours(
    serve: Callable[[web.WebSocketResponse], Awaitable[None]],
) -> AsyncIterator[str]:
    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await serve(websocket)
        return websocket

    app = web.Application()
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/stream"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _serving_stock(serve: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[str]:
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await serve(websocket)

    config = uvicorn.Config(
        app, port=0, log_level="warning", lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # uvicorn offers nothing to await
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/stream"
    finally:
        server.should_exit = True
        await running
