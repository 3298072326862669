"""A pipeline as it comes up: told at once when it never will.

Pipecat sets a pipeline's processors up, and passes a ``StartFrame`` through them. A processor that
raises there is reported like one that fails at any frame, and the worker waits 20 s for a
``StartFrame`` that does not come any more; where it was setting up that failed, the pipeline goes
on with a processor that cannot do its job. On a telephone line either is dead air.

Which frame an exception befell is told by its traceback, whose first entry is the place in Pipecat
that caught it. This module is the one that knows these places.
"""

import traceback
from collections.abc import Awaitable, Callable
from types import FrameType

from pipecat.frames.frames import ErrorFrame, Frame, StartFrame
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.pipecat_internals import is_set_up
from twilio_frames.processors.pipeline.gates import parts_in

__all__ = ["ComingUp", "why_not_up"]

AT_FRAME = "__process_frame"
"""The method of Pipecat's ``FrameProcessor`` that reports what a frame led to; it calls it
``frame``."""
AT_SETUP = "_setup_processor"
"""The method of Pipecat's ``BasePipeline`` that reports what setting a processor up led to."""


class ComingUp:
    """Watches one pipeline until it is up.

    Args:
        worker: Runs the pipeline.
        on_started: Called once it is up.
        on_failed: Called once, with the error, if it cannot come up as it should.
    """

    def __init__(
        self,
        worker: PipelineWorker,
        *,
        on_started: Callable[[], Awaitable[None]],
        on_failed: Callable[[ErrorFrame], Awaitable[None]],
    ):
        self.is_up = False
        """Whether the pipeline has started."""
        self.failure: ErrorFrame | None = None
        """Why it never will; None if it will, or has."""
        self._on_started = on_started
        self._on_failed = on_failed
        self._switchers: list[ServiceSwitcher] = []
        for processor in (worker.pipeline, *parts_in(worker.pipeline)):
            processor.add_event_handler("on_error", self._processor_failed)
            if isinstance(processor, ServiceSwitcher):
                self._switchers.append(processor)
        worker.add_event_handler("on_pipeline_started", self._started)

    async def _started(self, _: PipelineWorker, frame: Frame) -> None:
        self.is_up = True
        await self._on_started()

    async def _processor_failed(self, processor: FrameProcessor, error: ErrorFrame) -> None:
        if self.is_up or self.failure is not None:
            return
        caught = _where_caught(error.exception)
        if caught is None:
            return
        is_fatal = _is_at_start(caught) or (
            caught.f_code.co_name == AT_SETUP and not self._has_successor(processor)
        )
        if is_fatal:
            self.failure = error
            await self._on_failed(error)

    def _has_successor(self, processor: FrameProcessor) -> bool:
        """Whether another service does its part."""
        return any(
            switcher.is_usable
            for switcher in self._switchers
            if processor in (switcher, *parts_in(switcher)) and is_set_up(processor)
        )


def why_not_up(error: ErrorFrame) -> str:
    """Which processor failed by what kind of exception, and where; its text may hold a key."""
    who = error.processor.name if error.processor else "a processor"
    if error.exception is None:
        return f"expected the pipeline to come up, got an error in {who}"
    places = traceback.extract_tb(error.exception.__traceback__)
    where = f" ({places[-1].filename}:{places[-1].lineno})" if places else ""
    kind = type(error.exception).__name__
    return f"expected the pipeline to come up, got {kind} in {who}{where}"


def _where_caught(error: BaseException | None) -> FrameType | None:
    first = error.__traceback__ if error else None
    return first.tb_frame if first else None


def _is_at_start(caught: FrameType) -> bool:
    return caught.f_code.co_name == AT_FRAME and isinstance(
        caught.f_locals.get("frame"), StartFrame
    )
