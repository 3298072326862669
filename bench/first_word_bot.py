"""A bot of this package on its own server that speaks first; its port goes to stdout.

``clip``: its greeting was recorded before calls were taken. ``live``: its TTS says it in each call.
``cold``: as ``live``, and the process is not warmed up.
"""

import asyncio
import sys
import tempfile

from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from stand_ins import GREETING, Responder, Speaker, Transcriber, note

from twilio_frames.call import Call
from twilio_frames.processors.clips.store import ClipStore
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, create_app


class Bot:
    """Greets, and listens.

    Args:
        greeting: What it says; a ``Greeting`` is recorded beforehand.
    """

    def __init__(self, greeting: Greeting | str):
        self._greeting = greeting

    async def warm_up(self) -> None:
        """Records the greeting."""
        if isinstance(self._greeting, Greeting):
            await self._greeting.prepare()

    async def __call__(self, call: Call) -> None:
        """One call."""
        context = PhoneContextAggregator()
        pipeline = Pipeline(
            [
                call.transport.input(),
                PhoneVAD(),
                Transcriber(audio_passthrough=False),
                context.user(),
                Responder(),
                Speaker(call.call_sid),
                call.transport.output(),
                context.assistant(),
            ]
        )
        await call.run(pipeline, greeting=self._greeting)


async def main(kind: str) -> None:
    """Serves until it is killed."""
    with tempfile.TemporaryDirectory() as folder:
        recorded = Greeting(GREETING, lambda: Speaker(""), store=ClipStore(folder))
        bot = Bot(recorded if kind == "clip" else GREETING)
        settings = ServerSettings(warm=kind != "cold")
        async with Server(create_app(bot, settings)) as server:
            note("serving", url=f"{server.url}/twiml")
            await asyncio.Event().wait()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    asyncio.run(main(sys.argv[1]))
