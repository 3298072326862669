"""A server that speaks as OpenAI's Realtime API does, over its WebSocket."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from twilio_frames.testing.vendors.faults import Fault, Refusal
from twilio_frames.testing.vendors.realtime.memory import RememberedItem
from twilio_frames.testing.vendors.realtime.replies import Reply
from twilio_frames.testing.vendors.realtime.response import Pacing
from twilio_frames.testing.vendors.realtime.session import RealtimeSession
from twilio_frames.testing.vendors.server import VISIT, VendorServer

_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


class RealtimeServer(VendorServer):
    """A speech-to-speech model that hears by energy and says what it was told to.

    It follows https://platform.openai.com/docs/api-reference/realtime (events of the released
    protocol, not of the beta) and refuses what OpenAI refuses, with its error codes::

        async with RealtimeServer(replies=["Good morning.", "We close at five."]) as openai:
            service = PhoneOpenAIRealtimeLLMService(api_key="any", base_url=openai.realtime_url)
            ...
        assert openai.memory[0].words == ["Good", "morning."]

    The model keeps its memory: what a ``conversation.item.truncate`` cut is not in it any more, so
    a test can ask what the model believes it said. Its speech is a made-up voice whose words are
    known to the byte; 16-bit PCM or mu-law, as the session wants it.

    Faults count the deltas of audio that a connection has sent: ``Drop(after=3)`` breaks it behind
    the third. ``after=0`` is right behind the handshake, before ``session.created``.
    :class:`~twilio_frames.testing.vendors.Slow` holds up the first delta of each response.

    Args:
        replies: What the model answers, response by response, whatever it is asked; when they are
            used up it says "Go on.". One whose connection broke is not said again.
        hears: The transcripts of what the caller says, turn by turn; "(something)" when they are
            used up. They come only if the session asks for transcripts.
        pacing: How fast the model is. The real one speaks much faster than real time.
        faults: What goes wrong, connection by connection.
    """

    def __init__(
        self,
        *,
        replies: Iterable[Reply] = (),
        hears: Iterable[str] = (),
        pacing: Pacing | None = None,
        faults: Iterable[Fault | None] = (),
    ):
        super().__init__(faults=faults)
        self._replies = iter(replies)
        self._hears = iter(hears)
        self._pacing = pacing or Pacing()
        self.sessions: list[RealtimeSession] = []
        """The sessions there were, in order."""

    def routes(self) -> list[web.RouteDef]:
        """The WebSocket of the Realtime API."""
        return [web.get("/v1/realtime", self._serve)]

    @property
    def realtime_url(self) -> str:
        """The address for a client: Pipecat's ``base_url``."""
        return f"{self.ws_url}/v1/realtime"

    @property
    def session(self) -> RealtimeSession:
        """The last session."""
        return self.sessions[-1]

    @property
    def memory(self) -> list[RememberedItem]:
        """What the model believes was said in the last session."""
        return self.session.conversation.items

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What clients sent of one kind, ``response.create`` say, in all sessions."""
        return [e for session in self.sessions for e in session.events if e["type"] == kind]

    async def asked_for(self, kind: str, times: int = 1, *, seconds: float = 10.0) -> None:
        """Waits until clients have sent so many events of one kind.

        Raises:
            TimeoutError: If they do not within ``seconds``.
        """
        await self.until(lambda: len(self.events(kind)) >= times, seconds=seconds)

    def refuse(self, refusal: Refusal) -> web.Response:
        """The answer of a refusal, as OpenAI words it."""
        kind, code, message = _ERRORS.get(refusal.status, ("server_error", None, "Error."))
        headers = {}
        if refusal.retry_after is not None:
            headers["Retry-After"] = f"{refusal.retry_after:g}"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return web.json_response({"error": error}, status=refusal.status, headers=headers)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        if not visit.key:
            return self.refuse(Refusal(status=401))
        if not visit.query.get("model"):
            error = {"message": "you must provide a model parameter", "type": "invalid_request"}
            return web.json_response({"error": error}, status=400)
        socket = web.WebSocketResponse(max_msg_size=20 * 1024 * 1024)
        await socket.prepare(request)
        session = RealtimeSession(
            request,
            socket,
            model=visit.query["model"],
            fault=visit.fault,
            pacing=self._pacing,
            replies=self._replies,
            hears=self._hears,
            on_event=self.note_change,
        )
        self.sessions.append(session)
        await session.run()
        return socket
