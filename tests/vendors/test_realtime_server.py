"""The simulated Realtime API speaks as OpenAI's does: its own SDK understands every event."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.realtime import RealtimeServerEvent
from pipecat.services.openai.realtime import events as pipecat_events
from pydantic import TypeAdapter

from tests.testing.bots import tone
from twilio_frames.audio import mulaw_silence
from twilio_frames.testing.vendors import (
    Drop,
    FailedReply,
    FunctionCall,
    Garbage,
    Hang,
    Pacing,
    RealtimeServer,
    Refusal,
    SpokenReply,
)

EVENTS = TypeAdapter(RealtimeServerEvent)
QUICK = Pacing(pace=200.0, latency=0.0, transcription_secs=0.0)
MULAW = {"type": "audio/pcmu"}


class Client:
    """OpenAI's own client, with every event also held against the SDK's types."""

    def __init__(self, connection: Any):
        self.connection = connection
        self.seen: list[dict[str, Any]] = []

    async def send(self, kind: str, **values: Any) -> None:
        await self.connection.send({"type": kind, **values})

    async def event(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                raw = await self.connection.recv_bytes()
                event = EVENTS.validate_json(raw).model_dump(exclude_unset=True)
                pipecat_events.parse_server_event(raw.decode())
                self.seen.append(event)
                if event["type"] == kind:
                    return event

    async def configure(self, **inputs: Any) -> dict[str, Any]:
        audio = {"input": {"format": MULAW, **inputs}, "output": {"format": MULAW}}
        await self.send("session.update", session={"type": "realtime", "audio": audio})
        return (await self.event("session.updated"))["session"]

    async def append(self, mulaw: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(mulaw).decode())

    async def refusal(self, kind: str, **values: Any) -> str:
        await self.send(kind, **values)
        return (await self.event("error"))["error"]["code"]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def audio(self) -> bytes:
        deltas = [e["delta"] for e in self.seen if e["type"] == "response.output_audio.delta"]
        return b"".join(map(base64.b64decode, deltas))


@asynccontextmanager
async def connected(server: RealtimeServer) -> AsyncIterator[Client]:
    sdk = openai.AsyncOpenAI(api_key="secret", websocket_base_url=f"{server.ws_url}/v1")
    async with sdk.realtime.connect(model="gpt-realtime") as connection:
        client = Client(connection)
        await client.event("session.created")
        yield client


async def test_reply_comes_to_the_byte_with_its_words():
    spoken = SpokenReply.of("Good morning to you.")
    async with RealtimeServer(replies=[spoken], pacing=QUICK) as server, connected(server) as one:
        await one.configure()
        await one.send("response.create")
        done = await one.event("response.done")

    assert one.audio() == spoken.mulaw
    texts = [e["delta"] for e in one.seen if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(texts) == "Good morning to you."
    assert done["response"]["status"] == "completed"
    assert done["response"]["usage"]["output_token_details"]["audio_tokens"] > 0
    assert server.memory[0].words == ["Good", "morning", "to", "you."]
    kinds = one.kinds()
    order = [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)


async def test_truncation_reaches_the_memory():
    spoken = SpokenReply.of("One two three.")
    async with RealtimeServer(replies=[spoken], pacing=QUICK) as server, connected(server) as one:
        await one.configure()
        await one.send("response.create")
        await one.event("response.done")
        item = server.memory[0]
        heard_ms = spoken.words[1].end // 8
        await one.send(
            "conversation.item.truncate", item_id=item.id, content_index=0, audio_end_ms=heard_ms
        )
        await one.event("conversation.item.truncated")
        beyond = {"item_id": item.id, "content_index": 0, "audio_end_ms": heard_ms + 1}
        code = await one.refusal("conversation.item.truncate", **beyond)

    assert code == "invalid_value"
    assert item.audio == spoken.mulaw[: heard_ms * 8]
    assert (item.truncated_ms, item.words) == (heard_ms, ["One", "two"])


async def test_server_hears_turns_by_itself():
    async with RealtimeServer(hears=["hello there"], pacing=QUICK) as server:
        async with connected(server) as one:
            await one.configure(transcription={"model": "whisper-1"})
            sound = mulaw_silence(0.5) + tone(0.5) + mulaw_silence(0.8)
            await one.append(sound)
            started = await one.event("input_audio_buffer.speech_started")
            stopped = await one.event("input_audio_buffer.speech_stopped")
            done = "conversation.item.input_audio_transcription.completed"
            await one.event("response.done")
            heard = next((e for e in one.seen if e["type"] == done), None) or await one.event(done)

    assert abs(started["audio_start_ms"] - 200) <= 20
    assert abs(stopped["audio_end_ms"] - 1500) <= 20
    assert heard["transcript"] == "hello there"
    assert server.session.heard == sound
    assert [item.role for item in server.memory] == ["user", "assistant"]
    assert server.memory[0].audio_ms == stopped["audio_end_ms"] - started["audio_start_ms"]


@pytest.mark.parametrize("interrupts", [True, False])
async def test_speech_interrupts_only_if_it_may(interrupts: bool):
    slow = Pacing(pace=1.0, latency=0.0)
    detection = {
        "type": "server_vad",
        "interrupt_response": interrupts,
        "create_response": False,
    }
    async with RealtimeServer(replies=["One two three four."], pacing=slow) as server:
        async with connected(server) as one:
            await one.configure(turn_detection=detection)
            await one.send("response.create")
            await one.event("response.output_audio.delta")
            await one.append(tone(0.3))
            await one.event("input_audio_buffer.speech_started")
            response = (await one.event("response.done"))["response"] if not interrupts else None

    done = [e["response"] for e in one.seen if e["type"] == "response.done"]
    if interrupts:
        assert done[0]["status_details"]["reason"] == "turn_detected"
        assert server.memory[0].status == "incomplete"
    else:
        assert response is not None
        assert response["status"] == "completed"


async def test_client_may_take_the_turns():
    async with RealtimeServer(replies=["Yes."], pacing=QUICK) as server, connected(server) as one:
        await one.configure(turn_detection=None)
        await one.append(tone(1.0) + mulaw_silence(2.0))
        await one.send("input_audio_buffer.commit")
        await one.event("input_audio_buffer.committed")
        await one.send("response.create")
        await one.event("response.done")

    assert "input_audio_buffer.speech_started" not in one.kinds()
    assert server.memory[0].audio_ms == 3000


async def test_function_is_called_and_answered():
    call = FunctionCall("opening_hours", {"day": "Monday"})
    async with RealtimeServer(replies=[call, "At nine."], pacing=QUICK) as server:
        async with connected(server) as one:
            await one.configure()
            await one.send("response.create")
            asked = await one.event("response.function_call_arguments.done")
            await one.event("response.done")
            output = {"type": "function_call_output", "call_id": asked["call_id"], "output": "9"}
            await one.send("conversation.item.create", item=output)
            await one.event("conversation.item.done")
            unknown = await one.refusal(
                "conversation.item.create", item=output | {"call_id": "call_nobody"}
            )

    assert asked["arguments"] == '{"day": "Monday"}'
    assert unknown == "invalid_tool_call_id"
    assert [item.kind for item in server.memory] == ["function_call", "function_call_output"]


async def test_items_stand_behind_what_they_are_put_behind():
    async with RealtimeServer() as server, connected(server) as one:
        for item_id, previous in (("b", None), ("a", "root"), ("d", "b"), ("c", "b")):
            item: dict[str, Any] = {"id": item_id, "type": "message", "role": "user"}
            item["content"] = [{"type": "input_text", "text": item_id}]
            await one.send("conversation.item.create", item=item, previous_item_id=previous)
            await one.event("conversation.item.done")
        again = {"type": "message", "role": "user", "content": []}
        unknown = await one.refusal(
            "conversation.item.create", item=again, previous_item_id="nothing"
        )

    assert unknown == "item_create_invalid_item_id"
    assert [item.id for item in server.memory] == ["a", "b", "c", "d"]


async def test_what_openai_refuses_is_refused():
    async with RealtimeServer(pacing=Pacing(latency=5.0)) as server, connected(server) as one:
        beta = {"type": "realtime", "input_audio_format": "g711_ulaw"}
        wrong = {"type": "realtime", "audio": {"input": {"format": {"type": "g711_ulaw"}}}}
        user = {"type": "message", "role": "user", "content": [{"type": "output_text"}]}
        codes = [
            await one.refusal("response.cancel"),
            await one.refusal("input_audio_buffer.commit"),
            await one.refusal("session.update", session={}),
            await one.refusal("session.update", session=beta),
            await one.refusal("session.update", session=wrong),
            await one.refusal("input_audio_buffer.append", audio="not base64!"),
            await one.refusal("conversation.item.create", item=user),
            await one.refusal("conversation.item.delete", item_id="nothing"),
            await one.refusal("do.something"),
        ]
        await one.send("response.create")
        codes.append(await one.refusal("response.create"))

    assert (
        codes
        == server.session.refused
        == [
            "response_cancel_not_active",
            "input_audio_buffer_commit_empty",
            "missing_required_parameter",
            "unknown_parameter",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "item_delete_invalid_item_id",
            "invalid_value",
            "conversation_already_has_active_response",
        ]
    )


async def test_pcm_is_spoken_where_it_is_wanted():
    spoken = SpokenReply.of("One two.")
    async with RealtimeServer(replies=[spoken], pacing=QUICK) as server, connected(server) as one:
        await one.send("response.create")
        await one.event("response.done")

    assert abs(len(one.audio()) - 6 * len(spoken.mulaw)) < 200
    assert server.memory[0].words == ["One", "two."]


async def test_failed_response_tells_why():
    failed = FailedReply(code="rate_limit_exceeded", message="Slow down.")
    async with RealtimeServer(replies=[failed], pacing=QUICK) as server, connected(server) as one:
        await one.send("response.create")
        response = (await one.event("response.done"))["response"]

    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"


async def test_key_is_asked_for_and_refused():
    async with RealtimeServer(faults=[Refusal(status=401)]) as server:
        with pytest.raises(Exception, match="401"):
            async with connected(server):
                pass

    assert server.visits[0].key == "secret"


async def test_drop_comes_behind_its_delta():
    async with RealtimeServer(faults=[Drop(after=3)], pacing=QUICK) as server:
        async with connected(server) as one:
            await one.configure()
            await one.send("response.create")
            with pytest.raises(Exception, match="close"):
                await one.event("response.done")

    assert one.kinds().count("response.output_audio.delta") == 3


async def test_hang_says_nothing_more():
    async with RealtimeServer(faults=[Hang(after=1)], pacing=QUICK) as server:
        async with connected(server) as one:
            await one.configure()
            await one.send("response.create")
            await one.event("response.output_audio.delta")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await one.event("response.done")


async def test_garbage_does_not_end_the_answer():
    async with RealtimeServer(faults=[Garbage(after=1)], pacing=QUICK) as server:
        async with connected(server) as one:
            await one.configure()
            await one.send("response.create")
            await one.event("response.output_audio.delta")
            raw = [await one.connection.recv_bytes() for _ in range(4)]
            await one.event("response.done")

    assert raw[0].startswith(b"<html>")
