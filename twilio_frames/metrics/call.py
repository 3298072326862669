"""What is measured of one call, of what its output passes on."""

import time

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from twilio_frames import metrics
from twilio_frames.frames import AudioGapFrame, BotHeldFrame, CallEndReason, VendorSwitchedFrame
from twilio_frames.metrics import Metric
from twilio_frames.metrics.kept import KeptMetrics
from twilio_frames.report.answers import AnswerTimes
from twilio_frames.report.lines import Kind
from twilio_frames.transport import TwilioTransport

__all__ = ["CallMetrics"]


class CallMetrics:
    """Measures a call from the opening of its stream to its end.

    It is told of some ten frames a turn, and looks at nothing in between.

    Args:
        kept: Where it is kept.
        transport: The call's.
        is_resumed: Whether another bot had the call before, and has said the first word.
    """

    def __init__(self, kept: KeptMetrics, transport: TwilioTransport, *, is_resumed: bool = False):
        self._kept = kept
        self._transport = transport
        self._answers = AnswerTimes()
        self._onset = self._held_at = self._cut_at = 0.0
        self._underruns = 0
        self._caller_speaks = self._is_over = False
        self._has_spoken = is_resumed
        self._at_ear: list[tuple[Metric, float]] = []
        self._output = transport.follow(self)

    def passed(self, frame: Frame) -> None:
        """Takes a frame that the output has passed on."""
        now = time.monotonic()
        match frame:
            case _ if self._is_over:
                pass
            case VADUserStartedSpeakingFrame():
                self._caller_began(now - frame.start_secs)
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = False
                self._note(Kind.VAD_STOPPED, now, after=frame.stop_secs)
            case UserStartedSpeakingFrame():
                self._note(Kind.TURN_STARTED, now)
            case UserStoppedSpeakingFrame():
                self._note(Kind.TURN_STOPPED, now)
            case BotStartedSpeakingFrame():
                self._bot_began(now)
            case BotHeldFrame():
                self._bot_held(now)
            case InterruptionFrame():
                self._cut_at, self._held_at = self._held_at or now, 0.0
            case BotStoppedSpeakingFrame():
                self._bot_ended()
            case AudioGapFrame(kind=what, milliseconds=length):
                self._kept.count(metrics.GAPS, what.value)
                self._kept.count(metrics.GAP_SECONDS, what.value, by=length / 1000)
            case VendorSwitchedFrame():
                self._kept.count(metrics.SWITCHES, frame.role.value)
            case _:
                pass

    def _note(self, kind: Kind, now: float, **fields: float) -> None:
        self._answers.note({"kind": kind, "t": now, **fields})

    def _caller_began(self, at: float) -> None:
        self._caller_speaks = True
        if not self._output.is_held:
            self._said_on()
        if not (self._held_at and self._onset):
            self._onset = at

    def _bot_began(self, now: float) -> None:
        self._onset, self._cut_at = now if self._caller_speaks else 0.0, 0.0
        if not self._has_spoken:
            self._has_spoken = True
            began = self._output.spoke_at or now
            self._at_ear.append((metrics.FIRST_AUDIO, began - self._transport.opened_at))
        if (secs := self._answers.heard(now)) is not None:
            self._at_ear.append((metrics.ANSWER, secs))

    def _bot_held(self, now: float) -> None:
        self._said_on()
        self._held_at = now
        if not self._caller_speaks:
            # The VAD is yet to say when that began.
            self._onset = 0.0
        self._kept.count(metrics.HOLDS)

    def _said_on(self) -> None:
        """No interruption came of the last hold, if there was one."""
        if self._held_at:
            self._kept.count(metrics.FALSE_ALARMS)
        self._held_at = 0.0

    def _bot_ended(self) -> None:
        # What was said to its end all the same, or by whom it was ended but the caller, is none.
        if 0.0 < self._onset <= self._cut_at:
            self._at_ear.append((metrics.BARGE_IN, self._cut_at - self._onset))
        self._cut_at = 0.0
        self._said_on()
        self._take_stock()

    def _take_stock(self) -> None:
        """Adds the way to the ear and back, which the marks have told by now; counts the holes."""
        waiting, self._at_ear = self._at_ear, []
        for metric, secs in waiting:
            self._kept.observe(metric, max(0.0, secs) + self._transport.playback.round_trip)
        holes = self._transport.underruns
        if holes > self._underruns:
            self._kept.count(metrics.UNDERRUNS, by=holes - self._underruns)
            self._underruns = holes

    def ended(self, reason: CallEndReason) -> None:
        """Takes note that the call is over; once."""
        if not self._is_over:
            self._is_over = True
            self._take_stock()
            self._kept.count(metrics.ENDED, reason.value)
            self._kept.observe(metrics.CALL, time.monotonic() - self._transport.opened_at)
