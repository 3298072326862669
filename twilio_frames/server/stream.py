"""The WebSocket on which a call's audio comes and goes."""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

from aiohttp import WSCloseCode, web
from loguru import logger

from twilio_frames import metrics
from twilio_frames.call import TOKEN_PARAMETER, Call
from twilio_frames.call.resuming import Resumed
from twilio_frames.calllog import CallLog
from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.fleet.register import Claim, StreamKind
from twilio_frames.frames import CallEndReason
from twilio_frames.metrics.call import CallMetrics
from twilio_frames.protocol import MAX_MESSAGE, Start
from twilio_frames.server.calls.preparing import ComingCall
from twilio_frames.server.fleet.leading import streams_ended
from twilio_frames.server.fleet.passing import named_worker
from twilio_frames.server.fleet.rescuing import rescue_if_dead
from twilio_frames.server.incoming import check_upgrade, problem, source
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.server.webhooks.callbacks import take_note
from twilio_frames.server.webhooks.connecting import GOES_ON
from twilio_frames.transport import TwilioParams, TwilioTransport
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.sockets import media_socket

__all__ = ["stream"]

_LARGEST_MESSAGE = MAX_MESSAGE
"""Bytes of a message: one that is longer ends the connection, so it is as long as any that is read,
and counted where it is none. Twilio's longest is ``start``, whose parameters stood in at most 64 kB
of TwiML. What is unfinished of one stands in memory, for anybody whose upgrade was taken."""

_CLOSE_SECS = 2.0
_STRANGERS_START_SECS = 2.0
"""How long ``start`` may take where streams without a token come from. Twilio sends it at once."""


async def stream(request: web.Request) -> web.StreamResponse:
    """``GET /stream``: carry one call.

    The bot starts only when the upgrade bears Twilio's signature and ``start`` a token that was
    issued for this very call and never used.
    """
    state = request.app[STATE]
    check_upgrade(request)
    if state.switchboard.draining and not state.records.any_expected:
        raise problem(web.HTTPServiceUnavailable, "the server is about to stop")
    websocket = web.WebSocketResponse(
        timeout=_CLOSE_SECS, max_msg_size=_LARGEST_MESSAGE, compress=False
    )
    if not websocket.can_prepare(request):
        raise problem(web.HTTPUpgradeRequired, "expected the upgrade to a WebSocket")
    await websocket.prepare(request)
    params, whose = _params(state), source(request)
    if state.strangers.wait_secs(whose):
        params.start_timeout_secs = min(params.start_timeout_secs, _STRANGERS_START_SECS)
    opened = MediaConnection(media_socket(websocket), params)
    match await _admit(state, opened, named_worker(request)):
        case Start() as start, Claim(kind=StreamKind.BACK):
            if not await _go_on(state, websocket, start):
                await _close(websocket)
        case _, Claim(kind=StreamKind.RESUME, snapshot=None):
            # Its bot has hung up meanwhile, or nobody can read what it has left.
            await _close(websocket)
        case Start() as start, claim:
            # What Pipecat and the bot log of it is found by it as well.
            with logger.contextualize(call_sid=start.call_sid):
                await _carry(state, websocket, start, claim)
        case _:
            state.strangers.note(whose)
            await _close(websocket)
    return websocket


async def _go_on(state: ServerState, websocket: web.WebSocketResponse, start: Start) -> bool:
    """Lets a call that is away go on here until its end; False if its bot is gone."""
    record = state.records.get(start.call_sid)
    call = record.call if record else None
    if call is None or not await call.detours.stream_began(websocket, start):
        return False
    await call.line_ended()
    return True


