"""One response of the simulated Realtime model, from its order to its end."""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from twilio_frames.testing.vendors.faults import Fault, Slow
from twilio_frames.testing.vendors.function_call import FunctionCall
from twilio_frames.testing.vendors.realtime.memory import Conversation, RememberedItem
from twilio_frames.testing.vendors.realtime.replies import CutReply, FailedReply, Reply, SpokenReply
from twilio_frames.testing.vendors.realtime.settings import SessionSettings

_LAST_REPLY = "Go on."
_TOKENS_A_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How fast the model is.

    Parameters:
        pace: How many times as fast as it is spoken its speech comes.
        latency: Seconds from the order of a response to its first sound.
        delta_ms: How much speech comes in one message.
        transcription_secs: Seconds from a caller's turn to its transcript.
    """

    pace: float = 4.0
    latency: float = 0.1
    delta_ms: int = 100
    transcription_secs: float = 0.2


class Session(Protocol):
    """The session a response belongs to."""

    conversation: Conversation
    settings: SessionSettings
    pacing: Pacing
    replies: Iterator[Reply]
    fault: Fault | None
    deltas_sent: int
    response: "Response | None"

    async def send(self, kind: str, **values: Any) -> None:
        """Sends an event."""

    async def maybe_go_wrong(self) -> None:
        """Has the session's bad day come, if so much of the answer has been sent."""


