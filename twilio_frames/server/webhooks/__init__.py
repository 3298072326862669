"""The webhooks that Twilio asks what to do with a call."""

from urllib.parse import parse_qsl, urlencode

from aiohttp import web
from loguru import logger

from twilio_frames import metrics
from twilio_frames.call import Call
from twilio_frames.call.caller import SIP_HEADER, TOLD_OF_CALLERS
from twilio_frames.errors import DetourError
from twilio_frames.fleet.register import StreamKind
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.rest.client import FINAL
from twilio_frames.server.calls.preparing import ComingCall
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.server.calls.switchboard import Bot
from twilio_frames.server.fleet.leading import taken_elsewhere
from twilio_frames.server.fleet.passing import FULL, is_passed_on
from twilio_frames.server.incoming import Form, own_url, read_sid, read_signed_form
from twilio_frames.server.state import ASK_AGAIN_SECS, STATE, ServerState
from twilio_frames.server.webhooks.callbacks import expect_no_stream, note_verdict
from twilio_frames.server.webhooks.connecting import (
    GOES_ON,
    connect,
    connect_back,
    ended_well,
    gone_on,
    written,
)
from twilio_frames.twiml import Hangup, Pause, Redirect, Reject, Say, Verb, fits_parameter, respond

__all__ = ["after_stream", "back", "fallback", "take_call", "twiml", "whisper"]

_PASSED_ON = {"From": "from", "To": "to", "Direction": "direction"} | {
    name: name for name in TOLD_OF_CALLERS
}
_MOST_SIP_HEADERS = 20
_WAITED = "twilio-frames-waited"
"""In a query: how many seconds a call has waited for a line."""
_OWN_QUERY = "twilio-frames-query"
"""In a query: what the voice webhook's said."""
_NO_ANSWER = 112
"""How the codes begin by which Twilio says that a webhook has not answered, or not by HTTP:
https://www.twilio.com/docs/api/errors."""
_MOST_AGAIN = 3
"""A new call whose stream does not come about so often gets no other one."""


async def twiml(request: web.Request) -> web.Response:
    """``POST /twiml``: a call has come, or one we placed was answered; connect it to a bot."""
    form = await read_signed_form(request)
    if (answer := await taken_elsewhere(request, read_sid(form))) is not None:
        return answer
    return await take_call(request, form)


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
    room = state.room_for(call_sid, is_outbound=is_outbound)
    if room == 0:
        return _turn_away(request, form, call_sid)
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
    note_verdict(record, form)
    own = _own_query(request)
    record.query = urlencode(own)
    record.coming = _parameters(own, form)
    connected = await _connect_new(state, record, room)
    if connected is None:
        await expect_no_stream(state, call_sid)
        return _turn_away(request, form, call_sid)
    state.waiting.end(call_sid)
    if waited := _waited_secs(request):
        state.metrics.observe(metrics.QUEUE, waited, "taken")
    return connected


async def _connect_new(
    state: ServerState, record: CallRecord, room: int | None = None
) -> web.Response | None:
    parameters = dict(record.coming or {})
    query = f"?{urlencode({_OWN_QUERY: record.query})}" if record.query else ""
    connected = await connect(state, record, StreamKind.NEW, parameters, room=room, query=query)
    if connected is not None and record.bot is None:
        state.preparations.begin(ComingCall(call_sid=record.call_sid, parameters=parameters))
    return connected


async def after_stream(request: web.Request) -> web.Response:
    """``POST /after-stream``: what comes behind a stream: a detour, an apology, or the end.

    Twilio may ask a little before the bot that closed the stream is done, so a stream that is
    still up gets a moment to end. One that never came, or does not end, was lost.
    """
    form = await read_signed_form(request)
    state = request.app[STATE]
    call_sid = read_sid(form)
    record = state.records.get(call_sid)
    if record is not None:
        record.asked = True
    if record is not None and record.call is not None:
        if _is_over(form):
            await record.call.detours.hung_up()
        elif (detour := record.call.detours.asked()) is not None:
            return written(detour)
    await expect_no_stream(state, call_sid)
    if not _is_over(form):
        coming = record or await _taken_in_vain(request, form)
        if (connected := await _connect_again(request, coming)) is not None:
            return connected
    if not _is_over(form) and (connected := await gone_on(request, call_sid)) is not None:
        return connected
    is_well = await (ended_well(record) if record else _ended_well_elsewhere(state, call_sid))
    if is_well or state.settings.apology is None:
        return written(respond(Hangup()))
    return written(respond(Say(text=state.settings.apology), Hangup()))


