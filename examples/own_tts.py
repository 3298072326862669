"""Your own voice for a bot: here it hums, a note for each word.

What you will hear: a hummed greeting, then your own words hummed back. What it needs: nothing but
the ears of ``bot.py``. Run it::

    twilio-frames serve twilio_frames.examples.own_tts:bot
"""

from collections.abc import AsyncIterator

import numpy as np
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.own_llm import Parrot
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk, SpokenWord
from twilio_frames.processors.vad import PhoneVAD

warm_up = load_services  # awaited before calls are taken
RATE, SCALE = 16_000, (262, 294, 330, 392, 440, 523, 587, 659)


def hum(word: str) -> bytes:
    """A note for a word, the longer the longer it is: 16-bit samples."""
    time = np.arange(RATE * (10 + 5 * len(word)) // 100) / RATE
    note = np.sin(2 * np.pi * SCALE[sum(word.encode()) % len(SCALE)] * time)
    return (12_000 * note).astype(np.int16).tobytes()


class Humming(PythonTTSService):
    """Speaks a text, chunk by chunk; any sample rate will do."""

    # Each chunk names its words: of a reply that is cut in on, the heard ones are remembered.
    gives_word_times = True

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Speaks a sentence. What takes long, a model say, belongs in a thread."""
        for word in text.split():
            yield SpeechChunk(pcm=hum(word), sample_rate=RATE, words=(SpokenWord(text=word),))


async def bot(call: Call) -> None:
    """Hums back what one caller says."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        Parrot(),
        Humming(),
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()])
