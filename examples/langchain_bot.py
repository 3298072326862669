"""A bot whose mind is a LangChain chain, with a memory of what the caller heard.

What you will hear: a greeting, then whatever the model makes of a coffee order. Talk over it: what
you did not hear of its words it does not believe to have said. What it needs: OPENAI_API_KEY, or
OPENAI_BASE_URL for a server that speaks as OpenAI's does; the extra ``langchain``. Run it::

    twilio-frames serve twilio_frames.examples.langchain_bot:bot
"""

import asyncio
import os
from functools import cache

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pydantic import SecretStr

from twilio_frames.call import Call
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.services import choose_services, load_services
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.langchain import PhoneLangchainProcessor

SYSTEM = "You take coffee orders by phone. One short sentence at a time, no markup."


@cache
def chain():
    """The chain of all calls. Its client takes long to make, so this is for a thread."""
    prompt = [("system", SYSTEM), MessagesPlaceholder("history"), ("human", "{input}")]
    key = SecretStr(os.environ.get("OPENAI_API_KEY") or "none")
    # It asks again after 3 s, while the processor's own patience lasts.
    model = ChatOpenAI(model="gpt-4.1", api_key=key, timeout=3, max_retries=1)
    return ChatPromptTemplate.from_messages(prompt) | model


async def warm_up() -> None:
    """Looks for what the bot needs, before calls are taken."""
    await load_services("OPENAI_API_KEY", "OPENAI_BASE_URL")
    await asyncio.to_thread(chain)


async def bot(call: Call) -> None:
    """Takes one caller's order."""
    services, context = await choose_services(Dialogue()), PhoneContextAggregator()
    pipeline = Pipeline([
        call.transport.input(),
        PhoneVAD(),
        services.stt,
        context.user(),
        PhoneLangchainProcessor(await asyncio.to_thread(chain)),
        services.tts,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip
    await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello! What can I get you?")])
