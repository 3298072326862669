"""``<Dial>``: the call meets somebody else, who is called, waits in a queue, or confers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.call_recording import CallRecording
from twilio_frames.testing.calls.facts import CallEnd, CallStatus, Numbers, StatusCallback
from twilio_frames.testing.calls.instructions import EnterRoom, Fetch
from twilio_frames.testing.calls.ringing import RingingCall
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.flow.conferring import confer, first_of
from twilio_frames.testing.lines.rooms import Room, Seat
from twilio_frames.testing.lines.waiting_sounds import ringing
from twilio_frames.testing.verbs import Dial, StartRecording, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a ``<Dial>`` went, for its ``action``."""

    status: str
    call_sid: str = ""
    seconds: float = 0.0
    recording_sid: str = ""
    sip_code: str = ""


async def dial(switch: Switch, call: SimulatedCall, verb: Dial) -> Fetch | None:
    """Carries it out; gives its ``action``, if it has one."""
    call.log.note("dial", kinds=_kinds(verb))
    if verb.conference is not None:
        call.answer()
        async with _listening_for_star(call, verb) as star:
            await confer(call, verb.conference, star=star, seconds=verb.time_limit)
        outcome = _Outcome(status="answered")
    elif verb.queue:
        outcome = await _take_from_queue(call, verb)
    else:
        outcome = await _call_somebody(switch, call, verb)
    call.log.note("dialed", status=outcome.status)
    if not verb.action:
        return None
    return Fetch(url=verb.action, method=verb.method, parameters=_told(call, outcome))


async def sit(
    call: SimulatedCall,
    room: Room,
    *,
    seconds: float | None = None,
    star: asyncio.Event | None = None,
) -> None:
    """Stays in a room until somebody else ends it, the time is up, or ``*`` was pressed."""
    async with _seated(call, room) as seat:
        await first_of(seat.dismissed, star, seconds=seconds)


@asynccontextmanager
async def _seated(call: SimulatedCall, room: Room) -> AsyncIterator[Seat]:
    """Connects the call to a room, and takes it out again."""
    seat = room.enter(call.line.clock)
    call.sit_down(seat)
    try:
        yield seat
    finally:
        room.leave(seat)
        if call.seat is seat:
            call.disconnect()


class _Leg:
    """A party that is being called.

    Args:
        switch: Makes the call to it.
        call: Who calls.
        target: Whom.
        room: Where they meet.
        verb: What the TwiML says of all of them.
    """

    def __init__(self, switch: Switch, call: SimulatedCall, target: Target, room: Room, verb: Dial):
        address, headers = target.address, {}
        if target.kind == "sip":
            address, _, query = target.address.partition("?")
            headers = dict(parse_qsl(query))
        self.is_sip = target.kind == "sip"
        self.call = switch.new_call(
            Numbers(
                from_number=verb.caller_id or call.numbers.from_number,
                to_number=address,
                direction="outbound-dial",
                sip_headers=headers,
            ),
            callback=_status_callback(target),
            parent_sid=call.sid,
        )
        self.entered = asyncio.Event()
        self.call.initiate()
        self.call.ring()
        self.ringing = RingingCall(
            self.call,
            EnterRoom(
                room=room,
                entered=self.entered,
                whisper=Fetch(url=target.url, method=target.method) if target.url else None,
                send_digits=target.send_digits,
            ),
            seconds=verb.timeout,
            send_digits=target.send_digits,
        )
        switch.ring(self.ringing)

    async def has_answered(self) -> bool:
        """Waits until the party is there, or will not come."""
        await first_of(self.entered, self.call.ended)
        return self.entered.is_set() and not self.call.ended.is_set()

    def hang_up(self) -> None:
        """Calls it off, or ends it."""
        self.ringing.cancel()
        self.call.order(CallEnd.BOT_HUNG_UP)


