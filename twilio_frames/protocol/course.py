"""What a call is doing: on its stream, away from it, on its way back, over.

A call outlives its stream. Its bot may leave the stream, have Twilio do something else with the
caller, and be given another stream, on which it goes on. So what a call is doing is more than what
its stream is doing, and it is told by messages of several kinds that do not come in one order:
Twilio asks what to do (the ``action`` of ``<Connect>``) when it has seen the stream's end, which
may be before this side has; it asks again where an answer was slow; what it tells comes twice, or
after the call has moved on.

::

                   leave            closed, asked          returning           stream
    RINGING ──> ON_STREAM ──> LEAVING ──────────> AWAY ──────────────> RETURNING ──> ON_STREAM
            stream
      any of them ── ended ──> ENDED

No I/O happens here, and no clock is read.
"""

from enum import Enum

__all__ = ["CallCourse", "CallPhase", "CallStep"]


class CallPhase(Enum):
    """What a call is doing."""

    RINGING = "ringing"
    """It has no stream yet."""
    ON_STREAM = "on stream"
    """The bot and the caller hear each other."""
    LEAVING = "leaving"
    """The stream is being closed, or about to be stopped by Twilio."""
    AWAY = "away"
    """Twilio does something else with it."""
    RETURNING = "returning"
    """Twilio has been told of the next stream."""
    ENDED = "ended"


class CallStep(Enum):
    """What happens to a call."""

    STREAM = "stream"
    """A stream has begun."""
    LEAVE = "leave"
    """The bot wants to leave its stream."""
    CLOSED = "closed"
    """The stream it wanted to leave is over."""
    ASKED = "asked"
    """Twilio has asked what to do, the stream being over."""
    RETURNING = "returning"
    """Twilio has been told to open a stream."""
    ENDED = "ended"
    """The call is over."""


_STEPS: dict[CallPhase, dict[CallStep, CallPhase]] = {
    CallPhase.RINGING: {CallStep.STREAM: CallPhase.ON_STREAM},
    CallPhase.ON_STREAM: {CallStep.LEAVE: CallPhase.LEAVING},
    CallPhase.LEAVING: {
        CallStep.CLOSED: CallPhase.AWAY,
        # Twilio may see the end of the stream first, and be done before this side has.
        CallStep.ASKED: CallPhase.AWAY,
        CallStep.RETURNING: CallPhase.RETURNING,
    },
    CallPhase.AWAY: {
        CallStep.CLOSED: CallPhase.AWAY,
        CallStep.ASKED: CallPhase.AWAY,
        CallStep.RETURNING: CallPhase.RETURNING,
    },
    CallPhase.RETURNING: {
        CallStep.STREAM: CallPhase.ON_STREAM,
        # An answer that was slow is asked for again; a stream that cannot be opened ends at once.
        # What was asked long ago may be told twice: the stream is still to come.
        CallStep.RETURNING: CallPhase.RETURNING,
        CallStep.ASKED: CallPhase.RETURNING,
        CallStep.CLOSED: CallPhase.RETURNING,
    },
    CallPhase.ENDED: {},
}


class CallCourse:
    """What one call is doing, and what may happen to it next."""

    def __init__(self) -> None:
        self.phase = CallPhase.RINGING
        self.streams = 0
        """How many streams the call has had."""
        self.detours = 0
        """How often it has left one."""

    @property
    def is_away(self) -> bool:
        """Whether the caller is elsewhere, or on the way."""
        return self.phase in (CallPhase.LEAVING, CallPhase.AWAY, CallPhase.RETURNING)

    def may(self, step: CallStep) -> bool:
        """Whether something may happen now."""
        return step is CallStep.ENDED or step in _STEPS[self.phase]

    def take(self, step: CallStep) -> bool:
        """Take note of what happened; False, and nothing changes, where it comes out of turn.

        That a call has ended is never out of turn, and nothing follows it.
        """
        if step is CallStep.ENDED:
            self.phase = CallPhase.ENDED
            return True
        after = _STEPS[self.phase].get(step)
        if after is None:
            return False
        self.phase = after
        self.streams += step is CallStep.STREAM
        self.detours += step is CallStep.LEAVE
        return True
