"""A model asks for digits by a function, and need not get to know them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone
from twilio_frames.testing.text import TextConversation
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer

ASKS = FunctionCall("collect_digits", {"prompt": "Please press your number."})


async def check(digits: str) -> str:
    return "is right" if digits == "4711" else "is wrong"


@asynccontextmanager
async def talking(
    phone: Phone, *replies: Any, **options: Any
) -> AsyncIterator[tuple[TextConversation, OpenAIServer]]:
    async with OpenAIServer(replies) as server:

        async def bot(call: Call) -> None:
            function = call.digits_function(length=4, **options)
            context = PhoneContextAggregator(LLMContext(tools=[function]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)
            parts = [call.transport.input(), context.user(), llm, EspeakTTSService()]
            await call.run(
                Pipeline([*parts, call.transport.output(), context.assistant()]),
                begin_with=[TTSSpeakFrame("Hello.")],
            )

        async with phone.text(bot) as talk:
            await talk.reply()
            yield talk, server


def told(server: OpenAIServer) -> str:
    """What the model got to know of it."""
    return next(one["content"] for one in server.asked[-1].messages if one["role"] == "tool")


async def test_model_is_told_the_digits(phone: Phone):
    async with talking(phone, ASKS, "Thank you.") as (talk, server):
        assert await talk.say("Hello.", cut_after=4) == "Please press your number."
        assert await talk.press("4711") == "Thank you."
        assert '"digits": "4711"' in told(server)


async def test_model_is_told_what_came_of_them(phone: Phone):
    async with talking(phone, ASKS, "Thank you.", check=check) as (talk, server):
        await talk.say("Hello.", cut_after=4)
        assert await talk.press("4711") == "Thank you."
        assert "is right" in told(server)
        assert "4711" not in str([one.messages for one in server.asked])


async def test_model_hears_of_digits_that_did_not_come(phone: Phone):
    async with talking(phone, ASKS, "Hello?", seconds_to_first=2.0) as (talk, server):
        await talk.say("Hello.", cut_after=4)
        assert await talk.reply() == "Hello?"
        assert '"outcome": "timeout"' in told(server)


async def test_key_stops_the_prompt_and_not_the_function(phone: Phone):
    prompt = "Please press your number. It has four digits, and stands on the back of your card."
    asks = FunctionCall("collect_digits", {"prompt": prompt})
    async with OpenAIServer([asks, "Thank you."]) as server:

        async def bot(call: Call) -> None:
            function = call.digits_function(check, length=4)
            context = PhoneContextAggregator(LLMContext(tools=[function]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)
            ears = [call.transport.input(), PhoneVAD(), Scribe("hello")]
            parts = [*ears, context.user(), llm, EspeakTTSService(), call.transport.output()]
            memories.append(context.context)
            await call.run(Pipeline([*parts, context.assistant()]))

        memories: list[LLMContext] = []
        async with phone.call(bot) as caller:
            await caller.say("Hello.")
            await caller.wait_until_bot_speaks(for_seconds=1.0)
            await caller.press("4711")
            assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=5)
            await caller.wait_for_bot()

    assert "is right" in told(server)
    memory = memories[0].get_messages()
    assert "4711" not in str(memory)
    said = [one["content"] for one in memory if isinstance(one, dict) and "content" in one]
    assert str(said[-2]).startswith("Please press")
    assert said[-1] == "Thank you."
    assert len(memory) == 5


@pytest.mark.parametrize("prompt", ["", "  "])
async def test_model_may_have_said_it_already(phone: Phone, prompt: str):
    asks = FunctionCall("collect_digits", {"prompt": prompt})
    async with talking(phone, ["Your number, please.", asks], "Thanks.") as (talk, server):
        await talk.say("Hello.", cut_after=3)
        assert await talk.press("4711") == "Thanks."
        assert '"digits": "4711"' in told(server)
