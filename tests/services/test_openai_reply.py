"""The chunks of a reply as they are handed on."""

import asyncio
from collections.abc import AsyncIterator

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceDeltaToolCall

from twilio_frames.services.openai_reply import ChatReply
from twilio_frames.services.patience import ReplyPatience


def chunk(**delta: object) -> ChatCompletionChunk:
    return ChatCompletionChunk(
        id="one",
        choices=[Choice(index=0, delta=ChoiceDelta.model_validate(delta))],
        created=0,
        model="gpt-4.1",
        object="chat.completion.chunk",
    )


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

        return chunks()

    patience = ReplyPatience(between_tokens=2.0, retries=0.0)
    reply = ChatReply(ask, patience, may_be_empty=False, note_unreadable=lambda _: None)
    calls: list[str] = []
    async for got in reply:
        delta = got.choices[0].delta
        calls += [call.id or "" for call in delta.tool_calls or ()]
        if reply.said == "One moment.":
            are_said.set()
    assert are_said.is_set()
    assert calls == ["1"]
