"""One client's WebSocket to the stand-in for Cartesia, its contexts and its bad day."""

import asyncio
import json
from collections.abc import Collection
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from twilio_frames.testing.vendors.cartesia.context import (
    ContextError,
    Speaker,
    SpeakingContext,
    SpokenContext,
)
from twilio_frames.testing.vendors.cartesia.requests import (
    Cancellation,
    Complaint,
    Generation,
    read_message,
)
from twilio_frames.testing.vendors.faults import Drop, Garbage, Hang, Slow
from twilio_frames.testing.vendors.server import VISIT, break_off

_GARBAGE = (
    "not JSON {",
    "[1, 2]",
    '{"type": "chunk", "context_id": 7}',
    '{"type": "chunk", "data": "%%%"}',
    '{"type": "weather", "context_id": "none"}',
    "[" * 100_000,
)
# Numbers that Python's JSON reads: the context's name is put in.
_ODD_NUMBERS = (
    '{"type": "error", "context_id": %s, "status_code": 1e999}',
    *(
        '{"type": "timestamps", "context_id": %s, "word_timestamps": '
        f'{{"words": ["x"], "start": [{begin}], "end": [{end}]}}}}'
        for begin, end in (("NaN", "NaN"), ("0", "Infinity"), ("0", "1e308"), ("-3", "1"))
    ),
)


class Owner(Speaker, Protocol):
    """What a connection asks of its server."""

    voices: Collection[str] | None
    max_contexts: int | None
    idle_secs: float
    contexts: list[SpokenContext]
    complaints: list[Complaint]

    def next_context_error(self) -> ContextError | None:
        """What goes wrong with the next context."""
        ...


class Connection:
    """One WebSocket.

    Args:
        server: Whose it is.
        request: The handshake.
        number: Which of the server's connections it is.
    """

    def __init__(self, server: Owner, request: web.Request, number: int):
        self.server = server
        self._request = request
        self._number = number
        self._socket = web.WebSocketResponse(max_msg_size=1 << 20)
        self._fault = request[VISIT].fault
        self._chunks_sent = 0
        self._speaking: dict[str, SpeakingContext] = {}
        self._closed: set[str] = set()

    @property
    def speaker(self) -> Speaker:
        """Who speaks."""
        return self.server

    @property
    def slow_secs(self) -> float:
        """How much later than usual the first audio of a text comes."""
        return self._fault.seconds if isinstance(self._fault, Slow) else 0.0

    async def serve(self) -> web.StreamResponse:
        """Speaks until the client, time or a fault ends it."""
        await self._socket.prepare(self._request)
        self._drop_if_due()
        try:
            await self._read()
        finally:
            for context in tuple(self._speaking.values()):
                await context.stop()
        return self._socket

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.server.idle_secs):
                    message = await self._socket.receive()
            except TimeoutError:
                if not self._speaking:
                    await self._socket.close(message=b"connection idle timeout")
                    return
                continue
            if message.type is not WSMsgType.TEXT:
                return
            await self._take(message.data)
            await self.server.note_change()

    async def _take(self, data: str) -> None:
        request, context_id = read_message(data, self.server.voices)
        match request:
            case Complaint():
                await self.complain(request, context_id)
            case Cancellation():
                await self._cancel(request.context_id)
            case Generation():
                await self._generate(request)

    async def _cancel(self, context_id: str) -> None:
        for context in self.server.contexts:
            if context.context_id == context_id and context.connection == self._number:
                context.is_cancelled = True
        speaking = self._speaking.get(context_id)
        if speaking is not None:
            await speaking.stop()

    async def _generate(self, request: Generation) -> None:
        speaking = self._speaking.get(request.context_id)
        if speaking is None:
            complaint = self._complaint_about_new(request)
        else:
            complaint = speaking.complaint_about(request)
        if complaint is not None:
            await self.complain(complaint, request.context_id)
            return
        if speaking is None:
            speaking = self._begin(request)
        speaking.take(request)

    def _complaint_about_new(self, request: Generation) -> Complaint | None:
        if request.context_id in self._closed:
            return Complaint(message="the context has been closed")
        if not request.says_something:
            return Complaint(message="the first transcript of a context must have words")
        if self.server.max_contexts is not None and (
            len(self._speaking) >= self.server.max_contexts
        ):
            return Complaint(message="too many contexts", status=429)
        return None

    def _begin(self, request: Generation) -> SpeakingContext:
        note = SpokenContext(context_id=request.context_id, connection=self._number)
        self.server.contexts.append(note)
        speaking = SpeakingContext(self, note, request, self.server.next_context_error())
        self._speaking[request.context_id] = speaking
        return speaking

    def forget(self, context_id: str) -> None:
        """Notes that a context speaks no more."""
        self._speaking.pop(context_id, None)
        self._closed.add(context_id)

    async def complain(self, complaint: Complaint, context_id: str | None) -> None:
        """Tells a client what is wrong with its request."""
        self.server.complaints.append(complaint)
        await self.send(complaint.event(context_id))

    async def send(self, event: dict[str, Any]) -> None:
        """Sends a message, unless the connection is broken or hangs."""
        if isinstance(self._fault, Drop | Hang) and self._chunks_sent >= self._fault.after:
            await asyncio.Event().wait()
        if not self._socket.closed:
            await self._socket.send_json(event)

    async def send_chunk(self, event: dict[str, Any]) -> None:
        """Sends a message with audio, and has the fault when it is due."""
        await self.send(event)
        self._chunks_sent += 1
        self._drop_if_due()
        if isinstance(self._fault, Garbage) and self._chunks_sent == self._fault.after + 1:
            context_id = json.dumps(event["context_id"])
            for text in (*_GARBAGE, *(odd % context_id for odd in _ODD_NUMBERS)):
                await self._socket.send_str(text)
            await self._socket.send_bytes(b"\x00\xff")

    def _drop_if_due(self) -> None:
        if isinstance(self._fault, Drop) and self._chunks_sent == self._fault.after:
            break_off(self._request)
