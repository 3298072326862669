"""A bot of this package on aiohttp, with stand-ins for its services; its port goes to stdout.

With a folder named it keeps a log of each call there.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from stand_ins import Responder, Speaker, Transcriber, serve

from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.transport import TwilioTransport


async def stream(request: web.Request) -> web.WebSocketResponse:
    """One call."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    transport = TwilioTransport(websocket)
    start = await transport.wait_for_start()
    context = PhoneContextAggregator()
    pipeline = Pipeline(
        [
            transport.input(),
            PhoneVAD(),
            Transcriber(audio_passthrough=False),
            context.user(),
            Responder(),
            Speaker(start.call_sid),
            transport.output(),
            context.assistant(),
        ]
    )
    call = Call(transport, start)
    if len(sys.argv) > 1:
        call.keep_log(Path(sys.argv[1]) / f"{start.call_sid}.jsonl", words=True)
    await call.run(pipeline)
    return websocket


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    asyncio.run(serve(stream))
