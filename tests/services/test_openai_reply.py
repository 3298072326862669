"""The chunks of a reply as they are handed on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from loguru import logger
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceDeltaToolCall

from twilio_frames.errors import IncompleteReplyError
from twilio_frames.services.openai.reply import ChatReply
from twilio_frames.services.retry_policy import ReplyPolicy


def chunk(**delta: object) -> ChatCompletionChunk:
    return ChatCompletionChunk(
        id="one",
        choices=[Choice(index=0, delta=ChoiceDelta.model_validate(delta))],
        created=0,
        model="gpt-4.1",
        object="chat.completion.chunk",
    )


def ending(reason: str | None) -> ChatCompletionChunk:
    last = chunk()
    last.choices[0].finish_reason = reason  # pyright: ignore[reportAttributeAccessIssue] What servers send.
    return last


def usage() -> ChatCompletionChunk:
    last = chunk()
    last.choices = []
    last.usage = CompletionUsage(completion_tokens=2, prompt_tokens=2, total_tokens=4)
    return last


async def said_in(*attempts: list[ChatCompletionChunk]) -> tuple[str, list[str], list[str]]:
    """What is said, which functions are called, and what each attempt is told was said before."""
    left, asked = list(attempts), []

    async def ask(said: str) -> AsyncIterator[ChatCompletionChunk]:
        asked.append(said)

        async def chunks() -> AsyncIterator[ChatCompletionChunk]:
            for one in left.pop(0):
                yield one

        return chunks()

    policy = ReplyPolicy(next_words_secs=2.0, give_up_secs=3.0)
    reply = ChatReply(ask, policy, may_be_empty=False, note_unreadable=lambda _: None)
    calls = [
        call.function.name or ""
        async for got in reply
        if got.choices
        for call in got.choices[0].delta.tool_calls or ()
        if call.function
    ]
    return reply.said, calls, asked


def booking() -> ChatCompletionChunk:
    function = {"name": "book", "arguments": "{}"}
    return chunk(tool_calls=[{"index": 0, "id": "1", "function": function}])


@pytest.mark.parametrize("blank", ["", "  ", " \n"])
async def test_reply_of_spaces_is_asked_for_again(blank: str):
    found = await said_in(
        [chunk(content=blank), ending("stop")],
        [chunk(content="Your table is booked."), ending("stop")],
    )

    assert found[0].strip() == "Your table is booked."
    assert found[2] == ["", ""]


@pytest.mark.parametrize("empty", [None, ""])
async def test_reply_that_does_not_say_why_it_ended_goes_on(empty: str | None):
    found = await said_in(
        [chunk(content="Your table "), chunk(content="is"), ending(empty)],
        [chunk(content="is booked."), ending("stop")],
    )

    assert found[0] == "Your table is booked."
    assert len(found[2]) == 2


async def test_call_in_a_reply_without_an_end_is_not_made():
    found = await said_in([booking()], [booking(), ending("tool_calls")])

    assert found[1] == ["book"]


async def test_model_that_failed_in_the_middle_is_asked_again():
    """As routers of models say it, in a chunk like any other."""
    found = await said_in(
        [chunk(content="Yes, "), ending("error")], [chunk(content="we are."), ending("stop")]
    )

    assert found[0] == "Yes, we are."


async def test_count_of_tokens_is_an_end():
    """Some servers tell no reason, and Pipecat asks all for the count."""
    found = await said_in([chunk(content="Yes."), usage()])

    assert found == ("Yes.", [], [""])


async def test_reply_that_was_withheld_is_not_asked_for_again():
    with pytest.raises(IncompleteReplyError, match="content filter"):
        await said_in([chunk(content="You "), ending("content_filter")])


async def test_reply_that_was_cut_to_length_is_told_of():
    logged: list[str] = []
    sink = logger.add(logged.append, level="WARNING")

    found = await said_in([chunk(content="You may"), ending("length")])

    logger.remove(sink)
    assert found[0] == "You may"
    assert "max_tokens" in logged[0]
    assert "You may" not in logged[0]


async def test_words_do_not_wait_for_the_arguments_of_a_call():
    are_said = asyncio.Event()

    async def ask(said: str) -> AsyncIterator[ChatCompletionChunk]:
        async def chunks() -> AsyncIterator[ChatCompletionChunk]:
            call = ChoiceDeltaToolCall.model_validate(
                {"index": 0, "id": "1", "function": {"name": "order", "arguments": "{"}}
            )
            yield chunk(content="One ")
            yield chunk(content="moment.")
            yield chunk(tool_calls=[call])
            await are_said.wait()
            yield chunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}])
            yield ending("tool_calls")

        return chunks()

    policy = ReplyPolicy(next_words_secs=2.0, give_up_secs=0.0)
    reply = ChatReply(ask, policy, may_be_empty=False, note_unreadable=lambda _: None)
    calls: list[str] = []
    async for got in reply:
        delta = got.choices[0].delta
        calls += [call.id or "" for call in delta.tool_calls or ()]
        if reply.said == "One moment.":
            are_said.set()
    assert are_said.is_set()
    assert calls == ["1"]
