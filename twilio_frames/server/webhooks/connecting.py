"""TwiML that connects a call to a stream: a new one, one that is back, one whose bot is gone."""

import asyncio
import contextlib
from urllib.parse import urlencode

from aiohttp import web
from loguru import logger

from twilio_frames.call import TOKEN_PARAMETER
from twilio_frames.fleet.register import Standing, StreamKind
from twilio_frames.frames import CallEndReason
from twilio_frames.server.addresses import websocket_url
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.server.fleet.leading import other_workers
from twilio_frames.server.fleet.passing import (
    FETCHED,
    FULL,
    RESUME,
    is_passed_on,
    named_worker,
)
from twilio_frames.server.incoming import own_url
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.twiml import Hangup, Pause, Redirect, connect_stream, respond

__all__ = ["GOES_ON", "connect", "connect_back", "ended_well", "gone_on", "written"]

GOES_ON = frozenset({CallEndReason.LINE_LOST, CallEndReason.ERROR, CallEndReason.HANDED_OVER})
"""How a stream ends whose call another one may carry on."""
_SAYS_STOP = GOES_ON | {CallEndReason.CALLER_HUNG_UP}
"""And where Twilio was asked to leave it: as if the caller had hung up."""
_SETTLE_SECS = 2.0
_ASK_AGAIN_SECS = 1
_PERSISTENTLY = "#rc=4&rp=ct,5xx"
"""Has Twilio ask again where the worker that it reached dies with the question unanswered, or the
balancer in front still takes a dead one for alive: then nobody else would be asked, and the call
ends. See https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides."""
_WAITED = "waited"
_RESUME_SECS = 1.0
"""How long another worker may take to say that it goes on with a call."""
_MOST_FAILURES = 1
"""A bot that raises is given another chance, and no third."""
_MOST_PROMISES = 5
"""So many new streams in a row that do not come are too many: a second lies between them."""
_MOST_QUICK_LOSSES = 3
"""A call that is lost so often as soon as it is taken may be what its workers die of."""


def written(twiml: str) -> web.Response:
    """The answer that has Twilio do something."""
    return web.Response(text=twiml, content_type="text/xml")


async def connect(
    state: ServerState,
    record: CallRecord,
    kind: StreamKind,
    parameters: dict[str, str],
    *,
    room: int | None = None,
    named: str | None = None,
    query: str = "",
) -> web.Response | None:
    """Connects a call to a stream here, by a token of its own; None if there is no room for it."""
    base = record.base_url or ""
    token = await state.fleet.issue(record.call_sid, kind, base, room=room, named=named)
    if token is None:
        return None
    own = state.fleet.named(base)
    return written(
        connect_stream(
            websocket_url(own) + "/stream",
            parameters=parameters | {TOKEN_PARAMETER: token},
            status_callback=own + "/status",
            action=f"{own}/after-stream{query}" + ("" if state.fleet.is_alone else _PERSISTENTLY),
        )
    )


async def connect_back(state: ServerState, record: CallRecord) -> web.Response:
    """Connects a call that was away to a stream on which its bot goes on."""
    connected = await connect(state, record, StreamKind.BACK, {})
    return connected or written(respond(Hangup()))


async def ended_well(record: CallRecord) -> bool:
    """Whether a call's stream ended as somebody wanted; one that is still up gets a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECS):
            await record.settled.wait()
    return record.ended_well


async def gone_on(request: web.Request, call_sid: str) -> web.Response | None:
    """Connects a call whose bot is gone to another one, here or elsewhere; None if it may not."""
    state = request.app[STATE]
    if not state.settings.fleet.does_resume:
        return None
    ends = _SAYS_STOP if FETCHED in request.query else GOES_ON
    record = state.records.get(call_sid)
    if record is not None:
        if record.stream_end in (None, CallEndReason.ERROR):
            # Whether it has failed stands in the register when it has settled.
            await ended_well(record)
        if record.ended_well and record.stream_end not in ends:
            return None
        if record.promised > 1 and _WAITED not in request.query:
            return _asked_again(request, call_sid)
    standing = await state.fleet.standing(call_sid, named_worker(request))
    if state.fleet.is_in_doubt and not (standing is not None and standing.has_begun):
        return _asked_again(request, call_sid)
    if standing is None or not _may_go_on(standing, ends):
        return None
    if not is_passed_on(request, RESUME):
        answer = await _gone_on_elsewhere(request, call_sid, standing.owner)
        if answer is not None:
            return answer
    connected = await _resume(request, state, call_sid)
    if connected is None and state.fleet.is_out_of_reach:
        return _asked_again(request, call_sid)
    return connected


async def _gone_on_elsewhere(
    request: web.Request, call_sid: str, owner: str
) -> web.Response | None:
    """What a worker answers that has less to do and goes on with a call; None if none has.

    Its caller hears nothing meanwhile: one that does not answer at once has too much to do.
    """
    state = request.app[STATE]
    async for lease in other_workers(state):
        # The owner was asked already; what is kept here alone other machines cannot go on with.
        is_near = state.fleet.is_near(lease.name)
        if lease.name == owner or not (is_near or not await state.fleet.has_alone(call_sid)):
            continue
        answer = await state.workers.pass_on(request, lease, RESUME, _RESUME_SECS)
        if answer is None and not await state.is_full():
            return None
        if answer is not None and FULL not in answer.headers:
            return answer
    return None


def _asked_again(request: web.Request, call_sid: str) -> web.Response | None:
    """Has a call wait for the register, which alone knows whether it goes on, for some time."""
    waited = request.query.get(_WAITED, "0")
    waited_secs = int(waited) if waited.isascii() and waited.isdecimal() and len(waited) < 4 else 0
    if waited_secs >= request.app[STATE].settings.fleet.doubt_secs:
        logger.bind(call_sid=call_sid).error(
            f"{call_sid}: its worker is gone, and for {waited_secs} s nobody here could tell "
            "whether another one may go on: see that the register is up, or give the workers of "
            "this machine one beside it (TWILIO_FRAMES_NEAR_REGISTER)"
        )
        return None
    query = urlencode({**request.query, _WAITED: waited_secs + _ASK_AGAIN_SECS})
    # Who had it last, the call's own address tells.
    named = f"/w/{worker}" if (worker := named_worker(request)) else ""
    again = Redirect(url=f"{own_url(request)}{named}/after-stream?{query}{_PERSISTENTLY}")
    return written(respond(Pause(seconds=_ASK_AGAIN_SECS), again))


def _may_go_on(standing: Standing, ends: frozenset[CallEndReason]) -> bool:
    has_ended = standing.ended and standing.ended not in ends
    if has_ended or not standing.has_snapshot or standing.failures > _MOST_FAILURES:
        return False
    return standing.quick_losses < _MOST_QUICK_LOSSES


async def _resume(request: web.Request, state: ServerState, call_sid: str) -> web.Response | None:
    if request.transport is None or request.transport.is_closing():
        # Whoever has asked has asked somebody else meanwhile, whose ticket this one would void.
        return None
    record = state.records.open(call_sid)
    record.promised += 1
    if record.is_over or record.promised > _MOST_PROMISES:
        return None
    logger.bind(call_sid=call_sid).warning(f"{call_sid}: its bot is gone, another one goes on")
    record.phase, record.coming = StreamPhase.AWAITED, None
    record.base_url = own_url(request)
    # Whoever is on the line already is let in, full or not.
    named = named_worker(request)
    return await connect(state, record, StreamKind.RESUME, {}, named=named)
