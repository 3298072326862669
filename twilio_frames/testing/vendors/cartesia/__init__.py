"""Cartesia on this machine: speech whose every byte is known.

Written after https://docs.cartesia.ai/api-reference/tts/websocket, its pages on contexts, on
flushing, on limits and time-outs, and after what Pipecat's client reads.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence

from aiohttp import web

from twilio_frames.testing.known_speech import SaidWord, TextVoice, said
from twilio_frames.testing.vendors.cartesia.connection import Connection
from twilio_frames.testing.vendors.cartesia.context import (
    ContextError,
    Encoder,
    SpokenContext,
    WordTimes,
)
from twilio_frames.testing.vendors.cartesia.requests import Complaint, read_generation
from twilio_frames.testing.vendors.faults import Drop, Fault, Hang, Refusal, Slow
from twilio_frames.testing.vendors.server import VISIT, VendorServer, break_off

_NO_KEY = Complaint(message="no key, or one that is not taken", status=401)
_NO_VERSION = Complaint(message="Cartesia-Version is required")


class CartesiaServer(VendorServer):
    """Speaks as Cartesia does, over its WebSocket and ``POST /tts/bytes``.

    A client finds it at :attr:`tts_url`. The faults' ``after`` counts chunks of audio, all
    contexts of a connection together; ``Drop(after=0)`` breaks it behind the handshake.

    ::

        async with CartesiaServer() as cartesia:
            tts = CartesiaTTSService(api_key="any", url=cartesia.tts_url, ...)
            ...
        assert cartesia.contexts[0].text == "Good morning."

    Args:
        voice: How a text sounds; by default each word is a noise of its own. See
            :func:`twilio_frames.testing.known_speech.espeak_voice` for words people understand.
        speed: How many times faster than it is played audio comes.
        first_audio_secs: How long the first audio of a text takes.
        chunk_secs: How much audio is in a message.
        word_times: When word timestamps come.
        voices: The voices there are; None if any will do.
        max_connections: How many may be open; more are answered with 429.
        max_contexts: How many contexts of a connection may be speaking; more are answered with 429.
        idle_secs: After how long without a request a connection is closed; Cartesia waits 300.
        expiry_secs: How long a context waits for more text; Cartesia waits 1.
        context_errors: What goes wrong context by context, None for nothing.
        faults: What goes wrong connection by connection.
    """

    def __init__(
        self,
        *,
        voice: TextVoice = said,
        speed: float = 5.0,
        first_audio_secs: float = 0.05,
        chunk_secs: float = 0.1,
        word_times: WordTimes = WordTimes.ALONG,
        voices: Collection[str] | None = None,
        max_connections: int | None = None,
        max_contexts: int | None = None,
        idle_secs: float = 300.0,
        expiry_secs: float = 1.0,
        context_errors: Iterable[ContextError | None] = (),
        faults: Iterable[Fault | None] = (),
    ):
        super().__init__(faults=faults)
        self.voice = voice
        self.speed = speed
        self.first_audio_secs = first_audio_secs
        self.chunk_secs = chunk_secs
        self.word_times = word_times
        self.voices = voices
        self.max_connections = max_connections
        self.max_contexts = max_contexts
        self.idle_secs = idle_secs
        self.expiry_secs = expiry_secs
        self.connections = 0
        """How many connections there have been."""
        self.open_connections = 0
        """How many of them are open."""
        self.contexts: list[SpokenContext] = []
        """All contexts, in the order they were begun."""
        self.complaints: list[Complaint] = []
        """What was wrong with the clients' requests."""
        self._context_errors: Iterator[ContextError | None] = iter(context_errors)

    @property
    def tts_url(self) -> str:
        """The address of the WebSocket."""
        return f"{self.ws_url}/tts/websocket"

    @property
    def cancelled(self) -> list[SpokenContext]:
        """The contexts that were cancelled."""
        return [context for context in self.contexts if context.is_cancelled]

    def routes(self) -> list[web.RouteDef]:
        """The WebSocket, and speech over HTTP."""
        return [web.get("/tts/websocket", self._socket), web.post("/tts/bytes", self._bytes)]

    def refuse(self, refusal: Refusal) -> web.Response:
        """An HTTP error with Cartesia's body."""
        headers = {}
        if refusal.retry_after is not None:
            headers["Retry-After"] = f"{refusal.retry_after:g}"
        body = Complaint(message="refused", status=refusal.status).body()
        return web.json_response(body, status=refusal.status, headers=headers)

    def next_context_error(self) -> ContextError | None:
        """What goes wrong with the next context."""
        return next(self._context_errors, None)

    async def say(self, text: str) -> Sequence[SaidWord]:
        """What a text sounds like."""
        if self.voice is said:
            return said(text)
        return await asyncio.to_thread(self.voice, text)

    def _complaint_about(self, request: web.Request) -> Complaint | None:
        if not (request[VISIT].key or request.query.get("access_token")):
            return _NO_KEY
        if "Cartesia-Version" not in request.headers and "cartesia_version" not in request.query:
            return _NO_VERSION
        if self.max_connections is not None and self.open_connections >= self.max_connections:
            return Complaint(message="too many connections", status=429)
        return None

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        complaint = self._complaint_about(request)
        if complaint is not None:
            self.complaints.append(complaint)
            return web.json_response(complaint.body(), status=complaint.status)
        number, self.connections = self.connections, self.connections + 1
        self.open_connections += 1
        try:
            return await Connection(self, request, number).serve()
        finally:
            self.open_connections -= 1
            await self.note_change()

    async def _bytes(self, request: web.Request) -> web.StreamResponse:
        complaint = self._complaint_about(request)
        message = await request.json()
        generation = complaint or read_generation(message, self.voices, ("raw",))
        if isinstance(generation, Complaint):
            self.complaints.append(generation)
            return web.json_response(generation.body(), status=generation.status)
        fault = request[VISIT].fault
        context = SpokenContext(context_id="", connection=-1, transcripts=[generation.transcript])
        self.contexts.append(context)
        await asyncio.sleep(fault.seconds if isinstance(fault, Slow) else self.first_audio_secs)
        context.words = list(await self.say(generation.transcript))
        encoder = Encoder(generation.encoding, generation.sample_rate)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        for sent, chunk in enumerate(encoder.chunks(context.words, self.chunk_secs)):
            if isinstance(fault, Drop | Hang) and sent == fault.after:
                await _break_or_hang(fault, request)
            context.audio += chunk
            await response.write(chunk)
            await asyncio.sleep(self.chunk_secs / self.speed)
        await response.write_eof()
        context.is_done = True
        return response


async def _break_or_hang(fault: Drop | Hang, request: web.Request) -> None:
    if isinstance(fault, Drop):
        break_off(request)
    # A request that was broken off is cancelled; one that hangs, when its client gives up.
    await asyncio.Event().wait()