async def _carry(
    state: ServerState, websocket: web.WebSocketResponse, start: Start, claim: Claim
) -> None:
    """Carries a new call."""
    transport = TwilioTransport(websocket, params=_params(state), start=start)
    log: CallLog | None = None
    call: Call | None = None
    try:
        await transport.wait_for_start()
        resumed = _resumed(state, start.call_sid, claim)
        if resumed is not None:
            start = replace(start, custom_parameters=resumed.parameters)
        prepared = state.preparations.take(start.call_sid)
        call = Call(transport, start, rest=state.rest, prepared=prepared, resumed=resumed)
        if state.settings.fleet.does_resume:
            call.keep(*state.fleet.places(start.call_sid))
        record = state.records.open(start.call_sid)
        # Where another worker was asked for the TwiML, only the ticket knows.
        record.base_url = record.base_url or claim.base_url
        record.from_number = call.from_number or record.from_number
        record.to_number = call.to_number or record.to_number
        record.direction = call.direction or record.direction
        named = state.fleet.named(record.base_url)
        call.detours.begin(named)
        call.recording.base_url = named
        call.consults = state.consults
        call.recording.needs_consent = state.settings.recording_needs_consent
        log = _keep_log(state, call)
        measures = CallMetrics(state.metrics, transport, is_resumed=resumed is not None)
        told = partial(_ended, state, start.call_sid, claim.fence, measures)
        carried = asyncio.ensure_future(state.switchboard.carry(call, record, told))
        # Then the record has the call, which is told of what came while there was none.
        await asyncio.sleep(0)
        for note in claim.notes:
            await take_note(state, start.call_sid, note)
        state.fleet.news.set()
        await asyncio.gather(carried, rescue_if_dead(state, call, record))
    except BaseException:
        # Nobody has hung up: where another worker can, it goes on.
        await transport.close(CallEndReason.LINE_LOST, "its connection was given up")
        raise
    finally:
        await transport.close()
        if call is not None and (unused := call.take_prepared()) is not None:
            state.preparations.give_back(unused)
        if log is not None:
            log.close()
            await log.wait_until_written(2.0)


def _resumed(state: ServerState, call_sid: str, claim: Claim) -> Resumed | None:
    """What is known of a call whose bot before is gone; its next one has something prepared too."""
    if claim.kind is not StreamKind.RESUME:
        return None
    state.metrics.count(metrics.TAKEOVERS)
    ended = streams_ended(claim.notes)
    resumed = Resumed.read(claim.snapshot, claim.progress, call_sid, ended) or Resumed()
    is_late = claim.silent_secs > state.settings.fleet.lease_secs
    resumed = replace(resumed, is_late=is_late)
    coming = ComingCall(call_sid=call_sid, parameters=dict(resumed.parameters))
    state.preparations.begin(coming)
    return resumed


async def _ended(
    state: ServerState,
    call_sid: str,
    fence: int,
    measures: CallMetrics,
    reason: CallEndReason,
    has_failed: bool,
) -> None:
    measures.ended(reason)
    record = state.records.get(call_sid)
    # What says that the caller hung up may be a stream that somebody has had Twilio leave.
    is_left = reason is CallEndReason.CALLER_HUNG_UP and not (record and record.is_over)
    goes_on = is_left or reason in GOES_ON
    await state.fleet.end(
        call_sid, reason.value, goes_on=goes_on, has_failed=has_failed, fence=fence
    )


def _params(state: ServerState) -> TwilioParams:
    given = state.settings.transport
    return given.model_copy() if given else TwilioParams()


def _keep_log(state: ServerState, call: Call) -> CallLog | None:
    settings = state.settings
    # The sids were sent by whoever opened the stream: they may not lead out of the folder.
    if settings.call_logs is None or not f"{call.call_sid}{call.stream_sid}".isalnum():
        return None
    path = settings.call_logs / f"{call.call_sid}-{call.stream_sid}.jsonl"
    return call.keep_log(path, words=settings.log_words, digits=settings.log_digits)


async def _admit(
    state: ServerState, opened: MediaConnection, named: str
) -> tuple[Start, Claim] | None:
    """Wait for a stream to begin, and take its call by its token; None if it may not."""
    try:
        start = await opened.wait_for_start()
    except (StreamTimeoutError, CallFailedError) as error:
        state.refusals.note("a stream that never started", str(error))
        return None
    token = start.custom_parameters.get(TOKEN_PARAMETER, "")
    claim = await state.fleet.redeem(token, start.call_sid, named)
    if claim is not None:
        logger.bind(call_sid=start.call_sid).info(f"{start.call_sid}: stream {start.stream_sid}")
        return start, claim
    record = state.records.get(start.call_sid)
    if record is not None and not await state.fleet.has_begun(start.call_sid):
        record.is_refused = True
    if token and state.fleet.is_alone and record is None:
        state.refusals.note(
            "a stream whose webhook was answered by another process",
            "a process without a register takes the streams of its own webhooks alone: give all of "
            "them one (TWILIO_FRAMES_REGISTER, see docs/fleet.md), or run one process",
        )
        return None
    state.refusals.note(
        "a stream without a token that is valid for its call",
        "its TwiML has to come from this server's /twiml, for each stream anew",
    )
    return None


async def _close(websocket: web.WebSocketResponse) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * _CLOSE_SECS):
            await websocket.close(code=WSCloseCode.POLICY_VIOLATION)
