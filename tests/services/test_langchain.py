"""A LangChain chain behind the telephone: what it is told, and what is heard when it fails."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from loguru import logger
from pipecat.frames.frames import ErrorFrame, LLMContextFrame, LLMTextFrame, TTSSpeakFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frameworks.langchain import LangchainProcessor
from pipecat.tests.utils import run_test
from pipecat.utils.errors import ErrorCategory

from tests.pipecat_versions import RESPONSE_END, unless_pipecat_112
from tests.waiting import time_passes
from twilio_frames.call import Call
from twilio_frames.errors import MissingExtraError
from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.services.langchain import PhoneLangchainProcessor, heard_messages
from twilio_frames.services.retry_policy import ReplyPolicy
from twilio_frames.testing import Phone


class Errors(BaseObserver):
    def __init__(self):
        super().__init__()
        self.seen: dict[int, ErrorFrame] = {}

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, ErrorFrame):
            self.seen[data.frame.id] = data.frame


def bot_with(answer: Callable, errors: Errors | None = None, **options):
    """A bot whose chain is a function of its input."""

    async def stream(inputs: AsyncIterator[dict]) -> AsyncIterator[object]:
        async for given in inputs:
            async for piece in answer(given):
                yield piece

    async def bot(call: Call) -> None:
        context = PhoneContextAggregator()
        if errors:
            call.observers.append(errors)
        pipeline = Pipeline([
            call.transport.input(),
            context.user(),
            PhoneLangchainProcessor(RunnableGenerator(stream), **options),
            EspeakTTSService(),
            call.transport.output(),
            context.assistant(),
        ])  # fmt: skip
        await call.run(pipeline, begin_with=[TTSSpeakFrame("Good morning.")])

    return bot


async def test_chain_is_told_what_was_heard(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    told = []

    async def answer(given):
        told.append(given)
        await time_passes(0.05)
        yield "One two "
        yield AIMessageChunk(content="three four.")

    async with phone.text(bot_with(answer)) as talk:
        assert await talk.reply() == "Good morning."
        assert await talk.say("Hello.", cut_after=2) == "One two"
        assert await talk.say("No, wait.") == "One two three four."

    health = VENDORS.of(VendorRole.LLM, "langchain")
    assert health.successes == 2
    assert 0.05 <= (health.first_byte(0.5) or 0) < 2.0
    assert told == [
        {"input": "Hello.", "history": [AIMessage("Good morning.")]},
        {
            "input": "No, wait.",
            "history": [AIMessage("Good morning."), HumanMessage("Hello."), AIMessage("One two")],
        },
    ]


async def test_exception_is_answered_in_words(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    errors, logged = Errors(), []

    async def answer(given):
        if given["input"] == "My secret.":
            yield "Let me"
            raise ValueError("My secret.")
        yield "Fine."

    sink = logger.add(logged.append, level="TRACE")
    try:
        async with phone.text(bot_with(answer, errors), keep_errors=True) as talk:
            await talk.reply()
            assert await talk.say("My secret.") == f"Let me \N{EM DASH} {APOLOGY}"
            assert await talk.say("Again.") == "Fine."
    finally:
        logger.remove(sink)

    health = VENDORS.of(VendorRole.LLM, "langchain")
    assert health.failures == {FailureKind.OTHER: 1}
    (error,) = errors.seen.values()
    assert error.category is ErrorCategory.APPLICATION
    assert "ValueError" in error.error
    assert "secret" not in error.error
    assert not [line for line in logged if "langchain" in line and "secret" in line]


async def test_hanging_chain_is_given_up(phone: Phone):
    errors = Errors()

    async def answer(given):
        if given["input"] == "Think.":
            # A model's answer begins with its role; that is no word yet.
            yield AIMessageChunk(content="")
            await time_passes(60)
        yield "Fine. "
        if given["input"] == "Break off.":
            await time_passes(60)

    policy = ReplyPolicy(answer_secs=0.3, next_words_secs=0.1)
    bot = bot_with(answer, errors, policy=policy, apology="Sorry?")
    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("Think.") == "Sorry?"
        assert await talk.say("Break off.") == "Fine. Sorry?"
        assert await talk.say("Again.") == "Fine."
    assert [error.error for error in errors.seen.values()] == [
        "expected the first words within 0.3 s, got none: raise answer_secs",
        "expected the next words within 0.1 s, got none: raise next_words_secs",
    ]


async def test_time_out_of_the_chain_is_its_own(phone: Phone):
    errors = Errors()

    async def answer(given):
        if given["input"] == "Ask.":
            raise TimeoutError("a secret")
        yield "Fine."

    async with phone.text(bot_with(answer, errors)) as talk:
        await talk.reply()
        assert await talk.say("Ask.") == APOLOGY
        assert await talk.say("Again.") == "Fine."
    (error,) = errors.seen.values()
    assert error.error.startswith("expected the chain to respond, it raised TimeoutError:")


async def test_chain_that_works_may_take_its_time(phone: Phone):
    async def answer(_):
        for _ in range(4):
            # A call of a tool in the chain.
            yield {"step": "look it up"}
            await time_passes(0.15)
        yield "Fine."

    policy = ReplyPolicy(answer_secs=0.3, next_words_secs=0.3)
    async with phone.text(bot_with(answer, policy=policy)) as talk:
        await talk.reply()
        assert await talk.say("Work.") == "Fine."


async def test_chain_without_words_is_apologized_for(phone: Phone):
    errors = Errors()

    async def answer(given):
        # None is a piece like others, no end.
        yield None
        yield AIMessageChunk(content=" ")
        if given["input"] != "Say nothing.":
            yield "Fine."

    async with phone.text(bot_with(answer, errors)) as talk:
        await talk.reply()
        assert await talk.say("Say nothing.") == APOLOGY
        assert await talk.say("Again.") == "Fine."
    (error,) = errors.seen.values()
    assert error.error.startswith("expected the chain to say something, got no words")


@unless_pipecat_112(RESPONSE_END)
async def test_slow_chain_is_filled_once(phone: Phone):
    async def answer(_):
        await time_passes(0.6)
        yield "Fine."

    bot = bot_with(answer, fillers=["One moment.", "Again?"], filler_after=0.2)
    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("Hello.") == "One moment. Fine."


async def test_interruption_cancels_the_chain(phone: Phone):
    cancelled = []

    async def answer(given):
        yield "One two three. "
        yield "Four"
        try:
            await time_passes(60 if given["input"] == "Go." else 0)
        except asyncio.CancelledError:
            cancelled.append(given["input"])
            raise

    async with phone.text(bot_with(answer)) as talk:
        await talk.reply()
        await talk.say("Go.", cut_after=3)
        assert await talk.say("Stop.") == "One two three. Four"
    assert cancelled == ["Go."]


async def test_thoughts_are_not_spoken(phone: Phone):
    async def answer(_):
        yield AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Hm."}])
        yield AIMessageChunk(content=[{"type": "text", "text": "Fine."}])
        yield {"not": "words"}

    async with phone.text(bot_with(answer)) as talk:
        await talk.reply()
        assert await talk.say("Hello.") == "Fine."


async def test_thoughts_in_a_field_of_their_own_are_progress(phone: Phone):
    async def answer(_):
        yield AIMessageChunk(content="", additional_kwargs={"reasoning_content": ""})
        for _ in range(3):
            yield AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm."})
            await time_passes(0.2)
        yield AIMessageChunk(content="Fine.")

    policy = ReplyPolicy(answer_secs=0.4, next_words_secs=0.4)
    async with phone.text(bot_with(answer, policy=policy)) as talk:
        await talk.reply()
        assert await talk.say("Think.") == "Fine."


async def test_newest_message_with_a_picture_is_answered():
    def answer(given: dict) -> str:
        return f"{given['input']} after {[message.content for message in given['history']]}"

    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    parts = [{"type": "text", "text": "What"}, picture, {"type": "text", "text": "is this?"}]
    heard = [
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [picture]},
        {"role": "user", "content": parts},
    ]
    for newest, asked, before in [
        (parts, "What is this?", ["Hi.", "What is this?"]),
        ([picture], "", ["Hi.", "What is this?"]),
    ]:
        context = LLMContext([*heard, {"role": "user", "content": newest}])
        down, _ = await run_test(
            PhoneLangchainProcessor(RunnableLambda(answer)),
            frames_to_send=[LLMContextFrame(context)],
        )
        said = "".join(frame.text for frame in down if isinstance(frame, LLMTextFrame))
        assert said == f"{asked} after {before}"
        assert len(context.get_messages()) == 4


async def test_chain_may_do_without_history(phone: Phone):
    async def answer(given):
        yield ", ".join(given)

    async with phone.text(bot_with(answer, history_key=None, transcript_key="words")) as talk:
        await talk.reply()
        assert await talk.say("Hello.") == "words"


def test_function_calls_are_left_out():
    context = LLMContext(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "tool_calls": []},
            {"role": "tool", "content": "{}", "tool_call_id": "1"},
            {"role": "assistant", "content": "Hi."},
        ]
    )
    assert heard_messages(context) == [
        SystemMessage("Be brief."), HumanMessage("Hello."), AIMessage("Hi."),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["_ainvoke"])
def test_pipecat_still_has_the_name(name: str):
    assert name in vars(LangchainProcessor)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("langchain_core", "langchain_core.callbacks", "langchain_core.outputs"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "twilio_frames.services.langchain")

    with pytest.raises(MissingExtraError, match=r"pipecat-twilio-frames\[langchain\]"):
        importlib.import_module("twilio_frames.services.langchain")