async def _ended_well_elsewhere(state: ServerState, call_sid: str) -> bool:
    """Whether a call that this worker knows nothing of ended as somebody wanted, or is unknown."""
    standing = await state.fleet.standing(call_sid)
    if standing is None:
        return not state.fleet.is_in_doubt
    return standing.ended not in ("", *GOES_ON)


async def _taken_in_vain(request: web.Request, form: Form) -> CallRecord | None:
    """A new call whose worker has died as it took it, and has kept nothing; None for any other."""
    state, call_sid = request.app[STATE], read_sid(form)
    standing = await state.fleet.standing(call_sid)
    if standing is None or standing.has_begun or standing.owner == state.fleet.name:
        return None
    if not state.settings.fleet.does_resume:
        # Nothing is kept of any call.
        return None
    record = state.records.open(call_sid)
    own = _own_query(request)
    record.base_url, record.query = own_url(request), urlencode(own)
    record.coming = _parameters(own, form)
    return record


async def _connect_again(request: web.Request, record: CallRecord | None) -> web.Response | None:
    """Connects a new call anew whose stream was turned away, or did not come to anybody.

    So it is where the register answered at its webhook, and did not at its stream.
    """
    state = request.app[STATE]
    if record is None or record.coming is None or record.is_over or record.again >= _MOST_AGAIN:
        return None
    if state.fleet.is_alone:
        # There is nobody else to whom it may have gone, and nothing that did not answer.
        return None
    if await state.fleet.has_begun(record.call_sid):
        return None
    if not record.is_refused and state.fleet.is_in_doubt:
        # It may have come to somebody else.
        return None
    record.again += 1
    record.phase = StreamPhase.AWAITED
    return await _connect_new(state, record)


async def back(request: web.Request) -> web.Response:
    """``POST /back``: verbs of a detour are done; what is left of them, or the next stream."""
    form = await read_signed_form(request)
    state = request.app[STATE]
    call_sid = read_sid(form)
    record = state.records.get(call_sid)
    if record is None or record.call is None:
        connected = None if _is_over(form) else await gone_on(request, call_sid)
        return connected or written(respond(Hangup()))
    if _is_over(form):
        # The caller hung up in the middle of a verb that tells.
        await record.call.detours.hung_up()
        return written(respond(Hangup()))
    try:
        more = record.call.detours.came_back(request.query, dict(form))
    except DetourError:
        # Late, or told twice: Twilio is long behind it, and does not read the answer.
        return written(respond(Hangup()))
    return written(more) if more is not None else await connect_back(state, record)


async def whisper(request: web.Request) -> web.Response:
    """``POST /whisper``: somebody whom a detour calls has answered, and hears this first."""
    await read_signed_form(request)
    call = _called_by(request)
    number = request.query.get("detour", "")
    return written(respond(*(call.detours.whisper(number) if call else ())))


def _called_by(request: web.Request) -> Call | None:
    """The call whose detour a leg belongs to, by the URL that Twilio was given."""
    record = request.app[STATE].records.get(request.query.get("call", ""))
    return record.call if record is not None else None


