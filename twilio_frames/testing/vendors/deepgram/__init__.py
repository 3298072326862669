"""A server that stands in for Deepgram's live transcription."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from twilio_frames.audio import encode_mulaw
from twilio_frames.testing.vendors.deepgram.ear import DeepgramEar, Hears, Message, Understanding
from twilio_frames.testing.vendors.deepgram.query import BadQueryError, ListenQuery, read_query
from twilio_frames.testing.vendors.faults import Drop, EarlyEnd, Fault, Garbage, Hang, Refusal, Slow
from twilio_frames.testing.vendors.server import VISIT, VendorServer, break_off

_IDLE = (
    "Deepgram did not receive audio data or a text message within the timeout window. "
    "See https://dpgr.am/net0001"
)
_REASONS = {
    400: ("Bad Request", "Bad Request."),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
    403: ("INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
}
_OURS = ("UNKNOWN_ERROR", "An internal error occurred.")
_NO_PROTOCOL = (
    "<html>bad gateway</html>",
    '{"type": "Results"}',
    "[]",
    '{"type": "Nonsense"}',
    # Numbers that Python's JSON reads.
    *(
        '{"type": "Results", "channel_index": [0, 1], "is_final": true, "speech_final": true, '
        f'"start": {start}, "duration": {duration}, "channel": {{"alternatives": '
        '[{"transcript": "nonsense", "confidence": 1.0, "words": []}]}}'
        for start, duration in (("NaN", "1.0"), ("0.0", "Infinity"), ("1e308", "1e308"))
    ),
    '{"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": NaN}',
    "[" * 100_000,
)


@dataclass(slots=True, kw_only=True)
class DeepgramStream:
    """One connection, as the server saw it.

    Parameters:
        query: What was asked for.
        audio: All audio that came, as it came.
        arrivals: When each piece of it came, seconds of ``time.monotonic()``, and how many bytes
            there were behind it.
        messages: What came beside the audio, in order: ``KeepAlive``, ``Finalize`` …
        answers: What was sent, in order.
        close_code: The code with which this server closed it, None if it did not.
    """

    query: ListenQuery
    audio: bytearray = field(default_factory=bytearray, repr=False)
    arrivals: list[tuple[float, int]] = field(default_factory=list, repr=False)
    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Message] = field(default_factory=list, repr=False)
    close_code: int | None = None

    @property
    def transcripts(self) -> list[str]:
        """The final transcripts that were sent."""
        finals = (answer for answer in self.answers if answer.get("is_final"))
        texts = (answer["channel"]["alternatives"][0]["transcript"] for answer in finals)
        return [text for text in texts if text]

    def kinds(self, kind: str) -> list[Message]:
        """The answers of a type, such as ``Results`` or ``UtteranceEnd``."""
        return [answer for answer in self.answers if answer["type"] == kind]


class DeepgramServer(VendorServer):
    """Deepgram's ``/v1/listen`` on a free port of this machine.

    Deepgram's own clients are pointed at it by ``url``. It checks the query as Deepgram does,
    listens to mu-law or 16-bit PCM at 8 kHz, and answers with interim and final results, utterance
    ends and what else was asked for (https://developers.deepgram.com/docs/live-streaming-audio).
    Silence ends an utterance as ``endpointing`` says; a scripted one lasts until there is half a
    second of it, so that a comma does not end it.

    Faults count the results with words that were sent on the connection. A :class:`Slow` one is so
    much later with the first words of each utterance. A stream that hangs goes on to take audio in
    and to answer pings.

    Example::

        async with DeepgramServer(hears=["A large latte, please."]) as server:
            stt = PhoneDeepgramSTTService(api_key="any", base_url=server.url)

    Args:
        hears: What the caller says: the utterances one after the other; or a function that is
            given mu-law audio and tells its words, such as ``WordSounds().hear``.
        latency: Seconds from a piece of audio to what there is to say of it.
        idle_secs: How long it waits for audio or a message before it closes a stream.
        faults: What goes wrong, connection by connection.
    """

    def __init__(
        self,
        *,
        hears: Hears = (),
        latency: float = 0.02,
        idle_secs: float = 10.0,
        faults: Iterable[Fault | None] = (),
    ):
        super().__init__(faults=faults)
        self._understanding = Understanding(hears)
        self._latency = latency
        self._idle_secs = idle_secs
        self.streams: list[DeepgramStream] = []
        """The connections that were taken up, in order."""

    @property
    def audio(self) -> bytes:
        """All audio that came, stream behind stream, as it came."""
        return b"".join(stream.audio for stream in self.streams)

    @property
    def transcripts(self) -> list[str]:
        """The final transcripts that were sent, over all streams."""
        return [text for stream in self.streams for text in stream.transcripts]

    def routes(self) -> list[web.RouteDef]:
        """The one address of live transcription."""
        return [web.get("/v1/listen", self._listen)]

    def refuse(self, refusal: Refusal) -> web.Response:
        """Deepgram's answer to a stream that it does not open."""
        code, reason = _REASONS.get(refusal.status, _OURS)
        return _refusal(refusal.status, code, reason, retry_after=refusal.retry_after)

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        if not request[VISIT].key:
            return self.refuse(Refusal(status=401))
        try:
            query = read_query({name: request.query.getall(name) for name in request.query})
        except BadQueryError as error:
            return _refusal(400, "Bad Request", str(error))
        stream = DeepgramStream(query=query)
        connection = _Connection(self, request, stream)
        await connection.open()
        self.streams.append(stream)
        await self.note_change()
        await connection.serve()
        return connection.socket

    def ear(self, query: ListenQuery) -> DeepgramEar:
        """Who listens to a stream."""
        return DeepgramEar(query, self._understanding)

    @property
    def pace(self) -> tuple[float, float]:
        """Seconds until an answer, and until a stream is idle."""
        return self._latency, self._idle_secs


class _Connection:
    """Serves one stream."""

    def __init__(self, server: DeepgramServer, request: web.Request, stream: DeepgramStream):
        self._server = server
        self._request = request
        self._stream = stream
        self._fault = request[VISIT].fault
        self._ear = server.ear(stream.query)
        self._latency, self._idle_secs = server.pace
        self._outbox: asyncio.Queue[tuple[float, Message | None]] = asyncio.Queue(10_000)
        self._with_words = 0
        self._is_mid_utterance = False
        self._is_hanging = False
        self.socket = web.WebSocketResponse(timeout=0.5)
        self.socket.headers["dg-request-id"] = self._ear.request_id

    async def open(self) -> None:
        await self.socket.prepare(self._request)

    async def serve(self) -> None:
        sender = asyncio.create_task(self._send())
        try:
            await self._meet_fault()
            while await self._take_next():
                pass
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _take_next(self) -> bool:
        try:
            message = await self.socket.receive(timeout=self._idle_secs)
        except TimeoutError:
            await self._close(WSCloseCode.INTERNAL_ERROR, _IDLE)
            return False
        if message.type is WSMsgType.BINARY:
            return await self._hear(message.data)
        if message.type is WSMsgType.TEXT:
            return await self._obey(message.data)
        return False

    async def _hear(self, audio: bytes) -> bool:
        stream = self._stream
        stream.audio += audio
        stream.arrivals.append((time.monotonic(), len(stream.audio)))
        if not audio:  # https://developers.deepgram.com/docs/close-stream
            return await self._obey('{"type": "CloseStream"}')
        if stream.query.can_be_heard:
            is_pcm = stream.query.encoding == "linear16"
            self._queue(*self._ear.take(encode_mulaw(audio) if is_pcm else audio))
        await self._server.note_change()
        return True

    async def _obey(self, text: str) -> bool:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            message, kind = {"type": None, "text": text}, None
        self._stream.messages.append(message)
        await self._server.note_change()
        match kind:
            case "KeepAlive":
                pass
            case "Finalize":
                self._queue(*self._ear.finalize())
            case "CloseStream":
                self._queue(*self._ear.finalize(), self._ear.metadata(), None)
            case _:
                self._queue(
                    {
                        "type": "Error",
                        "variant": "SchemaError",
                        "description": "Could not deserialize last text message.",
                        "message": text,
                    }
                )
        return True

    def _queue(self, *messages: Message | None) -> None:
        for message in messages:
            self._outbox.put_nowait((time.monotonic() + self._latency, message))

    async def _send(self) -> None:
        while True:
            due, message = await self._outbox.get()
            if message is not None and self._is_late(message) and isinstance(self._fault, Slow):
                due += self._fault.seconds
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            if self._is_hanging:
                continue
            if message is None:
                await self._close(WSCloseCode.OK, "")
                continue
            self._stream.answers.append(message)
            await self.socket.send_str(json.dumps(message))
            self._with_words += bool(_transcript(message))
            await self._server.note_change()
            await self._meet_fault()

    def _is_late(self, message: Message) -> bool:
        """Whether these are the first words of an utterance."""
        was_mid_utterance = self._is_mid_utterance
        if _transcript(message):
            self._is_mid_utterance = not message["is_final"]
            return not was_mid_utterance
        return False

    async def _meet_fault(self) -> None:
        match self._fault:
            case Drop(after=after) if after == self._with_words:
                self._is_hanging = True
                break_off(self._request)
            case EarlyEnd(after=after) if after == self._with_words:
                self._fault = None
                await self._close(1000, "")
            case Hang(after=after) if after == self._with_words:
                self._is_hanging = True
            case Garbage(after=after) if after == self._with_words:
                self._fault = None
                for text in _NO_PROTOCOL:
                    await self.socket.send_str(text)
                await self.socket.send_bytes(b"\x00\xff garbage")

    async def _close(self, code: int, reason: str) -> None:
        self._stream.close_code = code
        await self.socket.close(code=code, message=reason.encode())
        await self._server.note_change()


def _transcript(message: Message) -> str:
    if message["type"] != "Results":
        return ""
    return message["channel"]["alternatives"][0]["transcript"]


def _refusal(
    status: int, code: str, reason: str, *, retry_after: float | None = None
) -> web.Response:
    """https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors."""
    request_id = str(uuid.uuid4())
    headers = {"dg-error": reason, "dg-request-id": request_id}
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    body = {"err_code": code, "err_msg": reason, "request_id": request_id}
    return web.json_response(body, status=status, headers=headers)
