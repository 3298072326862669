"""A phone bot, on this package or on stock Pipecat, in a process that is told what it shall do.

    python bench/truth_bots.py ours|stock REST_URL ACCOUNT_SID AUTH_TOKEN

Orders are lines of JSON on stdin, ``{"id": 1, "do": "ask", ...}``; each is answered by a line on
stdout, ``{"id": 1, "result": ...}``. Times are those of the machine's monotonic clock.

A process of its own, so that a stalled event loop is the bot's trouble and not the caller's: the
simulated line that knows the truth goes on by its own clock.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiohttp import web
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_mute import AlwaysUserMuteStrategy, BaseUserMuteStrategy
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from truth_desk import BotCall, Desk
from truth_services import Behaviour, speaker

from twilio_frames.call import Call, phone_worker
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.transport import TwilioTransport

OURS, STOCK = "ours", "stock"

_LONGEST_LINE = 1 << 20
"""Whom the bot puts its callers through to; in vain."""
_PHONE = "/phone"


class OurBot:
    """A bot of this package, on aiohttp.

    Args:
        desk: Where orders come in.
    """

    def __init__(self, desk: Desk):
        self._desk = desk

    async def run(self, websocket: web.WebSocketResponse) -> None:
        """One call on a stream alone."""
        transport = TwilioTransport(websocket)
        await self.answer(Call(transport, await transport.wait_for_start()))

    async def answer(self, line: Call) -> None:
        """One call."""
        transport, name = line.transport, line.parameters["name"]
        call = BotCall(behaviour=self._desk.behaviour(name), line=line)
        interrupt_by = InterruptBy[call.behaviour.interrupt_by]
        context = PhoneContextAggregator(
            call.context,
            turn_strategies=phone_turn_strategies(interrupt_by=interrupt_by),
            user_params=LLMUserAggregatorParams(user_mute_strategies=_mutes(call.behaviour)),
        )
        async with call.services(context.user()) as services:
            pipeline = Pipeline(
                [
                    transport.input(),
                    call.prompter,
                    *call.keypad,
                    PhoneVAD(),
                    *services,
                    transport.output(),
                    context.assistant(),
                ]
            )
            worker = phone_worker(pipeline)
            self._desk.announce(name, call, worker)
            await line.run(worker)


class StockBot:
    """A bot of Pipecat's own parts, on FastAPI and uvicorn.

    Args:
        desk: Where orders come in.
        account: URL of the REST API by which it hangs up, account sid and auth token.
    """

    def __init__(self, desk: Desk, account: tuple[str, str, str]):
        self._desk = desk
        self._account = account

    async def run(self, websocket: WebSocket) -> None:
        """One call."""
        _, start = await parse_telephony_websocket(websocket)
        name = start["body"]["name"]
        call = BotCall(behaviour=self._desk.behaviour(name))
        transport = self._transport(websocket, start["stream_id"], start["call_id"])
        context = LLMContextAggregatorPair(
            call.context, user_params=_stock_user_params(call.behaviour)
        )
        pipeline = Pipeline(
            [
                transport.input(),
                call.prompter,
                *call.keypad,
                call.hearer,
                context.user(),
                call.replier,
                speaker(call.behaviour),
                transport.output(),
                context.assistant(),
            ]
        )
        params = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)
        worker = PipelineWorker(pipeline, params=params, enable_rtvi=False)

        async def hung_up(*_: object) -> None:
            await worker.cancel()

        transport.add_event_handler("on_client_disconnected", hung_up)
        self._desk.announce(name, call, worker)
        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(worker)
        await runner.run()

    def _transport(
        self, websocket: WebSocket, stream_sid: str, call_sid: str
    ) -> FastAPIWebsocketTransport:
        rest_url, account_sid, auth_token = self._account
        serializer = TwilioFrameSerializer(
            stream_sid=stream_sid,
            call_sid=call_sid,
            account_sid=account_sid,
            auth_token=auth_token,
            base_url=rest_url,
        )
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=serializer,
        )
        return FastAPIWebsocketTransport(websocket, params)


def _stock_user_params(behaviour: Behaviour) -> LLMUserAggregatorParams:
    is_by_words = behaviour.interrupt_by == InterruptBy.WORDS.name
    strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()])
    if is_by_words:
        strategies.start = [MinWordsUserTurnStartStrategy(min_words=3)]
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=strategies,
        user_mute_strategies=_mutes(behaviour),
    )


def _mutes(behaviour: Behaviour) -> list[BaseUserMuteStrategy]:
    return [AlwaysUserMuteStrategy()] if behaviour.is_muted else []


@asynccontextmanager
async def serving_ours(bot: OurBot, auth_token: str) -> AsyncIterator[str]:
    """Serves calls over aiohttp; gives the stream's URL.

    Calls that leave their streams need webhooks, which are at :func:`webhook_of`.
    """

    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await bot.run(websocket)
        return websocket

    app = web.Application()
    app.router.add_get("/stream", stream)
    settings = ServerSettings(auth_token=auth_token, warm=False)
    app.add_subapp(_PHONE, create_app(bot.answer, settings))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/stream"
    finally:
        await runner.cleanup()


def webhook_of(stream_url: str) -> str:
    """The webhook beside a stream of :func:`serving_ours`."""
    return stream_url.replace("ws", "http", 1).removesuffix("/stream") + f"{_PHONE}/twiml"


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


async def _take_orders(desk: Desk) -> None:
    """Carries out orders as they come, each as soon as it is there, until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_LONGEST_LINE, loop)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    carrying_out: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(_carry_out(desk, json.loads(line)))
        carrying_out.add(task)
        task.add_done_callback(carrying_out.discard)


async def _carry_out(desk: Desk, order: dict[str, Any]) -> None:
    number, what = order.pop("id"), order.pop("do")
    _tell(id=number, result=await getattr(desk, what)(**order))


def _tell(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def serve(side: str, account: tuple[str, str, str]) -> None:
    """Serves until stdin ends."""
    desk = Desk()
    serving = (
        serving_ours(OurBot(desk), account[2])
        if side == OURS
        else _serving_stock(StockBot(desk, account).run)
    )
    async with serving as url:
        _tell(url=url)
        await _take_orders(desk)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    asyncio.run(serve(sys.argv[1], (sys.argv[2], sys.argv[3], sys.argv[4])))
