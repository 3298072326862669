"""One session of the simulated Realtime API: what the client asks, and what comes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from twilio_frames.testing.vendors.faults import Drop, Fault, Garbage, Hang
from twilio_frames.testing.vendors.realtime.memory import (
    Conversation,
    RememberedItem,
    RequestRefusedError,
    decode_audio,
)
from twilio_frames.testing.vendors.realtime.replies import Reply
from twilio_frames.testing.vendors.realtime.response import Pacing, Response
from twilio_frames.testing.vendors.realtime.settings import SessionSettings
from twilio_frames.testing.vendors.realtime.vad import Onset, ServerVAD
from twilio_frames.testing.vendors.server import break_off

_SHORTEST_COMMIT_MS = 100


class RealtimeSession:
    """One connection's session. Tests look at its public attributes.

    Args:
        request: The request that was upgraded.
        socket: Its WebSocket.
        model: The model that was asked for.
        fault: What goes wrong.
        pacing: How fast the model is.
        replies: What it answers, shared with the sessions before and after it.
        hears: What it understands, likewise.
        on_event: Called after each event of the client's.
    """

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        *,
        model: str,
        fault: Fault | None,
        pacing: Pacing,
        replies: Iterator[Reply],
        hears: Iterator[str],
        on_event: Callable[[], Awaitable[None]],
    ):
        self.conversation = Conversation()
        """The model's memory."""
        self.settings = SessionSettings(self.conversation.new_id("sess"), model)
        self.events: list[dict[str, Any]] = []
        """What the client sent, in order; of appended audio only that there was some."""
        self.heard = bytearray()
        """The audio the client appended, as it came."""
        self.refused: list[str] = []
        """Codes of the errors it was told."""
        self.over = asyncio.Event()
        """Set when the connection has ended."""
        self.pacing = pacing
        self.replies = replies
        self.fault = fault
        self.deltas_sent = 0
        self.response: Response | None = None
        self._request = request
        self._socket = socket
        self._hears = hears
        self._on_event = on_event
        self._buffer = b""
        self._is_hanging = False
        self._has_dirtied = False
        self._vad: ServerVAD | None = None
        self._speech_item = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves until the connection ends."""
        if isinstance(self.fault, Drop | Hang) and self.fault.after == 0:
            await self._go_wrong(self.fault)
        await self.send("session.created", session=self.settings.values)
        await self.maybe_go_wrong()
        try:
            async for message in self._socket:
                if message.type is web.WSMsgType.TEXT:
                    await self._take(message.data)
        finally:
            self.over.set()
            if self.response is not None:
                await self.response.stop()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, kind: str, **values: Any) -> None:
        """Sends an event, unless nothing comes any more."""
        if self._is_hanging or self._socket.closed:
            return
        event = {"type": kind, "event_id": self.conversation.new_id("event"), **values}
        try:
            await self._socket.send_str(json.dumps(event))
        except ConnectionError:
            self._is_hanging = True

    async def maybe_go_wrong(self) -> None:
        """Has the session's bad day come, if so much of the answer has been sent."""
        match self.fault:
            case Drop(after=after) | Hang(after=after) if self.deltas_sent >= after > 0:
                await self._go_wrong(self.fault)
            case Garbage(after=after) if self.deltas_sent >= after and not self._has_dirtied:
                self._has_dirtied = True
                await self._socket.send_str("<html>502 Bad Gateway</html>")
                await self._socket.send_bytes(b"\x00\xff\x17")
                await self._socket.send_str('{"type": "response.output_audio.delta"}')
                await self._socket.send_str('["not", "an", "event"]')
            case _:
                pass

    async def _go_wrong(self, fault: Drop | Hang) -> None:
        self._is_hanging = True
        if isinstance(fault, Drop):
            break_off(self._request)

    async def _take(self, text: str) -> None:
        event: Any = {}
        try:
            event = _event(text)
            self.events.append({name: v for name, v in event.items() if name != "audio"})
            await self._obey(event)
        except RequestRefusedError as error:
            await self._tell(error, event.get("event_id"))
        await self._on_event()

    async def _tell(self, error: RequestRefusedError, event_id: str | None) -> None:
        self.refused.append(error.code)
        told = {
            "type": "invalid_request_error",
            "code": error.code,
            "message": str(error),
            "param": error.param,
            "event_id": event_id,
        }
        await self.send("error", error=told)

    async def _obey(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.settings.update(event.get("session") or {})
                self._vad = None
                await self.send("session.updated", session=self.settings.values)
            case "input_audio_buffer.append":
                await self._append(decode_audio(event.get("audio")))
            case "input_audio_buffer.commit":
                await self._commit_by_client()
            case "input_audio_buffer.clear":
                self._buffer = b""
                await self.send("input_audio_buffer.cleared")
            case "conversation.item.create":
                before = event.get("previous_item_id")
                await self._add(self.conversation.create(event.get("item") or {}, before))
            case "conversation.item.delete":
                self.conversation.delete(event.get("item_id"))
                await self.send("conversation.item.deleted", item_id=event["item_id"])
            case "conversation.item.retrieve":
                item = self.conversation.find(event.get("item_id"), verb="retrieve")
                await self.send("conversation.item.retrieved", item=item.to_event())
            case "conversation.item.truncate":
                await self._truncate(event)
            case "response.create":
                await self._respond(event.get("response") or {})
            case "response.cancel":
                await self._cancel()
            case kind:
                raise RequestRefusedError("invalid_value", f"Invalid value: '{kind}'.", "type")

    async def _append(self, audio: bytes) -> None:
        self.heard += audio
        self._buffer += audio
        detection = self.settings.turn_detection
        if detection is None:
            return
        if self._vad is None:
            self._vad = ServerVAD(self.settings.input_format, detection)
            self._vad.begin_at(self._ms(self.heard) - self._ms(audio))
        for found in self._vad.hear(audio):
            if isinstance(found, Onset):
                await self._speech_started(found, detection)
            else:
                await self._speech_stopped(found.at_ms, detection)

    async def _speech_started(self, onset: Onset, detection: dict[str, Any]) -> None:
        self._speech_item = self.conversation.new_id("item")
        self._buffer = self._heard_from(onset.at_ms)
        if self.response and detection.get("interrupt_response") is not False:
            await self.response.cancel("turn_detected")
        await self.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=onset.at_ms,
            item_id=self._speech_item,
        )

    async def _speech_stopped(self, at_ms: int, detection: dict[str, Any]) -> None:
        item_id = self._speech_item
        await self.send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item_id)
        rest = self._heard_from(at_ms)
        self._buffer = self._buffer[: len(self._buffer) - len(rest)]
        await self._commit(item_id)
        self._buffer = rest
        if detection.get("create_response") is not False and self.response is None:
            await self._respond({})

    async def _commit_by_client(self) -> None:
        held_ms = self._ms(self._buffer)
        if held_ms < _SHORTEST_COMMIT_MS:
            raise RequestRefusedError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_SHORTEST_COMMIT_MS}ms of audio, but buffer only has {held_ms:.2f}ms of audio.",
            )
        await self._commit(self.conversation.new_id("item"))

    async def _commit(self, item_id: str) -> None:
        audio, self._buffer = self._buffer, b""
        previous = self.conversation.last_id
        item = RememberedItem(id=item_id, role="user", audio=audio, audio_ms=self._ms(audio))
        self.conversation.items.append(item)
        await self.send("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        await self._add(item)
        if self.settings.transcribes:
            task = asyncio.create_task(self._transcribe(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _add(self, item: RememberedItem) -> None:
        for stage in ("added", "done"):
            await self.send(
                f"conversation.item.{stage}", previous_item_id=None, item=item.to_event()
            )

    async def _transcribe(self, item: RememberedItem) -> None:
        await asyncio.sleep(self.pacing.transcription_secs)
        text = next(self._hears, "(something)")
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": item.id, "content_index": 0}
        await self.send(f"{kind}.delta", delta=text, **where)
        usage = {"type": "duration", "seconds": item.audio_ms / 1000}
        await self.send(f"{kind}.completed", transcript=text, usage=usage, **where)

    async def _truncate(self, event: dict[str, Any]) -> None:
        item_id, end_ms = event.get("item_id"), event.get("audio_end_ms")
        self.conversation.truncate(item_id, end_ms, self.settings.output_format)
        await self.send(
            "conversation.item.truncated",
            item_id=item_id,
            content_index=event.get("content_index", 0),
            audio_end_ms=end_ms,
        )

    async def _respond(self, asked: dict[str, Any]) -> None:
        if self.response is not None:
            raise RequestRefusedError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.response.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        if asked.get("output_modalities") not in (None, ["audio"], ["text"]):
            raise RequestRefusedError(
                "invalid_value",
                "Invalid modalities. Supported combinations are: ['text'] and ['audio'].",
                "response.output_modalities",
            )
        self.response = Response(self, asked)
        await self.response.begin()

    async def _cancel(self) -> None:
        if self.response is None:
            raise RequestRefusedError(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        await self.response.cancel("client_cancelled")

    def _heard_from(self, at_ms: int) -> bytes:
        return bytes(self.heard[at_ms * self.settings.input_format.bytes_a_millisecond :])

    def _ms(self, audio: bytes | bytearray) -> int:
        return len(audio) // self.settings.input_format.bytes_a_millisecond


def _event(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        raise RequestRefusedError("invalid_json", "We could not parse the JSON.") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise RequestRefusedError("missing_required_parameter", "Missing parameter.", "type")
    return event
