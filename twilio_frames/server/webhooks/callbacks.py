"""What Twilio tells of calls: how they go, who has answered, what came of a recording."""

from aiohttp import web
from loguru import logger

from twilio_frames.answering import MachineVerdict
from twilio_frames.frames import RecordingFrame
from twilio_frames.rest.numbers import without_numbers
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.server.fleet.leading import Note
from twilio_frames.server.fleet.passing import callback_key
from twilio_frames.server.incoming import Form, read_sid, read_signed_form
from twilio_frames.server.state import STATE, ServerState

__all__ = ["amd", "expect_no_stream", "leg", "note_verdict", "recording", "status", "take_note"]


_FINAL_OF_RECORDINGS = frozenset({"completed", "absent", "failed"})


async def leg(request: web.Request) -> web.Response:
    """``POST /leg``: how the call to somebody goes whom a detour calls."""
    form = await read_signed_form(request)
    record = request.app[STATE].records.get(request.query.get("call", ""))
    call = record.call if record is not None else None
    if call is not None and dict(form).get("CallStatus") == "in-progress":
        await call.detours.answered(request.query.get("detour", ""))
    return web.Response(status=204)


async def recording(request: web.Request) -> web.Response:
    """``POST /recording``: how Twilio's recording of a call stands."""
    form = await read_signed_form(request)
    record = request.app[STATE].records.get(read_sid(form))
    if record is not None:
        await _note_recording(record, form, callback_key(request, form))
    return web.Response(status=204)


async def amd(request: web.Request) -> web.Response:
    """``POST /amd``: who has answered, by Twilio's machine detection; perhaps before its stream."""
    form = await read_signed_form(request)
    note_verdict(request.app[STATE].records.open(read_sid(form)), form)
    return web.Response(status=204)


async def status(request: web.Request) -> web.Response:
    """``POST /status``: how a call or its stream goes; in any order, some of it twice."""
    form = await read_signed_form(request)
    state = request.app[STATE]
    record = state.records.open(read_sid(form))
    fields = dict(form)
    if "StreamEvent" not in fields and "CallStatus" in fields:
        state.relay.pass_on(request, form)
        if consult := state.consults.get(request.query.get("consult", "")):
            consult.is_about(record.call_sid)
            consult.went(fields["CallStatus"], fields.get("SipResponseCode"))
    await _note_status(state, record, fields)
    return web.Response(status=204)


async def take_note(state: ServerState, call_sid: str, body: bytes) -> None:
    """Takes a callback that came while the call had no owner, or that was not found."""
    record = state.records.open(call_sid)
    try:
        note = Note.decoded(body)
    except ValueError:
        # Another version's.
        return
    match note.name:
        case "amd":
            note_verdict(record, note.form)
        case "recording":
            await _note_recording(record, note.form, note.key)
        case "status":
            await _note_status(state, record, dict(note.form))
        case _:
            pass


async def expect_no_stream(state: ServerState, call_sid: str) -> None:
    """Keep no line, and nothing made ready, for a stream that will not come."""
    await state.fleet.void(call_sid)
    state.preparations.drop(call_sid)
    record = state.records.get(call_sid)
    if record is not None and record.phase is StreamPhase.AWAITED:
        record.phase = StreamPhase.NONE


async def _note_status(state: ServerState, record: CallRecord, fields: dict[str, str]) -> None:
    if "StreamEvent" in fields:
        _note_stream(record, fields)
    elif "CallStatus" in fields:
        _note_call(record, fields)
    state.outgoing.heard_of(record.call_sid)
    if record.is_over:
        state.outgoing.release(record.call_sid)
        await expect_no_stream(state, record.call_sid)
        if record.call is not None:
            await record.call.detours.hung_up()
        else:
            await state.fleet.forget(record.call_sid)


async def _note_recording(record: CallRecord, form: Form, key: str) -> None:
    told = dict(form)
    if record.call is None or "RecordingStatus" not in told or not record.hears(key):
        return
    over = f"{told.get('RecordingSid', '')[:64]} is over"
    if told["RecordingStatus"] in _FINAL_OF_RECORDINGS:
        record.hears(over)
    elif over in record.heard:
        # What came first was kept for a while, until this call's owner was found.
        return
    length = told.get("RecordingDuration", "")
    await record.call.tell(
        RecordingFrame(
            status=told["RecordingStatus"][:40],
            recording_sid=told.get("RecordingSid", "")[:64],
            secs=float(length) if length.isascii() and length.isdecimal() else None,
        )
    )


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


def note_verdict(record: CallRecord, form: Form) -> None:
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
