"""What the caller hears of the bot, as spans of Pipecat's own trace."""

from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
)
from pipecat.utils.tracing.tracing_context import TracingContext

from twilio_frames.frames import BotHeldFrame

__all__ = ["Playouts"]


class Playouts:
    """Makes a span of each stretch of the bot's speech, from when it is sent to when it was heard.

    Args:
        context: The call's trace, to be had where tracing is enabled.
        attributes: Gives what all of a call's spans have.
        underruns: Gives how many holes the caller has heard.
        round_trip: Gives how long the way to the caller and back is, seconds.
    """

    def __init__(
        self,
        context: TracingContext,
        attributes: Callable[[], dict[str, Any]],
        *,
        underruns: Callable[[], int],
        round_trip: Callable[[], float],
    ):
        from opentelemetry import trace

        self._tracer = trace.get_tracer("pipecat")
        self._context = context
        self._attributes, self._underruns, self._round_trip = attributes, underruns, round_trip
        self._underruns_before = 0
        self._span: trace.Span | None = None
        self._is_interrupted = False

    def passed(self, frame: Frame) -> None:
        """Begins or ends one."""
        match frame:
            case BotStartedSpeakingFrame():
                self._begin()
            case BotHeldFrame() if self._span is not None:
                self._span.add_event("held")
            case InterruptionFrame():
                self._is_interrupted = True
            case BotStoppedSpeakingFrame():
                self.end()
            case _:
                pass

    def _begin(self) -> None:
        self.end()
        self._is_interrupted, self._underruns_before = False, self._underruns()
        parent = self._context.get_turn_context() or self._context.get_conversation_context()
        attributes = self._attributes()
        self._span = self._tracer.start_span("playout", context=parent, attributes=attributes)

    def end(self) -> None:
        """Ends the one there is."""
        span, self._span = self._span, None
        if span is not None:
            span.set_attribute("playout.was_interrupted", self._is_interrupted)
            span.set_attribute("playout.underruns", self._underruns() - self._underruns_before)
            span.set_attribute("playout.round_trip_seconds", max(0.0, self._round_trip()))
            span.end()
