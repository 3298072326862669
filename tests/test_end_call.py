"""An LLM ends the call by a function: not before its goodbye was heard."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pipecat.frames.frames import (
    BotSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.transport.bots import Tap
from tests.vendors.fallback_bot import Scribe
from tests.vendors.faults import bad_day
from tests.waiting import others_run, time_passes
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason, MarkReachedFrame
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.replies.goodbye import Goodbye
from twilio_frames.processors.tts import SpeechChunk
from twilio_frames.processors.vad import PhoneVAD
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


class SlowVoice(EspeakTTSService):
    """Needs a while for the first sound of each text."""

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        await time_passes(0.8)
        async for chunk in super().synthesise(text):
            yield chunk


async def test_end_of_earlier_speech_is_not_the_end_of_the_goodbye(phone: Phone):
    goodbye = FunctionCall("end_call", {"goodbye": "Your coffee will be ready in ten minutes."})
    heard, calls = Tap(), []
    async with OpenAIServer([["Thanks.", goodbye], "A muffin, too."]) as server:

        async def bot(call: Call) -> None:
            calls.append(call)
            context = PhoneContextAggregator(LLMContext(tools=[call.end_call]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)
            ears = [call.transport.input(), PhoneVAD(), Scribe("that is all", "a muffin")]
            voice = [SlowVoice(), call.transport.output(), heard]
            await call.run(Pipeline([*ears, context.user(), llm, *voice, context.assistant()]))

        async with phone.call(bot) as caller:
            await caller.say("That is all.")
            await heard.wait_for(BotStartedSpeakingFrame, count=2)
            await caller.say("No, wait, please, a muffin.")
            assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=3)
            assert calls[0].end_reason is None


class FakeWorker:
    """Watched by whoever asks; nothing happens in it."""

    def __init__(self):
        self.observers: list[object] = []
        self.is_left = asyncio.Event()

    def add_observer(self, observer: object) -> None:
        self.observers.append(observer)

    async def remove_observer(self, observer: object) -> None:
        self.observers.remove(observer)
        self.is_left.set()


@bad_day(
    "air",
    "the caller goes on while the bot wants to hang up",
    "An answer: the call stays up.",
)
async def test_caller_who_goes_on_before_the_goodbye_is_listened_to(phone: Phone):
    """The model says it in its text, and leaves the function's argument empty."""
    end, calls = FunctionCall("end_call", {"goodbye": ""}), []
    async with OpenAIServer([["Goodbye, and thank you.", end], "A muffin, too."]) as server:

        async def bot(call: Call) -> None:
            calls.append(call)
            context = PhoneContextAggregator(LLMContext(tools=[call.end_call]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False)
            ears = [call.transport.input(), PhoneVAD(), Scribe("that is all", "a muffin")]
            voice = [SlowVoice(), call.transport.output()]
            await call.run(Pipeline([*ears, context.user(), llm, *voice, context.assistant()]))

        async with phone.call(bot) as caller:
            await caller.say("That is all.")
            assert await caller.wait_until(lambda: len(server.asked) == 1, seconds=5)
            await caller.say("No, wait, please, a muffin.")
            assert await caller.wait_until(lambda: len(server.asked) == 2, seconds=5)
            assert calls[0].end_reason is None


@pytest.mark.parametrize("text", ["Goodbye then", "Goodbye. And have a nice day"])
async def test_words_without_an_end_are_heard_too(phone: Phone, text: str):
    """A sentence that does not end is gathered until the reply does."""
    async with talking(phone, [text, FunctionCall("end_call", {"goodbye": ""})]) as (talk, _):
        assert await talk.say("That is all.") == text
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP


async def test_empty_goodbye_behind_nothing_ends_the_call(phone: Phone):
    async with talking(phone, [FunctionCall("end_call", {"goodbye": ""})]) as (talk, _):
        asked = time.monotonic()
        await talk.say("That is all.")
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP
        assert time.monotonic() - asked < 5.0


async def nowhere(_: Frame) -> None:
    pass


async def test_reply_behind_the_goodbye_is_heard_first():
    """Another function of the same reply lets the model say more."""
    worker, ended = FakeWorker(), asyncio.Event()
    marks: list[Frame] = []

    async def then() -> None:
        ended.set()

    async def push(frame: Frame) -> None:
        marks.append(frame)

    goodbye = Goodbye(cast("PipelineWorker", worker), then, push=push)
    first = goodbye.mark.mark
    await goodbye.on_push_frame(pushed(LLMFullResponseStartFrame()))
    await goodbye.on_push_frame(pushed(MarkReachedFrame(first, 0, flushed=False)))
    await goodbye.on_push_frame(pushed(LLMFullResponseEndFrame()))
    await goodbye.on_push_frame(pushed(MarkReachedFrame(first, 0, flushed=False)))
    assert worker.observers
    assert marks == [goodbye.mark]

    await goodbye.on_push_frame(pushed(MarkReachedFrame(goodbye.mark.mark, 0, flushed=False)))
    async with asyncio.timeout(5):
        await ended.wait()


@bad_day(
    "air",
    "a goodbye that is never heard",
    "The line is closed, after a limit.",
)
async def test_goodbye_that_is_never_heard_has_a_limit():
    worker, ended = FakeWorker(), asyncio.Event()

    async def then() -> None:
        ended.set()

    Goodbye(cast("PipelineWorker", worker), then, push=nowhere, limit=0.01)
    async with asyncio.timeout(5):
        await ended.wait()
    assert not worker.observers


async def test_limit_begins_when_the_bot_falls_silent():
    worker, ended = FakeWorker(), asyncio.Event()

    async def then() -> None:
        ended.set()

    goodbye = Goodbye(cast("PipelineWorker", worker), then, push=nowhere, limit=0.3)
    for _ in range(5):
        await time_passes(0.1)
        await goodbye.on_push_frame(pushed(BotSpeakingFrame()))
    assert not ended.is_set()
    async with asyncio.timeout(5):
        await ended.wait()


@pytest.mark.parametrize("is_flushed", [False, True])
async def test_only_the_mark_behind_the_goodbye_tells_of_its_end(is_flushed):
    worker, ended = FakeWorker(), asyncio.Event()

    async def then() -> None:
        ended.set()

    goodbye = Goodbye(cast("PipelineWorker", worker), then, push=nowhere)
    for frame in (BotStoppedSpeakingFrame(), MarkReachedFrame("other", 0, flushed=False)):
        await goodbye.on_push_frame(pushed(frame))
    await others_run()
    assert worker.observers
    await goodbye.on_push_frame(pushed(MarkReachedFrame(goodbye.mark.mark, 0, flushed=is_flushed)))
    # It was heard before.
    await goodbye.on_push_frame(pushed(InterruptionFrame()))
    async with asyncio.timeout(5):
        await worker.is_left.wait()
    await others_run()
    assert ended.is_set() is not is_flushed


async def test_goodbye_that_is_held_and_said_on_is_heard_to_its_end():
    """A sound without words holds the bot: the line throws the mark away with what it has."""
    worker, ended = FakeWorker(), asyncio.Event()
    marks: list[Frame] = []

    async def then() -> None:
        ended.set()

    async def push(frame: Frame) -> None:
        marks.append(frame)

    goodbye = Goodbye(cast("PipelineWorker", worker), then, push=push)
    first = goodbye.mark.mark
    await goodbye.on_push_frame(pushed(MarkReachedFrame(first, 0, flushed=True)))
    await others_run()
    assert worker.observers
    assert marks == [goodbye.mark]
    assert goodbye.mark.mark != first

    await goodbye.on_push_frame(pushed(MarkReachedFrame(goodbye.mark.mark, 0, flushed=False)))
    async with asyncio.timeout(5):
        await ended.wait()


async def test_goodbye_forgotten_at_once_watches_nothing():
    worker = FakeWorker()

    async def then() -> None:
        raise AssertionError("expected nothing to happen, it did")

    await Goodbye(cast("PipelineWorker", worker), then, push=nowhere).forget()
    assert not worker.observers


def pushed(frame: Frame) -> FramePushed:
    nobody = cast("FrameProcessor", None)
    return FramePushed(nobody, nobody, frame, FrameDirection.DOWNSTREAM, 0)
