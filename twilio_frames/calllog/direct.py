"""A call log in a pipeline, without what Pipecat does for its other observers.

Pipecat hands every observer every step of every frame through a queue and a task of its own, which
takes more time than all that a log does with it. A log is told at once instead: it needs no time
worth the name, waits for nothing, and looks at a frame's class first.

This module is the one that knows how Pipecat's ``PipelineWorker`` keeps its observers.
"""

from collections.abc import Iterable

from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver

from twilio_frames.calllog.log import CallLog


def add_observers(worker: PipelineWorker, observers: Iterable[BaseObserver]) -> None:
    """Lets observers watch a worker that does not run yet; call logs are told at once.

    Args:
        worker: The worker.
        observers: Pipecat's observers, call logs among them.
    """
    given = list(observers)
    logs = [each for each in given if isinstance(each, CallLog)]
    if logs and type(getattr(worker, "_observer", None)) is WorkerObserver:
        worker._observer = _LogsFirst(logs, worker._observer)  # pyright: ignore[reportPrivateUsage] See above.
        given = [each for each in given if not isinstance(each, CallLog)]
    for observer in given:
        worker.add_observer(observer)


class _LogsFirst(WorkerObserver):
    """Pipecat's distributor of what is to be observed, with logs that stand before it."""

    def __init__(self, logs: list[CallLog], others: WorkerObserver):
        super().__init__(observers=others._observers)
        self._logs = logs

    async def on_push_frame(self, data: FramePushed) -> None:
        for log in self._logs:
            log.observe(data)
        await super().on_push_frame(data)

    async def cleanup(self) -> None:
        await super().cleanup()
        for log in self._logs:
            await log.cleanup()
