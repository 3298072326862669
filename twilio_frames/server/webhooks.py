"""The webhooks Twilio asks and tells: what to do with a call, and how it goes."""

import asyncio
import contextlib

from aiohttp import web
from loguru import logger

from twilio_frames.answering import MachineVerdict
from twilio_frames.call import TOKEN_PARAMETER, Call
from twilio_frames.call.caller import SIP_HEADER, TOLD_OF_CALLERS
from twilio_frames.errors import DetourError
from twilio_frames.frames import RecordingFrame
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.rest.client import FINAL
from twilio_frames.rest.numbers import without_numbers
from twilio_frames.server.addresses import websocket_url
from twilio_frames.server.calls.preparing import ComingCall
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.server.calls.switchboard import Bot
from twilio_frames.server.calls.tokens import StreamTokens
from twilio_frames.server.incoming import Form, own_url, read_sid, read_signed_form
from twilio_frames.server.settings import ServerSettings
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.twiml import Hangup, Reject, Say, Verb, connect_stream, fits_parameter, respond

__all__ = [
    "after_stream",
    "amd",
    "back",
    "fallback",
    "leg",
    "recording",
    "status",
    "take_call",
    "twiml",
    "whisper",
    "written",
]

_PASSED_ON = {"From": "from", "To": "to", "Direction": "direction"} | {
    name: name for name in TOLD_OF_CALLERS
}
_MOST_SIP_HEADERS = 20


async def twiml(request: web.Request) -> web.Response:
    """``POST /twiml``: a call has come, or one we placed was answered; connect it to a bot."""
    return await take_call(request, await read_signed_form(request))


async def take_call(request: web.Request, form: Form, bot: Bot | None = None) -> web.Response:
    """Connects a call to a bot.

    Args:
        request: Twilio's.
        form: What it holds.
        bot: What carries this call alone; None for the server's bot.
    """
    state = request.app[STATE]
    call_sid = read_sid(form)
    is_outbound = dict(form).get("Direction", "inbound") != "inbound"
    if not state.has_line_for(call_sid, is_outbound=is_outbound):
        logger.bind(call_sid=call_sid).warning(f"{call_sid}: turned away, all lines are busy")
        return written(respond(*_turn_away(form, state.settings)))
    if not is_outbound and (why := state.callers.refuses(call_sid, dict(form).get("From", ""))):
        state.refusals.note(why, "ServerSettings(callers=CallerRules(...)) says who may call")
        return written(respond(*state.settings.callers.refusal()))
    await state.log_folder.make_ready()
    record = state.records.open(call_sid)
    if record.is_over:
        return written(respond(Hangup()))
    if record.phase is not StreamPhase.UP:
        record.phase = StreamPhase.AWAITED
    record.base_url = own_url(request)
    record.bot = bot
    _note_verdict(record, form)
    parameters = _parameters(request, form)
    if bot is None:
        state.preparations.begin(ComingCall(call_sid=call_sid, parameters=dict(parameters)))
    return _connect(state.tokens, record, parameters)


def _connect(tokens: StreamTokens, record: CallRecord, parameters: dict[str, str]) -> web.Response:
    """Connects a call to a stream, by a token of its own."""
    token = {TOKEN_PARAMETER: tokens.issue(record.call_sid)}
    base = record.base_url or ""
    return written(
        connect_stream(
            websocket_url(base) + "/stream",
            parameters=parameters | token,
            status_callback=base + "/status",
            action=base + "/after-stream",
        )
    )


async def after_stream(request: web.Request) -> web.Response:
    """``POST /after-stream``: what comes behind a stream: a detour, an apology, or the end.

    Twilio may ask a little before the bot that closed the stream is done, so a stream that is
    still up gets a moment to end. One that never came, or does not end, was lost.
    """
    form = await read_signed_form(request)
    state = request.app[STATE]
    call_sid = read_sid(form)
    record = state.records.get(call_sid)
    if record is not None and record.call is not None:
        if _is_over(form):
            await record.call.detours.hung_up()
        elif (detour := record.call.detours.asked()) is not None:
            return written(detour)
    _expect_no_stream(state, call_sid)
    if record is None or state.settings.apology is None or await _ended_well(record):
        return written(respond(Hangup()))
    return written(respond(Say(text=state.settings.apology), Hangup()))


