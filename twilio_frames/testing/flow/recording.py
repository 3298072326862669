"""``<Record>``: the caller leaves a message, which a webhook is told of.

Source: https://www.twilio.com/docs/voice/twiml/record
"""

import asyncio

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.call_recording import CallRecording, RecordingStatus
from twilio_frames.testing.calls.facts import CallEnd
from twilio_frames.testing.calls.instructions import Fetch
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.flow.announcements import announce
from twilio_frames.testing.verbs import Record, StartRecording

_BEEP = encode_mulaw(
    (8000 * np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE))
    .astype(np.int16)
    .tobytes()
)
"""Twilio's documents say no more of it than that it is one."""


async def record(switch: Switch, call: SimulatedCall, verb: Record) -> Fetch | None:
    """Carries it out; gives its ``action``, unless nothing was recorded."""
    if verb.plays_beep:
        await announce(call, _BEEP)
    call.ready.set()
    recording = switch.record(
        call,
        StartRecording(
            track="inbound",
            channels="mono",
            trim=verb.trim,
            status_callback=verb.status_callback,
            status_callback_method=verb.status_callback_method,
            events=verb.events,
            source="RecordVerb",
        ),
    )
    pressed: list[str] = []
    call.on_key = lambda key: pressed.append(key) if key in verb.finish_on_key else None
    silence = _Silence()
    call.taps.add(silence)
    try:
        while not pressed and not silence.lasts(verb.timeout) and silence.total < verb.max_length:
            await call.line.next_turn()
    except asyncio.CancelledError:
        # Where the caller has hung up, its webhook is told of it, and its answer is not heeded.
        call.at_end.append(lambda: _tell_of_end(call, verb, recording))
        raise
    finally:
        call.on_key = None
        call.taps.remove(silence)
    recording.finish()
    if recording.status is RecordingStatus.ABSENT or not silence.was_broken:
        return None
    told = _told(call, recording, "".join(pressed[:1]))
    return Fetch(url=verb.action, method=verb.method, parameters=told)


class _Silence:
    """How long the caller has said nothing; a tap on the line."""

    def __init__(self) -> None:
        self.total = 0.0
        self.was_broken = False
        self._since = 0.0

    def write(self, caller: bytes, bot: bytes) -> None:
        """Hears both sides."""
        self.total += len(caller) / SAMPLE_RATE
        if len(audible_samples(caller)):
            self._since, self.was_broken = self.total, True

    def lasts(self, seconds: float) -> bool:
        """Whether it lasts as long."""
        return self.total - self._since >= seconds


def _told(call: SimulatedCall, recording: CallRecording, digits: str) -> dict[str, str]:
    return {
        "RecordingUrl": call.exchange.recording_url(recording.sid),
        "RecordingSid": recording.sid,
        "RecordingDuration": str(round(recording.seconds)),
        "Digits": digits,
    }


def _tell_of_end(call: SimulatedCall, verb: Record, recording: CallRecording) -> None:
    recording.finish()
    if call.end is CallEnd.CALLER_HUNG_UP and recording.status is RecordingStatus.COMPLETED:
        told = call.parameters() | _told(call, recording, "hangup")
        call.callbacks.post("record-action", verb.action, told, verb.method)
