"""Spans of the replies of services that Pipecat's own tracing does not know."""

from typing import TYPE_CHECKING, Any

from pipecat.frames.frames import Frame, LLMTextFrame
from pipecat.processors.frame_processor import (
    FrameDirection,
    FrameProcessor,
    FrameProcessorSetup,
)
from pipecat.utils.tracing.tracing_context import TracingContext

from twilio_frames.processors.fallback.vendor_watch import vendor_name

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["TracedReplies"]


class TracedReplies(FrameProcessor):
    """A base of services whose replies each are a span ``llm`` of the call's trace.

    One lasts for as long as Pipecat is told that the service is at work. It holds the words of the
    reply, as Pipecat's own do.
    """

    _trace: TracingContext | None = None
    _span: "Span | None" = None
    _words = ""

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Takes the call's trace, if there is one."""
        await super().setup(setup)
        self._trace = setup.tracing_context if setup.enable_tracing else None

    async def start_processing_metrics(self, **options: Any) -> None:
        """Begins a span; Pipecat's services call it."""
        await super().start_processing_metrics(**options)
        self._end_span()
        if self._trace is not None:
            from opentelemetry import trace

            parent = self._trace.get_turn_context() or self._trace.get_conversation_context()
            named = {"gen_ai.provider.name": vendor_name(self), "gen_ai.operation.name": "chat"}
            self._words = ""
            self._span = trace.get_tracer("pipecat").start_span(
                "llm", context=parent, attributes=named
            )

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, and takes note of the words in it."""
        if self._span is not None and isinstance(frame, LLMTextFrame):
            self._words += frame.text
        await super().push_frame(frame, direction)

    async def stop_processing_metrics(self, **options: Any) -> None:
        """Ends the span; Pipecat's services call it."""
        await super().stop_processing_metrics(**options)
        self._end_span()

    async def cleanup(self) -> None:
        """Ends the span."""
        await super().cleanup()
        self._end_span()

    def _end_span(self) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.set_attribute("output", self._words)
            span.end()