async def back(request: web.Request) -> web.Response:
    """``POST /back``: verbs of a detour are done; what is left of them, or the next stream."""
    form = await read_signed_form(request)
    state = request.app[STATE]
    record = state.records.get(read_sid(form))
    if record is None or record.call is None:
        return written(respond(Hangup()))
    if _is_over(form):
        # The caller hung up in the middle of a verb that tells.
        await record.call.detours.hung_up()
        return written(respond(Hangup()))
    try:
        more = record.call.detours.came_back(request.query, dict(form))
    except DetourError:
        # Late, or told twice: Twilio is long behind it, and does not read the answer.
        return written(respond(Hangup()))
    return written(more) if more is not None else _connect(state.returns, record, {})


async def whisper(request: web.Request) -> web.Response:
    """``POST /whisper``: somebody whom a detour calls has answered, and hears this first."""
    await read_signed_form(request)
    call = _called_by(request)
    number = request.query.get("detour", "")
    return written(respond(*(call.detours.whisper(number) if call else ())))


async def leg(request: web.Request) -> web.Response:
    """``POST /leg``: how the call to somebody goes whom a detour calls."""
    form = await read_signed_form(request)
    call = _called_by(request)
    if call is not None and dict(form).get("CallStatus") == "in-progress":
        await call.detours.answered(request.query.get("detour", ""))
    return web.Response(status=204)


async def recording(request: web.Request) -> web.Response:
    """``POST /recording``: how Twilio's recording of a call stands."""
    form = dict(await read_signed_form(request))
    record = request.app[STATE].records.get(read_sid(list(form.items())))
    if record is not None and record.call is not None and "RecordingStatus" in form:
        length = form.get("RecordingDuration", "")
        await record.call.tell(
            RecordingFrame(
                status=form["RecordingStatus"][:40],
                recording_sid=form.get("RecordingSid", "")[:64],
                secs=float(length) if length.isascii() and length.isdecimal() else None,
            )
        )
    return web.Response(status=204)


def _called_by(request: web.Request) -> Call | None:
    """The call whose detour a leg belongs to, by the URL that Twilio was given."""
    record = request.app[STATE].records.get(request.query.get("call", ""))
    return record.call if record is not None else None


async def fallback(request: web.Request) -> web.Response:
    """``POST /fallback``: Twilio could not do what it was told; it is told why by a code.

    Set it as the number's fallback URL. A call that is away comes back, and its detour has failed;
    any other hears the apology.
    """
    form = await read_signed_form(request)
    state = request.app[STATE]
    call_sid = read_sid(form)
    code = dict(form).get("ErrorCode", "")
    number = int(code) if code.isascii() and code.isdecimal() and len(code) < 7 else 0
    logger.bind(call_sid=call_sid).error(f"{call_sid}: Twilio reports error {number}")
    record = state.records.get(call_sid)
    if record is not None and record.call is not None and record.call.detours.refused(number):
        return _connect(state.returns, record, {})
    return written(respond(Say(text=state.settings.apology or APOLOGY), Hangup()))


async def amd(request: web.Request) -> web.Response:
    """``POST /amd``: who has answered, by Twilio's machine detection; perhaps before its stream."""
    form = await read_signed_form(request)
    _note_verdict(request.app[STATE].records.open(read_sid(form)), form)
    return web.Response(status=204)


