"""A bot that asks a person first, and puts its caller through only when they accept.

What you will hear: a greeting; when you want a person, the bot goes on talking with you while
somebody's telephone rings, is told what you want, and presses 1; then that person.

What it needs: OPENAI_API_KEY, or OPENAI_BASE_URL for a server that speaks as OpenAI's does, the
extra ``openai``, a Twilio account with a number, and in SALES_NUMBER somebody's telephone number.
Run it::

    twilio-frames serve twilio_frames.examples.telephone.warm_transfer:bot
"""

import os

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Briefing, Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService

SETTINGS = PhoneOpenAILLMService.Settings(
    model="gpt-4.1",
    system_instruction="You answer the telephone of a coffee roastery, and find out what callers "
    "want, before you have a person asked whether they take the call.",
)


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are taken."""
    await load_services("OPENAI_API_KEY", "OPENAI_BASE_URL")


async def bot(call: Call) -> None:
    """Answers one caller."""
    people = {"sales": os.environ.get("SALES_NUMBER", "+12125550123")}
    briefing = Briefing(summary="", accept="1", accept_secs=15.0)
    tools = [call.warm_transfer_function(people, briefing=briefing, ring_secs=20), call.end_call]
    context = PhoneContextAggregator(LLMContext(tools=tools))
    services = await choose_services(Dialogue())
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        PhoneOpenAILLMService(base_url=os.environ.get("OPENAI_BASE_URL"), settings=SETTINGS),
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello! What can I do for you?")])
