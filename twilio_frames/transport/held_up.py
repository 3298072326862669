"""Finds out which processor of a pipeline holds a frame up, or is never set up.

Pipecat's processors take one frame after the other. One that never returns from ``process_frame``
holds up all that come behind, and nobody is told: the caller hears nothing more, and the log says
nothing. What a pipeline's tasks wait for stands in their coroutines. Looked up there, now and then,
it costs a frame nothing on its way.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, Frame, StartFrame, StopFrame
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.processors.pipeline.gates import parts_in
from twilio_frames.transport.coming_up import AT_FRAME, AT_SETUP

__all__ = ["HoldUps", "Holder"]

# How long the start and the end of a pipeline may take is limited elsewhere.
_LIMITED = (StartFrame, EndFrame, StopFrame, CancelFrame)
_ASYNCIO = str(Path(asyncio.__file__).parent)


@dataclass(frozen=True)
class Holder:
    """A processor at work.

    Parameters:
        processor: Which one.
        frame: What it processes; None while it is set up.
        place: What it waits at.
    """

    processor: FrameProcessor
    frame: Frame | None
    place: str

    def __str__(self) -> str:
        work = "setup()" if self.frame is None else type(self.frame).__name__
        return f"{self.processor.name} at {work}, {self.place}"


class HoldUps:
    """Knows how long a pipeline's processors have been at the frames they are at.

    Args:
        pipeline: With all its parts.
        tasks: Gives the tasks in which they work, those of others maybe among them.
    """

    def __init__(
        self, pipeline: FrameProcessor, tasks: Callable[[], Iterable["asyncio.Task[Any]"]]
    ):
        self._parts = {part.id: len([*parts_in(part)]) for part in (pipeline, *parts_in(pipeline))}
        self._tasks = tasks
        self._since: dict[tuple[int, int], float] = {}

    def look(self, now: float, limit: float) -> Holder | None:
        """Looks who is at work.

        Args:
            now: The time, seconds.
            limit: How long one may be at one frame, as far as is known by having looked.

        Returns:
            Who has been at one frame for longer, the innermost first of those who wait for one
            another; None if nobody has.
        """
        at_work = {
            (holder.processor.id, holder.frame.id): holder
            for holder in self._at_work()
            if holder.frame is not None and not isinstance(holder.frame, _LIMITED)
        }
        self._since = {key: self._since.get(key, now) for key in at_work}
        late = [holder for key, holder in at_work.items() if now - self._since[key] >= limit]
        return min(late, key=self._size, default=None)

    def who_starts(self) -> Holder | None:
        """Who has not been set up, or else has not passed the ``StartFrame`` on."""
        starting = [
            holder
            for holder in self._at_work()
            if holder.frame is None or isinstance(holder.frame, StartFrame)
        ]
        return min(starting, key=lambda one: (one.frame is not None, self._size(one)), default=None)

    def _size(self, holder: Holder) -> int:
        return self._parts[holder.processor.id]

    def _at_work(self) -> Iterator[Holder]:
        for task in self._tasks():
            holder = _holder_in([*_waiting_frames(task.get_coro())])
            if holder is not None and holder.processor.id in self._parts:
                yield holder


def _holder_in(waiting: list[FrameType]) -> Holder | None:
    """The innermost processor at work, by the frames of a coroutine and of what it waits for."""
    for frame in reversed(waiting):
        name = frame.f_code.co_name
        if name in (AT_FRAME, AT_SETUP):
            known = frame.f_locals
            processor = known.get("self" if name == AT_FRAME else "processor")
            if isinstance(processor, FrameProcessor):
                return Holder(processor, known.get("frame"), _place(waiting))
    return None


def _waiting_frames(work: object) -> Iterator[FrameType]:
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "gi_frame", None)
        if frame is not None:
            yield frame
        work = getattr(work, "cr_await", None) or getattr(work, "gi_yieldfrom", None)


def _place(waiting: list[FrameType]) -> str:
    own = [frame for frame in waiting if not frame.f_code.co_filename.startswith(_ASYNCIO)]
    return f"{own[-1].f_code.co_filename}:{own[-1].f_lineno}"