async def _call_somebody(switch: Switch, call: SimulatedCall, verb: Dial) -> _Outcome:
    room = Room()
    groups = [[target] for target in verb.targets] if verb.is_sequential else [list(verb.targets)]
    call.ready.set()
    last: _Leg | None = None
    for group in groups:
        legs = [_Leg(switch, call, target, room, verb) for target in group]
        if call.is_answered:
            # Where it is not, it rings on the caller's own side.
            call.line.listen_to(ringing())
        try:
            answered = await _first_to_answer(legs)
            call.line.listen_to(None)
            for leg in legs:
                if leg is not answered:
                    leg.hang_up()
            if answered is not None:
                return await _talk(switch, call, answered, room, verb)
        finally:
            for leg in legs:
                leg.hang_up()
        last = legs[-1] if legs else None
    if last is None:
        return _Outcome(status=CallStatus.FAILED.value)
    return _Outcome(
        status=last.call.status.value,
        call_sid=last.call.sid,
        sip_code=last.call.sip_code if last.is_sip else "",
    )


async def _talk(switch: Switch, call: SimulatedCall, leg: _Leg, room: Room, verb: Dial) -> _Outcome:
    call.answer()
    recording = _record(switch, call, verb)
    began = leg.call.seconds
    async with _listening_for_star(call, verb) as star:
        await sit(call, room, seconds=verb.time_limit, star=star)
    if recording is not None:
        recording.finish()
    return _Outcome(
        status=CallStatus.COMPLETED.value,
        call_sid=leg.call.sid,
        seconds=leg.call.seconds - began,
        recording_sid=recording.sid if recording is not None else "",
    )


async def _take_from_queue(call: SimulatedCall, verb: Dial) -> _Outcome:
    call.answer()
    call.ready.set()
    taken = await call.exchange.queue(verb.queue).take(verb.timeout)
    if taken is None:
        return _Outcome(status=CallStatus.NO_ANSWER.value)
    queued, room = taken
    began = call.seconds
    async with _listening_for_star(call, verb) as star:
        await sit(call, room, seconds=verb.time_limit, star=star)
    return _Outcome(
        status=CallStatus.COMPLETED.value, call_sid=queued.call_sid, seconds=call.seconds - began
    )


async def _first_to_answer(legs: list[_Leg]) -> _Leg | None:
    waiting = {asyncio.create_task(leg.has_answered()): leg for leg in legs}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                leg = waiting.pop(task)
                if task.result():
                    return leg
        return None
    finally:
        for task in waiting:
            task.cancel()


@asynccontextmanager
async def _listening_for_star(call: SimulatedCall, verb: Dial) -> AsyncIterator[asyncio.Event]:
    star = asyncio.Event()

    def on_key(digit: str) -> None:
        if digit == "*" and verb.hangs_up_on_star:
            star.set()

    call.on_key = on_key
    try:
        yield star
    finally:
        call.on_key = None


def _record(switch: Switch, call: SimulatedCall, verb: Dial) -> CallRecording | None:
    if verb.record in ("do-not-record", "false"):
        return None
    return switch.record(
        call,
        StartRecording(
            channels="dual" if verb.record.endswith("dual") else "mono",
            status_callback=verb.recording_status_callback,
            source="DialVerb",
        ),
    )


def _kinds(verb: Dial) -> list[str]:
    if verb.conference is not None:
        return ["conference"]
    return ["queue"] if verb.queue else [target.kind for target in verb.targets]


def _status_callback(target: Target) -> StatusCallback | None:
    if not target.status_callback:
        return None
    return StatusCallback(
        url=target.status_callback, events=target.events, method=target.status_callback_method
    )


def _told(call: SimulatedCall, outcome: _Outcome) -> dict[str, str]:
    told = {"DialCallStatus": outcome.status}
    if outcome.call_sid:
        told["DialCallSid"] = outcome.call_sid
        told["DialCallDuration"] = str(round(outcome.seconds))
    if outcome.sip_code:
        told["DialSipResponseCode"] = outcome.sip_code
    if outcome.recording_sid:
        told["RecordingUrl"] = call.exchange.recording_url(outcome.recording_sid)
    return told