async def fallback(request: web.Request) -> web.Response:
    """``POST /fallback``: Twilio could not do what it was told; it is told why by a code.

    Set it as the number's fallback URL. A call that is away comes back, and its detour has failed;
    one that nobody has answered yet is taken; any other hears the apology.
    """
    form = await read_signed_form(request)
    state = request.app[STATE]
    call_sid = read_sid(form)
    code = dict(form).get("ErrorCode", "")
    number = int(code) if code.isascii() and code.isdecimal() and len(code) < 7 else 0
    logger.bind(call_sid=call_sid).error(f"{call_sid}: Twilio reports error {number}")
    record = state.records.get(call_sid)
    if record is not None and record.call is not None and record.call.detours.refused(number):
        return await connect_back(state, record)
    if number // 100 == _NO_ANSWER and dict(form).get("CallStatus") == "ringing":
        # Whoever was asked who takes it has died over the question.
        return await take_call(request, form)
    if (connected := await gone_on(request, call_sid)) is not None:
        return connected
    return written(respond(Say(text=state.settings.apology or APOLOGY), Hangup()))


def _is_over(form: Form) -> bool:
    """Whether the call had ended when Twilio asked: a caller hung up in the middle of a verb."""
    return dict(form).get("CallStatus") in FINAL


def _turn_away(request: web.Request, form: Form, call_sid: str) -> web.Response:
    """What a caller gets for whom there is no line."""
    state = request.app[STATE]
    logger.bind(call_sid=call_sid).warning(f"{call_sid}: turned away, all lines are busy")
    if is_passed_on(request):
        # Whoever passed it on asks others, and knows what the caller gets.
        return web.Response(status=503, headers={FULL: "1"})
    got, verbs = _instead(request, form, call_sid, state)
    waited = _waited_secs(request)
    state.metrics.count(metrics.TURNED_AWAY, got)
    if waited and got != "queue":
        state.metrics.observe(metrics.QUEUE, waited, "given up")
    return written(respond(*verbs))


def _instead(
    request: web.Request, form: Form, call_sid: str, state: ServerState
) -> tuple[str, tuple[Verb, ...]]:
    """What a caller gets, in a word, and the TwiML for it."""
    fleet = state.settings.fleet
    if fleet.when_full not in ("busy", "say", "queue"):
        return "elsewhere", (Redirect(url=fleet.when_full),)
    waited = _waited_secs(request)
    if fleet.when_full == "queue" and waited < fleet.queue_secs:
        state.waiting.ask(call_sid)
        query = dict(request.query) | {_WAITED: str(waited + ASK_AGAIN_SECS)}
        again = Redirect(url=f"{own_url(request)}/twiml?{urlencode(query)}")
        said = () if waited else (Say(text=fleet.queue_line),)
        return "queue", (*said, Pause(seconds=ASK_AGAIN_SECS), again)
    told = dict(form)
    is_up = told.get("Direction", "inbound") != "inbound" or told.get("CallStatus") == "in-progress"
    if not is_up and fleet.when_full == "busy":
        return "busy", (Reject(reason="busy"),)
    # A call that is up cannot be rejected: one that was placed, or has waited.
    return "line", (Say(text=state.settings.busy), Hangup())


def _waited_secs(request: web.Request) -> int:
    waited = request.query.get(_WAITED, "0")
    return int(waited) if waited.isascii() and waited.isdecimal() and len(waited) < 6 else 0


def _own_query(request: web.Request) -> Form:
    """What the voice webhook's own query says, or said.

    Of the query of a GET, what begins with a capital letter is Twilio's own.
    """
    if (said := request.query.get(_OWN_QUERY)) is not None:
        return parse_qsl(said)[:20]
    is_get = request.method == "GET"
    query = [(n, v) for n, v in request.query.items() if not (is_get and n[:1].isupper())]
    return [(name, value) for name, value in query if name != _WAITED][:20]


def _parameters(query: Form, form: Form) -> dict[str, str]:
    """What the bot is told: the webhook URL's query, and who calls whom.

    A value that Twilio could not deliver is left out rather than letting the call fail.
    """
    asked = dict(query)
    told = {ours: value for name, value in form if value and (ours := _PASSED_ON.get(name))}
    headers = [(name, value) for name, value in form if name.startswith(SIP_HEADER)]
    told |= dict(headers[:_MOST_SIP_HEADERS])
    return {name: value for name, value in (asked | told).items() if fits_parameter(name, value)}
