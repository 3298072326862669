"""A bot of this package on aiohttp, with stand-ins for its services; its port goes to stdout.

``--smart`` has Smart Turn end the turns, ``--logs FOLDER`` keeps a log of each call there, with
``--greet`` it speaks first.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import bot_loop
from aiohttp import web
from loguru import logger
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor
from stand_ins import GREETING, Responder, Speaker, Transcriber, serve

from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.endpointing import Endpointing
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.processors.warming import warm_up
from twilio_frames.transport import TwilioTransport

Services = Callable[[str], Sequence[FrameProcessor]]
"""Makes STT, LLM and TTS for a call."""


def stand_ins(call_sid: str) -> Sequence[FrameProcessor]:
    """Services that cost next to nothing."""
    return Transcriber(audio_passthrough=False), Responder(), Speaker(call_sid)


async def talk(
    request: web.Request,
    services: Services = stand_ins,
    *,
    logs: Path | None = None,
    endpointing: Endpointing = Endpointing.LEARNED_PAUSE,
    greets: bool = False,
) -> web.WebSocketResponse:
    """One call, with its log in a folder if one is named."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    transport = TwilioTransport(websocket)
    start = await transport.wait_for_start()
    context = PhoneContextAggregator()
    stt, llm, tts = services(start.call_sid)
    pipeline = Pipeline(
        [
            transport.input(),
            PhoneVAD(endpointing=endpointing),
            stt,
            context.user(),
            llm,
            tts,
            transport.output(),
            context.assistant(),
        ]
    )
    call = Call(transport, start)
    if logs is not None:
        call.keep_log(logs / f"{start.call_sid}.jsonl", words=True)
    await call.run(pipeline, begin_with=[TTSSpeakFrame(GREETING)] if greets else [])
    return websocket


async def serve_warm(stream: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    """Serves as this package's server does, which warms up first."""
    await warm_up()
    await serve(stream)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    parser = argparse.ArgumentParser()
    parser.add_argument("--smart", action="store_true")
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--greet", action="store_true")
    options = parser.parse_args()
    turns = Endpointing.SMART_TURN if options.smart else Endpointing.LEARNED_PAUSE
    stream = partial(talk, logs=options.logs, endpointing=turns, greets=options.greet)
    bot_loop.run(serve_warm(stream))
