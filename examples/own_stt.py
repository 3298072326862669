"""Your own recogniser as the ears of a bot: here it tells how long you spoke, in words.

What you will hear: a greeting, then for all you say how many seconds it took.

What it needs: nothing but the voice of ``bot.py``.

Run it::

    twilio-frames serve twilio_frames.examples.own_stt:bot
"""

import asyncio

import numpy as np
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.own_llm import Parrot
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD

warm_up = load_services  # awaited before calls are taken


class Stopwatch(UtteranceSTTService):
    """Hears one utterance at a time, as the VAD cuts them, and gives words for it."""

    async def transcribe(self, pcm: bytes) -> str | None:
        """Recognises one utterance: 16-bit samples, ``self.sample_rate`` of them a second."""
        # A real recogniser takes its time: it belongs in a thread, other calls go on meanwhile.
        seconds = await asyncio.to_thread(self._loud_secs, pcm)
        return f"about {round(seconds)} seconds" if seconds else None

    def _loud_secs(self, pcm: bytes) -> float:
        loud = np.flatnonzero(np.abs(np.frombuffer(pcm, np.int16).astype(int)) > 500)
        return (loud[-1] - loud[0]) / self.sample_rate if len(loud) else 0.0


async def bot(call: Call) -> None:
    """Tells one caller how long each utterance was."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        Stopwatch(),
        context.user(),
        Parrot(),
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()])
