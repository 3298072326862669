"""A bot of Pipecat's own parts, as its telephony template puts them together.

Silero in the user aggregator, 8 kHz both ways, metrics on, Pipecat's default observers; on FastAPI
and uvicorn. The end of a turn is ``SpeechTimeoutUserTurnStopStrategy``; with ``--smart`` it is the
template's default, Smart Turn, which costs more still. Its port goes to stdout. With ``greet`` it
speaks first.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence

import bot_loop
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.base_transport import BaseTransport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from stand_ins import GREETING, Responder, Speaker, Transcriber, note

Services = Callable[[str], Sequence[FrameProcessor]]
"""Makes STT, LLM and TTS for a call."""
Transports = Callable[[WebSocket, str, str], BaseTransport]
"""Makes the transport of a call of a WebSocket, the stream's sid and the call's."""


def stand_ins(call_sid: str) -> Sequence[FrameProcessor]:
    """Services that cost next to nothing."""
    return Transcriber(), Responder(), Speaker(call_sid)


async def talk(websocket: WebSocket, services: Services, transport_of: Transports) -> None:
    """One call."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    transport = transport_of(websocket, call["stream_id"], call["call_id"])
    context = LLMContextAggregatorPair(LLMContext(), user_params=_user_params())
    stt, llm, tts = services(call["call_id"])
    pipeline = Pipeline(
        [
            transport.input(),
            stt,
            context.user(),
            llm,
            tts,
            transport.output(),
            context.assistant(),
        ]
    )
    params = PipelineParams(
        audio_in_sample_rate=8000,
        audio_out_sample_rate=8000,
        enable_metrics=True,
        enable_usage_metrics=True,
    )
    await _run(transport, PipelineWorker(pipeline, params=params))


def _transport(websocket: WebSocket, stream_sid: str, call_sid: str) -> FastAPIWebsocketTransport:
    serializer = TwilioFrameSerializer(
        stream_sid=stream_sid,
        call_sid=call_sid,
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    params = FastAPIWebsocketParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        add_wav_header=False,
        serializer=serializer,
    )
    return FastAPIWebsocketTransport(websocket, params)


def _user_params() -> LLMUserAggregatorParams:
    # Without a stop of their own they load Smart Turn's model at once.
    is_smart = "--smart" in sys.argv
    turns = UserTurnStrategies(stop=None if is_smart else [SpeechTimeoutUserTurnStopStrategy()])
    return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=turns)


async def _run(transport: BaseTransport, worker: PipelineWorker) -> None:
    async def hung_up(*_: object) -> None:
        await worker.cancel()

    transport.add_event_handler("on_client_disconnected", hung_up)
    if "greet" in sys.argv:
        await worker.queue_frame(TTSSpeakFrame(GREETING))
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await runner.run()


async def serve(services: Services, transport_of: Transports = _transport) -> None:
    """Serves until it is killed."""
    app = FastAPI()

    @app.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await talk(websocket, services, transport_of)

    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn offers nothing to await
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    note("serving", url=f"ws://127.0.0.1:{port}/stream")
    await running


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    bot_loop.run(serve(stand_ins))
