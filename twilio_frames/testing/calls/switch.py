"""What makes calls, lets them ring, and keeps them: the exchange with its calls on it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.call_recording import CallRecording
from twilio_frames.testing.calls.facts import CallEnd, Numbers, StatusCallback
from twilio_frames.testing.calls.instructions import Instructions
from twilio_frames.testing.calls.ringing import RingingCall
from twilio_frames.testing.exchange import Exchange
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.verbs import StartRecording

FollowOnSwitch = Callable[["Switch", SimulatedCall, Instructions], Coroutine[Any, Any, CallEnd]]
"""Has a call follow instructions to their end, which may make other calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """All calls of one simulated Twilio.

    Parameters:
        exchange: What they share.
        follow: Carries out what a call is told to do.
        ring: Lets a call ring at whoever answers its number; False if nobody could be told of it.
        calls: Every call there was, by its sid.
        recordings: Those that the bot asked Twilio for, by their sids.
    """

    exchange: Exchange
    follow: FollowOnSwitch
    ring: Callable[[RingingCall], bool]
    calls: dict[str, SimulatedCall] = field(default_factory=dict, repr=False)
    recordings: dict[str, CallRecording] = field(default_factory=dict, repr=False)

    @property
    def live_calls(self) -> int:
        """How many calls ring or go on."""
        return sum(call.end is None for call in self.calls.values())

    def new_call(
        self, numbers: Numbers, *, callback: StatusCallback | None = None, parent_sid: str = ""
    ) -> SimulatedCall:
        """Makes a call, which is not on its way yet.

        Args:
            numbers: Who calls whom.
            callback: Where its progress is told.
            parent_sid: The call whose ``<Dial>`` made this one.
        """
        call = SimulatedCall(
            self.exchange,
            follow=partial(self.follow, self),
            numbers=numbers,
            log=CallLog(),
            callback=callback,
            parent_sid=parent_sid,
        )
        self.calls[call.sid] = call
        return call

    def record(self, call: SimulatedCall, request: StartRecording) -> CallRecording:
        """Begins a recording that the bot has asked for; it ends with the call."""
        recording = CallRecording(call, request)
        self.recordings[recording.sid] = recording
        call.taps.add(recording)
        call.at_end.append(recording.finish)
        return recording
