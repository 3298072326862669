"""The server that stands in for OpenAI speaks as OpenAI does, to OpenAI's own client."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from twilio_frames.testing.vendors import (
    Drop,
    FunctionCall,
    Garbage,
    Hang,
    OpenAIServer,
    Refusal,
    Slow,
)
from twilio_frames.testing.vendors.openai import NOTHING_LEFT

HI: list[Any] = [{"role": "user", "content": "Hi."}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "order", "parameters": {"type": "object"}}}
]
CALL: dict[str, Any] = {
    "role": "assistant",
    "tool_calls": [
        {"id": "call1", "type": "function", "function": {"name": "order", "arguments": "{}"}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call1", "content": "7"}


@asynccontextmanager
async def client(server: OpenAIServer, key: str = "sk-1") -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=key, base_url=server.base_url, max_retries=0) as made:
        yield made


async def streamed(server: OpenAIServer, messages: list[Any] = HI, **options: Any) -> list[Any]:
    async with client(server) as asking:
        stream = await asking.chat.completions.create(
            model="gpt-4.1", messages=messages, stream=True, **options
        )
        return [chunk async for chunk in stream]


async def whole(server: OpenAIServer, messages: Any = HI, **options: Any) -> Any:
    async with client(server) as asking:
        return await asking.chat.completions.create(
            **{"model": "gpt-4.1", "messages": messages, **options}
        )


def text_of(chunks: list[Any]) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


async def test_text_is_streamed_in_pieces():
    async with OpenAIServer(["Good morning to you."]) as server:
        chunks = await streamed(server)
    assert text_of(chunks) == "Good morning to you."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) == 6
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].model.startswith("gpt-4.1-")


async def test_usage_comes_last_if_it_was_asked_for():
    async with OpenAIServer(["Good morning."]) as server:
        chunks = await streamed(server, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 2
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_stream_ends_with_done():
    async with OpenAIServer(["Hi."]) as server, aiohttp.ClientSession() as session:
        body = {"model": "gpt-4.1", "messages": HI, "stream": True}
        async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
            lines = (await response.text()).split("\n\n")
            assert response.content_type == "text/event-stream"
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: {") for line in lines[:-2])


async def test_function_calls_are_streamed_in_pieces():
    arguments = {"drink": "latte", "size": "large"}
    async with OpenAIServer([[FunctionCall("order", arguments), FunctionCall("pay")]]) as server:
        chunks = await streamed(server, tools=TOOLS)
    pieces = [piece for chunk in chunks for piece in (chunk.choices[0].delta.tool_calls or ())]
    first = [piece for piece in pieces if piece.index == 0]
    assert (first[0].function.name, first[0].function.arguments) == ("order", "")
    assert first[0].id.startswith("call_")
    assert all(piece.id is None and piece.function.name is None for piece in first[1:])
    assert json.loads("".join(piece.function.arguments for piece in first)) == arguments
    assert next(piece.function.name for piece in pieces if piece.index == 1) == "pay"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_whole_answer_is_given_too():
    async with OpenAIServer(["Hi.", FunctionCall("order", {"size": "large"})]) as server:
        first = await whole(server)
        second = await whole(server, tools=TOOLS)
    assert first.choices[0].message.content == "Hi."
    assert first.usage.total_tokens == first.usage.prompt_tokens + 1
    (call,) = second.choices[0].message.tool_calls
    assert call.function.arguments == '{"size": "large"}'
    assert second.choices[0].finish_reason == "tool_calls"


async def test_reply_may_depend_on_the_messages():
    async with OpenAIServer([lambda messages: messages[-1]["content"].upper()]) as server:
        assert text_of(await streamed(server)) == "HI."
        assert text_of(await streamed(server)) == NOTHING_LEFT
        server.say("Again.")
        assert text_of(await streamed(server)) == "Again."
    assert server.asked[0].words == "Hi."
    assert server.asked[0].said == "HI."


async def test_first_token_and_pace_are_kept():
    async with OpenAIServer(
        ["One two three."] * 2, first_token_secs=0.2, token_seconds=0.1
    ) as server:
        began = time.monotonic()
        await streamed(server)
        assert time.monotonic() - began >= 0.4
        server.first_token_secs = server.token_seconds = 0.0
        server.go_wrong(Slow(seconds=0.3))
        began = time.monotonic()
        await streamed(server)
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], {}),
        ([{"role": "caller", "content": "Hi."}], {}),
        ([{"role": "user"}], {}),
        ([{"role": "user", "content": 7}], {}),
        ([{"role": "assistant", "content": None}], {}),
        ([*HI, CALL], {}),
        ([*HI, CALL, *HI], {}),
        ([*HI, RESULT], {}),
        ([*HI, CALL, RESULT, RESULT], {}),
        ([*HI, {"role": "user", "content": "x", "tool_calls": CALL["tool_calls"]}], {}),
        (HI, {"tools": [{"type": "function", "function": {"name": "no name"}}]}),
        (HI, {"tools": []}),
        (HI, {"tool_choice": "auto"}),
        (HI, {"temperature": 3}),
        (HI, {"extra_body": {"top_k": 4}}),
        (HI, {"stream_options": {"include_usage": True}}),
        (HI, {"model": ""}),
    ],
)
async def test_bad_request_is_refused(messages: Any, options: dict[str, Any]):
    async with OpenAIServer(["Hi."]) as server:
        with pytest.raises(openai.BadRequestError) as caught:
            await whole(server, messages, **options)
        assert caught.value.type == "invalid_request_error"
        assert not server.asked
        # It has used up no reply.
        assert text_of(await streamed(server)) == "Hi."


async def test_answered_call_is_taken():
    async with OpenAIServer(["Seven."]) as server:
        chunks = await streamed(server, [*HI, CALL, RESULT], tools=TOOLS, tool_choice="auto")
    assert text_of(chunks) == "Seven."


async def test_refusals_are_openais():
    refusals = [Refusal(status=401), Refusal(status=429, retry_after=1.5), Refusal(status=500)]
    async with OpenAIServer(faults=refusals) as server:
        with pytest.raises(openai.AuthenticationError) as rejected:
            await whole(server)
        with pytest.raises(openai.RateLimitError) as limited:
            await whole(server)
        with pytest.raises(openai.InternalServerError) as failed:
            await whole(server)
    assert rejected.value.code == "invalid_api_key"
    assert limited.value.code == "rate_limit_exceeded"
    headers = limited.value.response.headers
    assert headers["retry-after"] == "1.5"
    assert headers["retry-after-ms"] == "1500"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert failed.value.type == "server_error"


async def test_keys_and_models_may_be_limited():
    async with OpenAIServer(["Hi."], keys={"sk-2"}, models={"gpt-4.1"}) as server:
        with pytest.raises(openai.AuthenticationError):
            await whole(server)
        async with client(server, "sk-2") as asking:
            with pytest.raises(openai.NotFoundError) as unknown:
                await asking.chat.completions.create(model="gpt-0", messages=HI)
            assert [model.id async for model in asking.models.list()] == ["gpt-4.1"]
            assert (await asking.models.retrieve("gpt-4.1")).id == "gpt-4.1"
            with pytest.raises(openai.NotFoundError):
                await asking.models.retrieve("gpt-0")
    assert unknown.value.code == "model_not_found"


async def test_drops_come_where_they_are_due():
    async with OpenAIServer(["Good morning."] * 2, faults=[Drop(), Drop(after=2)]) as server:
        with pytest.raises(openai.APIConnectionError):
            await streamed(server)
        heard: list[str] = []

        async def listen() -> None:
            async with client(server) as asking:
                stream = await asking.chat.completions.create(
                    model="gpt-4.1", messages=HI, stream=True
                )
                async for chunk in stream:
                    (choice,) = chunk.choices
                    heard.append(choice.delta.content or "")

        with pytest.raises(openai.APIConnectionError):
            await listen()
    assert heard == ["", "Good"]
    assert server.asked[1].chunks == 2
    assert server.asked[1].broken_off_at is None


async def test_garbage_comes_where_it_is_due():
    async with OpenAIServer(["Good morning."], faults=[Garbage(after=2)]) as server:
        with pytest.raises(json.JSONDecodeError):
            await streamed(server)
    assert server.asked[0].said.startswith("Good")


async def test_client_that_leaves_is_noted():
    async with OpenAIServer(["One two three four."], token_seconds=30) as server:
        server.go_wrong(None, Hang())
        asking = asyncio.create_task(streamed(server))
        asked = await server.was_asked()
        await server.has_said(asked, "One")
        asking.cancel()
        await server.was_broken_off()
        assert asked.finished_at is None
        hanging = asyncio.create_task(streamed(server))
        await server.was_asked(2)
        hanging.cancel()
        assert (await server.was_broken_off(2)).chunks == 0


async def test_faults_befall_chat_alone():
    async with OpenAIServer(["Hi."], faults=[Refusal(status=500)]) as server:
        async with client(server) as asking:
            await asking.models.retrieve("gpt-4.1")
        with pytest.raises(openai.InternalServerError):
            await whole(server)
