"""The webhooks of those who are asked whether they take a caller."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from twilio_frames.call.transfers.consulting import Consult, no_account
from twilio_frames.protocol import MAX_MESSAGE, Event, Media, Role, Stop, Stream
from twilio_frames.rest import CallOptions
from twilio_frames.server.dialing.placing import place
from twilio_frames.server.incoming import check_upgrade, problem, read_sid, read_signed_form
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.server.webhooks import take_call
from twilio_frames.server.webhooks.connecting import written
from twilio_frames.twiml import Hangup, respond

__all__ = ["consult", "place_consult", "room", "room_audio"]

_START_SECS = 10.0
"""How long a stream may take to begin; Twilio says ``start`` at once."""
_CLOSE_SECS = 2.0


async def place_consult(
    state: ServerState, consult: Consult, *, to: str, caller_id: str | None, ring_secs: int
) -> str:
    """Has somebody called who is to be asked; gives the call's sid.

    Raises:
        ConfigurationError: Without an account, or a number to call from.
        RestError: Twilio refused, or did not answer.
    """
    caller = caller_id or state.settings.phone_number
    if state.rest is None or not caller:
        raise no_account()
    options = CallOptions(ring_secs=ring_secs, status_callback=consult.url("status"))
    return await place(state, state.rest, to, caller, consult.url("consult"), options)


async def consult(request: web.Request) -> web.Response:
    """``POST /consult``: somebody has answered who is asked, or has decided."""
    form = await read_signed_form(request)
    asked = _asked(request)
    if asked is None or not asked.is_about(read_sid(form)):
        # Nobody asks any more: the caller has hung up, or the two have talked.
        return written(respond(Hangup()))
    if asked.briefing.has_stream:
        return await take_call(request, form, asked.carry)
    return written(asked.next_document(dict(form)))


async def room(request: web.Request) -> web.Response:
    """``POST /room``: who comes into the room where the two are to meet, and who leaves it."""
    form = await read_signed_form(request)
    if (asked := _asked(request)) is not None:
        asked.moved(read_sid(form), dict(form).get("StatusCallbackEvent", ""))
    return web.Response(status=204)


async def room_audio(request: web.Request) -> web.StreamResponse:
    """``GET /room-audio``: what is said in the room, on a one-way stream of Twilio's."""
    check_upgrade(request)
    websocket = web.WebSocketResponse(timeout=_CLOSE_SECS, max_msg_size=MAX_MESSAGE, compress=False)
    if not websocket.can_prepare(request):
        raise problem(web.HTTPUpgradeRequired, "expected the upgrade to a WebSocket")
    await websocket.prepare(request)
    heard = _Heard(websocket)
    start = await heard.start()
    consult_id, ticket = (start.get(name, "") for name in ("consult", "ticket"))
    asked = request.app[STATE].consults.get(consult_id)
    if asked is not None and asked.silent is not None and asked.silent.admits(ticket):
        await asked.silent.listen(heard.media())
    else:
        request.app[STATE].refusals.note(
            "a stream to a silent listener without its ticket", "it has to come from this server"
        )
    await websocket.close()
    return websocket


class _Heard:
    """What comes on a one-way stream."""

    def __init__(self, websocket: web.WebSocketResponse):
        self._websocket = websocket
        self._stream = Stream(Role.BOT)

    async def start(self) -> Mapping[str, str]:
        """The parameters of its ``start``; none if that does not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECS):
                async for _ in self._events():
                    if (start := self._stream.start) is not None:
                        return start.custom_parameters
        return {}

    async def media(self) -> AsyncIterator[Media]:
        """The audio of both sides, to the stream's end."""
        async for event in self._events():
            if isinstance(event, Media):
                yield event

    async def _events(self) -> AsyncIterator[Event]:
        async for message in self._websocket:
            for event in self._stream.receive(message.data):
                if isinstance(event, Stop):
                    return
                yield event


def _asked(request: web.Request) -> Consult | None:
    return request.app[STATE].consults.get(request.query.get("consult", ""))
