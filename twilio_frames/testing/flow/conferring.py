"""``<Conference>``: a call meets others in a room with a name.

Source: https://www.twilio.com/docs/voice/twiml/conference
"""

import asyncio

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.lines.rooms import Conference, Participant
from twilio_frames.testing.lines.waiting_sounds import hold_music
from twilio_frames.testing.verbs import ConferenceRoom


async def confer(
    call: SimulatedCall, noun: ConferenceRoom, *, star: asyncio.Event, seconds: float
) -> None:
    """Stays in the conference until it ends, the time is up, or the caller presses ``*``."""
    conference = _conference(call, noun.name)
    call.ready.set()
    if conference.size >= noun.max_participants:
        call.log.note("conference_full")
        return
    seat = conference.enter(call.line.clock, is_muted=noun.is_muted)
    conference.participants[call.sid] = Participant(
        seat=seat, starts_on_enter=noun.starts_on_enter, ends_on_exit=noun.ends_on_exit
    )
    call.sit_down(seat)
    _tell(call, conference, noun, "join")
    if noun.starts_on_enter and not conference.is_open:
        conference.open()
        _tell(call, conference, noun, "start")
    try:
        if not conference.is_open and noun.has_music:
            call.line.listen_to(hold_music())
            await first_of(conference.opened, seat.dismissed, star, seconds=seconds)
            call.line.listen_to(seat)
        await first_of(seat.dismissed, star, seconds=seconds)
    finally:
        del conference.participants[call.sid]
        conference.leave(seat, closes=noun.ends_on_exit)
        if call.seat is seat:
            call.disconnect()
        _tell(call, conference, noun, "leave")
        is_current = call.exchange.conferences.get(noun.name) is conference
        if is_current and (noun.ends_on_exit or not conference.size):
            # Whoever comes from here on begins a new one.
            del call.exchange.conferences[noun.name]
            _tell(call, conference, noun, "end")


def _conference(call: SimulatedCall, name: str) -> Conference:
    conferences = call.exchange.conferences
    if name not in conferences:
        conferences[name] = Conference(name, call.exchange.new_sid("CF"))
    return conferences[name]


def _tell(call: SimulatedCall, conference: Conference, noun: ConferenceRoom, event: str) -> None:
    call.log.note(f"conference_{event}")
    if not noun.status_callback or event not in noun.events:
        return
    told = {
        "AccountSid": call.exchange.account_sid,
        "CallSid": call.sid,
        "ConferenceSid": conference.sid,
        "FriendlyName": conference.name,
        "Muted": str(noun.is_muted).lower(),
        "StartConferenceOnEnter": str(noun.starts_on_enter).lower(),
        "EndConferenceOnExit": str(noun.ends_on_exit).lower(),
        "StatusCallbackEvent": f"conference-{event}"
        if event in ("start", "end")
        else f"participant-{event}",
    }
    call.callbacks.post(
        f"conference-{event}", noun.status_callback, told, noun.status_callback_method
    )


async def first_of(*events: asyncio.Event | None, seconds: float | None = None) -> None:
    """Waits for the first of some events, or until the time is up."""
    waiting = [asyncio.create_task(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
