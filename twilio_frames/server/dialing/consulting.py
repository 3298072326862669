"""The webhooks of those who are asked whether they take a caller."""

from aiohttp import web

from twilio_frames.call.consulting import Consult, no_account
from twilio_frames.rest import CallOptions
from twilio_frames.server.dialing.placing import place
from twilio_frames.server.incoming import read_sid, read_signed_form
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.server.webhooks import take_call, written
from twilio_frames.twiml import Hangup, respond

__all__ = ["consult", "place_consult", "room"]


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


def _asked(request: web.Request) -> Consult | None:
    return request.app[STATE].consults.get(request.query.get("consult", ""))