class Response:
    """A response under way.

    Args:
        session: Whose.
        asked: What ``response.create`` asked for.
    """

    def __init__(self, session: Session, asked: dict[str, Any]):
        self._session = session
        self.id = session.conversation.new_id("resp")
        self._modalities = asked.get("output_modalities") or session.settings.values.get(
            "output_modalities"
        )
        self._item: RememberedItem | None = None
        self._text = ""
        self._output: list[RememberedItem] = []
        self.task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Says that it has been created, and sets out."""
        await self._session.send("response.created", response=self._shown("in_progress"))
        limit = {"name": "tokens", "limit": 100000, "remaining": 99000, "reset_seconds": 0.6}
        await self._session.send("rate_limits.updated", rate_limits=[limit])
        self.task = asyncio.create_task(self._run())

    async def cancel(self, reason: str) -> None:
        """Ends it where it is."""
        await self.stop()
        await self._end_item("incomplete")
        await self._done("cancelled", {"type": "cancelled", "reason": reason})

    async def stop(self) -> None:
        """Falls silent."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> None:
        session = self._session
        slow = session.fault.seconds if isinstance(session.fault, Slow) else 0.0
        await asyncio.sleep(session.pacing.latency + slow)
        match next(session.replies, _LAST_REPLY):
            case FailedReply() as failed:
                error = {"type": failed.code, "code": failed.code, "message": failed.message}
                await self._done("failed", {"type": "failed", "error": error})
                return
            case FunctionCall() as call:
                await self._call(call)
            case CutReply(spoken=spoken, reason=reason):
                await self._speak(spoken)
                await self._done("incomplete", {"type": "incomplete", "reason": reason})
                return
            case SpokenReply() as spoken:
                await self._speak(spoken)
            case str(text):
                await self._speak(SpokenReply.of(text))
        await self._done("completed", None)

    async def _call(self, call: FunctionCall) -> None:
        session, arguments = self._session, call.written
        item = RememberedItem(
            id=session.conversation.new_id("item"),
            kind="function_call",
            status="in_progress",
            name=call.name,
            call_id=session.conversation.new_id("call"),
        )
        await self._open(item)
        item.text = arguments
        where = self._where(item) | {"call_id": item.call_id}
        kind = "response.function_call_arguments"
        await session.send(f"{kind}.delta", delta=arguments, **where)
        await session.send(f"{kind}.done", name=call.name, arguments=arguments, **where)
        await self._close(item, "completed")

    async def _speak(self, spoken: SpokenReply) -> None:
        session = self._session
        item = RememberedItem(
            id=session.conversation.new_id("item"), role="assistant", status="in_progress"
        )
        is_audio = self._modalities != ["text"]
        if is_audio:
            item.spoken = spoken
        await self._open(item)
        self._item = item
        kind = "audio" if is_audio else "text"
        part = {"type": kind, "transcript" if is_audio else "text": ""}
        await session.send("response.content_part.added", part=part, **self._place(item))
        if is_audio:
            await self._speak_aloud(item, spoken)
        else:
            item.text = self._text = spoken.text
            await session.send("response.output_text.delta", delta=spoken.text, **self._place(item))
        await self._end_item("completed")

    async def _speak_aloud(self, item: RememberedItem, spoken: SpokenReply) -> None:
        session, pacing = self._session, self._session.pacing
        format = session.settings.output_format
        encoder, loop = format.encoder(), asyncio.get_running_loop()
        due, place = loop.time(), self._place(item)
        for words, mulaw in spoken.steps(pacing.delta_ms * 8):
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += len(mulaw) / 8000 / pacing.pace
            if words:
                self._text += words
                await session.send("response.output_audio_transcript.delta", delta=words, **place)
            audio = encoder.encode(mulaw)
            item.audio += audio
            item.audio_ms = len(item.audio) // format.bytes_a_millisecond
            delta = base64.b64encode(audio).decode()
            await session.send("response.output_audio.delta", delta=delta, **place)
            session.deltas_sent += 1
            await session.maybe_go_wrong()

    async def _open(self, item: RememberedItem) -> None:
        session = self._session
        previous = session.conversation.last_id
        self._output.append(item)
        shown = item.to_event() | ({"content": []} if item.kind == "message" else {})
        await session.send(
            "response.output_item.added", item=shown, response_id=self.id, output_index=0
        )
        session.conversation.items.append(item)
        await session.send("conversation.item.added", item=shown, previous_item_id=previous)

    async def _end_item(self, status: str) -> None:
        item, self._item = self._item, None
        if item is None:
            return
        place = self._place(item)
        if item.spoken is not None:
            await self._session.send("response.output_audio.done", **place)
            kind, said = "audio", "transcript"
            await self._session.send(
                "response.output_audio_transcript.done", transcript=self._text, **place
            )
        else:
            kind, said = "text", "text"
            await self._session.send("response.output_text.done", text=self._text, **place)
        part = {"type": kind, said: self._text}
        await self._session.send("response.content_part.done", part=part, **place)
        await self._close(item, status)

    async def _close(self, item: RememberedItem, status: str) -> None:
        item.status = status
        shown = item.to_event()
        await self._session.send("conversation.item.done", item=shown, previous_item_id=None)
        await self._session.send(
            "response.output_item.done", item=shown, response_id=self.id, output_index=0
        )

    async def _done(self, status: str, details: dict[str, Any] | None) -> None:
        self._session.response = None
        shown = self._shown(status) | {"status_details": details, "usage": self._usage()}
        await self._session.send("response.done", response=shown)

    def _usage(self) -> dict[str, Any]:
        spoken = sum(item.audio_ms for item in self._output) * _TOKENS_A_SECOND // 1000
        heard = sum(item.audio_ms for item in self._session.conversation if item.role == "user")
        heard = heard * _TOKENS_A_SECOND // 1000
        return {
            "total_tokens": heard + spoken,
            "input_tokens": heard,
            "output_tokens": spoken,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 0, "audio_tokens": spoken},
        }

    def _shown(self, status: str) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": [item.to_event() for item in self._output],
            "output_modalities": self._modalities,
            "usage": None,
        }

    def _where(self, item: RememberedItem) -> dict[str, Any]:
        return {"response_id": self.id, "item_id": item.id, "output_index": 0}

    def _place(self, item: RememberedItem) -> dict[str, Any]:
        return self._where(item) | {"content_index": 0}
