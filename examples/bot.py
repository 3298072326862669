"""A coffee shop that takes orders by phone.

What you will hear: a greeting, questions for what your order lacks, the order read back, a goodbye.
Talk over it whenever you like: "actually, make that a large".

What it needs: nothing; with DEEPGRAM_API_KEY, OPENAI_API_KEY or CARTESIA_API_KEY set, that vendor
takes over its part (extras ``local`` and ``vendors``), and this machine takes it back in the middle
of a call if the vendor fails. ``services.py`` says who is who.

Run it on this machine, with a simulated caller::

    twilio-frames demo

Serve it to Twilio (TWILIO_AUTH_TOKEN set, a public https address that leads here)::

    twilio-frames serve twilio_frames.examples.bot:bot
"""

# README: from here
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import Services, choose_services
from twilio_frames.examples.services import warm_up as warm_up  # awaited before calls are taken
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD


async def bot(call: Call, services: Services | None = None) -> None:
    """Takes one caller's order."""
    services = services or await choose_services(Dialogue())
    context = PhoneContextAggregator(LLMContext(tools=[call.end_call]))
    pipeline = Pipeline([
        call.transport.input(), PhoneVAD(),
        services.stt,
        context.user(),
        services.llm,
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, greeting=services.greeting)
