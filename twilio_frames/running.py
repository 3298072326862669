"""Runs one call's pipeline to its end, in bounded time whatever stands in the way.

Pipecat waits for the end of a pipeline as long as it takes. A processor that does not let the
``EndFrame`` through, or whose part of the end never returns, would keep the call's tasks for good.
So a pipeline that does not end by itself is asked, then cancelled past the frame that it waits for,
then cleaned up from outside and its tasks cancelled.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loguru import logger
from pipecat.frames.frames import CancelFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner

from twilio_frames.on_demand_bus import OnDemandBus
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.stopping import FRAME_TASKS, cancel_until_done

__all__ = ["PipelineRun"]


class PipelineRun:
    """One pipeline's run.

    Args:
        worker: Runs the pipeline.
        call_sid: The call, for log lines.
    """

    _ASK_SECS: float = 2.0
    """How long a pipeline may take to end when asked; all of these together take less time than
    whoever cancelled the bot waits for it."""
    _FORCE_SECS: float = 0.9
    """How long its tasks may take when they are cancelled."""
    _CLEAN_UP_SECS: float = 1.0
    """How long each step of the clean-up may take."""
    _CLOSING_SECS: float = 3.0
    """How long a run may take to end that an event loop cancelled as it closed."""

    def __init__(self, worker: PipelineWorker, call_sid: str):
        self._worker = worker
        self._call_sid = call_sid
        self._runner = WorkerRunner(bus=OnDemandBus(), handle_sigint=False, handle_sigterm=False)
        self._running: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._steps: set[asyncio.Task[None]] = set()
        self.left: set[asyncio.Task[Any]] = set()
        """Tasks that could not be stopped."""

    async def run(self, on_break_off: Callable[[], None]) -> None:
        """Runs it until it has ended, or has been stopped.

        Args:
            on_break_off: Called if this is cancelled, before the pipeline is.
        """
        await self._runner.add_workers(self._worker)
        self._running = asyncio.create_task(self._runner.run(), name="pipeline-run")
        try:
            # The runner takes a cancellation for an order to stop, and forgets it.
            await asyncio.wait({self._running})
        except asyncio.CancelledError:
            if self._stopping is None:
                on_break_off()
            if self._stopping is None and self._running.cancelling():
                # Nobody but an event loop that closes cancels that one: no frame moves any more.
                await cancel_until_done({self._running}, seconds=self._CLOSING_SECS)
            else:
                await self.stop("the bot was cancelled")
            raise
        finally:
            if self._late is not None:
                self._late.cancel()
            if self._stopping is not None:
                await asyncio.shield(self._stopping)
        if self._running.done() and not self._running.cancelled():
            self._running.result()

    def expect_end(self, secs: float) -> None:
        """Stops it if it does not end by itself in time, now that its line has."""
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(secs, self._end_late, secs)

    def _end_late(self, secs: float) -> None:
        logger.bind(call_sid=self._call_sid).warning(
            f"{self._call_sid}: the pipeline still ran {secs:g} s after the line ended and is "
            "cancelled"
        )
        self._begin_stop("the line has ended")

    async def stop(self, reason: str) -> None:
        """Stops it, in bounded time."""
        await asyncio.shield(self._begin_stop(reason))

    def _begin_stop(self, reason: str) -> "asyncio.Task[None]":
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(reason), name="pipeline-stop")
        return self._stopping

    async def _stop(self, reason: str) -> None:
        if self._running is None:
            return
        await self._runner.cancel(reason=reason)
        if await self._has_ended(self._ASK_SECS):
            await self.sweep()
            return
        # Not by the worker's queue, in which it would wait behind an end that does not come.
        await self._try(self._worker.pipeline.queue_frame(CancelFrame(reason=reason)))
        if await self._has_ended(self._ASK_SECS):
            await self.sweep()
            return
        await self._stop_by_force(self._running)

    async def sweep(self, *, was_up: bool = False) -> None:
        """Ends what a pipeline has left behind that did not come to its end as it should.

        One that never came up passes no frame by which its processors end. One that broke off while
        it was set up is not cleaned up either, nor one that a ``StopFrame`` ended.

        Args:
            was_up: Whether what its processors do still may be meant to outlive it.
        """
        tasks = {task for task in self._runner.task_manager.current_tasks() if not task.done()}
        if any(task.get_name().endswith(FRAME_TASKS) for task in tasks):
            await self._try(self._worker.pipeline.cleanup())
        elif was_up:
            return
        await cancel_until_done(tasks, seconds=self._CLEAN_UP_SECS)
        self.left |= {task for task in tasks if not task.done()}

    async def _has_ended(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._running] if self._running else [], timeout=seconds)
        return bool(done)

    async def _stop_by_force(self, running: asyncio.Task[None]) -> None:
        await self._try(self._worker.pipeline.cleanup())
        tasks = {*self._runner.task_manager.current_tasks(), *self._steps, running}
        await cancel_until_done(tasks, seconds=self._FORCE_SECS)
        self.left = {task for task in tasks if not task.done()}
        logger.bind(call_sid=self._call_sid).error(
            f"{self._call_sid}: the pipeline did not end, not even by cancellation, and was ended "
            f"by force; {len(self.left)} of its tasks go on all the same: look for a processor "
            "that holds a system frame up, or does not let CancelledError pass"
        )

    async def _try(self, step: Coroutine[Any, Any, None]) -> None:
        # In a task of its own: what waits for one that does not let CancelledError pass, does not
        # let it pass either.
        task = asyncio.create_task(step, name="pipeline-step")
        self._steps.add(task)
        await asyncio.wait({task}, timeout=self._CLEAN_UP_SECS)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            report_unforeseen(error, f"the end of call {self._call_sid}")
