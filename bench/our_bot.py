"""A bot of this package on aiohttp, with stand-ins for its services; its port goes to stdout.

With a folder named it keeps a log of each call there.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from aiohttp import web
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor
from stand_ins import Responder, Speaker, Transcriber, serve

from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.transport import TwilioTransport

Services = Callable[[str], Sequence[FrameProcessor]]
"""Makes STT, LLM and TTS for a call."""


def stand_ins(call_sid: str) -> Sequence[FrameProcessor]:
    """Services that cost next to nothing."""
    return Transcriber(audio_passthrough=False), Responder(), Speaker(call_sid)


async def talk(
    request: web.Request, services: Services = stand_ins, logs: Path | None = None
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
            PhoneVAD(),
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
    await call.run(pipeline)
    return websocket


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    asyncio.run(serve(partial(talk, logs=folder)))
