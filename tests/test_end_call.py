"""An LLM ends the call by a function: not before its goodbye was heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.goodbye import Goodbye
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone
from twilio_frames.testing.text import TextConversation
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer

BYE = FunctionCall("end_call", {"goodbye": "Thank you, and goodbye."})


@asynccontextmanager
async def talking(
    phone: Phone, *replies: Any
) -> AsyncIterator[tuple[TextConversation, OpenAIServer]]:
    """Begins a conversation in writing with a bot whose model replies with these."""
    async with OpenAIServer(replies) as server:

        async def bot(call: Call) -> None:
            context = PhoneContextAggregator(LLMContext(tools=[call.end_call]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)
            output, speech = call.transport.output(), EspeakTTSService()
            parts = [call.transport.input(), context.user(), llm, speech, output]
            await call.run(
                Pipeline([*parts, context.assistant()]), begin_with=[TTSSpeakFrame("Hello.")]
            )

        async with phone.text(bot) as talk:
            await talk.reply()
            yield talk, server


async def test_goodbye_is_heard_before_the_end(phone: Phone):
    async with talking(phone, BYE) as (talk, server):
        assert await talk.say("That is all.") == "Thank you, and goodbye."
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP
        newest = talk.context.get_messages()[-1]
        assert newest == {"role": "assistant", "content": "Thank you, and goodbye."}
    assert len(server.asked) == 1


async def test_caller_who_talks_over_the_goodbye_is_listened_to(phone: Phone):
    async with talking(phone, BYE, "A muffin, too.", BYE) as (talk, server):
        assert await talk.say("That is all.", cut_after=2) == "Thank you,"
        assert await talk.say("No, a muffin!") == "A muffin, too."
        assert talk.call.end_reason is None
        # The model knows that the call may go on.
        results = [one for one in server.asked[1].messages if one["role"] == "tool"]
        assert "unless the caller goes on" in results[0]["content"]
        assert await talk.say("That is all.") == "Thank you, and goodbye."
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP


async def test_goodbye_said_before_is_heard_too(phone: Phone):
    async with talking(phone, ["Goodbye, then.", FunctionCall("end_call", {"goodbye": ""})]) as (
        talk,
        _,
    ):
        assert await talk.say("That is all.") == "Goodbye, then."
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP


class FakeWorker:
    """Watched by whoever asks; nothing happens in it."""

    def __init__(self):
        self.observers: list[object] = []

    def add_observer(self, observer: object) -> None:
        self.observers.append(observer)

    async def remove_observer(self, observer: object) -> None:
        self.observers.remove(observer)


async def test_goodbye_that_is_never_heard_has_a_limit():
    worker, ended = FakeWorker(), asyncio.Event()

    async def then() -> None:
        ended.set()

    Goodbye(cast("PipelineWorker", worker), then, limit=0.01)
    async with asyncio.timeout(5):
        await ended.wait()
    assert not worker.observers