async def status(request: web.Request) -> web.Response:
    """``POST /status``: how a call or its stream goes; in any order, some of it twice."""
    form = await read_signed_form(request)
    state = request.app[STATE]
    record = state.records.open(read_sid(form))
    fields = dict(form)
    if "StreamEvent" in fields:
        _note_stream(record, fields)
    elif "CallStatus" in fields:
        _note_call(record, fields)
        state.relay.pass_on(request, form)
        if consult := state.consults.get(request.query.get("consult", "")):
            consult.went(fields["CallStatus"], fields.get("SipResponseCode"))
    state.outgoing.heard_of(record.call_sid)
    if record.is_over:
        state.outgoing.release(record.call_sid)
        _expect_no_stream(state, record.call_sid)
        if record.call is not None:
            await record.call.detours.hung_up()
    return web.Response(status=204)


def _expect_no_stream(state: ServerState, call_sid: str) -> None:
    """Keep no line, and nothing made ready, for a stream that will not come."""
    state.tokens.void(call_sid)
    state.returns.void(call_sid)
    state.preparations.drop(call_sid)
    record = state.records.get(call_sid)
    if record is not None and record.phase is StreamPhase.AWAITED:
        record.phase = StreamPhase.NONE


def written(twiml: str) -> web.Response:
    """The answer that has Twilio do something."""
    return web.Response(text=twiml, content_type="text/xml")


def _is_over(form: Form) -> bool:
    """Whether the call had ended when Twilio asked: a caller hung up in the middle of a verb."""
    return dict(form).get("CallStatus") in FINAL


def _turn_away(form: Form, settings: ServerSettings) -> tuple[Verb, ...]:
    if dict(form).get("Direction", "inbound") == "inbound":
        return (Reject(reason="busy"),)
    # A call that was placed is up already, and <Reject> is for calls that ring.
    return (Say(text=settings.busy), Hangup())


def _parameters(request: web.Request, form: Form) -> dict[str, str]:
    """What the bot is told: the webhook URL's query, and who calls whom.

    A value that Twilio could not deliver is left out rather than letting the call fail. Of the
    query of a GET, what begins with a capital letter is Twilio's own.
    """
    query = request.query.items()
    if request.method == "GET":
        query = [(name, value) for name, value in query if not name[:1].isupper()]
    asked = dict(list(query)[:20])
    told = {ours: value for name, value in form if value and (ours := _PASSED_ON.get(name))}
    headers = [(name, value) for name, value in form if name.startswith(SIP_HEADER)]
    told |= dict(headers[:_MOST_SIP_HEADERS])
    return {name: value for name, value in (asked | told).items() if fits_parameter(name, value)}


async def _ended_well(record: CallRecord) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(record.settled.wait(), 2.0)
    return record.ended_well


def _note_stream(record: CallRecord, fields: dict[str, str]) -> None:
    event = fields["StreamEvent"][:40]
    if not record.note_stream_event(event):
        return
    log = logger.bind(call_sid=record.call_sid)
    if event == "stream-error":
        reason = without_numbers(fields.get("StreamError", "no reason given"))[:300]
        log.warning(f"{record.call_sid}: Twilio reports a stream error: {reason!r}")
    else:
        log.debug(f"{record.call_sid}: {event!r}")


def _note_verdict(record: CallRecord, form: Form) -> None:
    """Takes a verdict; with the TwiML's request it comes where Twilio detects before that."""
    told = dict(form).get("AnsweredBy", "")
    if told in frozenset(MachineVerdict):
        record.note_verdict(MachineVerdict(told))
    elif told:
        logger.bind(call_sid=record.call_sid).debug(
            f"{record.call_sid}: a verdict of machine detection that is not known: {told[:40]!r}"
        )


def _note_call(record: CallRecord, fields: dict[str, str]) -> None:
    sequence = fields.get("SequenceNumber", "0")
    number = int(sequence) if sequence.isascii() and sequence.isdecimal() else 0
    if record.follow(fields["CallStatus"][:40], number):
        logger.bind(call_sid=record.call_sid).info(f"{record.call_sid}: {record.status!r}")
