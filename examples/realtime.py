"""A speech-to-speech model takes the call: no recogniser and no voice besides it.

What you will hear: a model that answers for a library, looks up its opening hours, and knows how
far it got when you talk over it.

What it needs: OPENAI_API_KEY, and the extra ``openai``. OPENAI_REALTIME_URL leads to another
server that speaks as OpenAI's does.

Serve it to Twilio (TWILIO_AUTH_TOKEN set, a public https address that leads here)::

    twilio-frames serve twilio_frames.examples.realtime:bot
"""

import os

from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call import Call
from twilio_frames.examples.services import check_environment
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService

INSTRUCTIONS = """You answer the telephone of a small library. Greet the caller first. Speak as one
does on the phone: one or two short sentences. Ask opening_hours for the hours of a day."""


async def opening_hours(params: FunctionCallParams, day: str) -> None:
    """Tells when the library is open.

    Args:
        params: Where the answer goes.
        day: The day of the week.
    """
    is_closed = day.lower() == "sunday"
    await params.result_callback({"hours": "closed" if is_closed else "nine to six"})


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are taken."""
    check_environment("OPENAI_API_KEY")


async def bot(call: Call) -> None:
    """Answers one caller."""
    context = PhoneContextAggregator(LLMContext(tools=[opening_hours]))
    model = PhoneOpenAIRealtimeLLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        base_url=os.environ.get("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime"),
        settings=PhoneOpenAIRealtimeLLMService.Settings(system_instruction=INSTRUCTIONS),
    )
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        context.user(),
        model,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[LLMRunFrame()])
