"""A bot that calls functions of yours: it looks up prices, and ends the call.

What you will hear: a greeting, the price of what you ask for, a goodbye, the end of the call.

What it needs: OPENAI_API_KEY, or OPENAI_BASE_URL for a server that speaks as OpenAI's does, and
the extra ``openai``. Ears and voice are those of ``bot.py``. Run it::

    twilio-frames serve twilio_frames.examples.function_calls:bot
"""

import os

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService

SETTINGS = PhoneOpenAILLMService.Settings(model="gpt-4.1", system_instruction="You sell coffee.")
PRICES = {"latte": 4.5, "espresso": 3.0, "mocha": 5.0}


async def price_of(params: FunctionCallParams, drink: str) -> None:
    """Look up what a drink costs.

    Args:
        params: The call of the function.
        drink: The drink, in one word.
    """
    await params.result_callback({"dollars": PRICES.get(drink, "not on the menu")})


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are taken."""
    await load_services("OPENAI_API_KEY", "OPENAI_BASE_URL")


async def bot(call: Call) -> None:
    """Tells one caller what things cost."""
    context = PhoneContextAggregator(LLMContext(tools=[price_of, call.end_call]))
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
    await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello! Ask me what it costs.")])
