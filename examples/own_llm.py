"""Your own Python as the mind of a bot: no model, no key, no server.

What you will hear: a greeting, then your own words back, and how many they were.

What it needs: nothing; ears and voice are those of ``bot.py``. Without a key for Deepgram they know
the words of a coffee shop: "a large latte please".

Run it::

    twilio-frames serve twilio_frames.examples.own_llm:bot
"""

from collections.abc import AsyncIterator

from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.vad import PhoneVAD

warm_up = load_services  # awaited before calls are taken


class Parrot(PythonLLMService):
    """Says everything back. What it awaits is cancelled when the caller cuts in."""

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        """Says what follows in the conversation, piece by piece."""
        messages = context.get_messages()
        if not messages:
            yield "Hello! I say everything back."
            return
        newest = messages[-1]
        words = str(newest.get("content", "")) if isinstance(newest, dict) else ""
        yield f"You said: {words}. "
        yield f"That was {len(words.split())} words."


async def bot(call: Call) -> None:
    """Repeats what one caller says."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        Parrot(),
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()])
