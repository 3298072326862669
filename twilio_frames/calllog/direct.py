"""Pipecat's observers in a call: none of them can hurt it, and logs cost next to nothing.

Pipecat hands every observer every step of every frame through a queue and a task of its own, which
takes more time than all that a log does with it. A log is told at once instead: it needs no time
worth the name, waits for nothing, and looks at a frame's class first. The other observers keep
their queues, but these have a bound, and an observer that raises is told of what follows all the
same: Pipecat's task for it would end, and its queue grow for as long as the call lasts.

Where nobody observes a call, Pipecat's processors make no record of each step either.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from loguru import logger
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.pipeline.worker_observer import Proxy, WorkerObserver

from twilio_frames.pipecat_internals import observer_of, observers_of, set_observer, tell_first
from twilio_frames.transport.taps import Failures

MOST_WAITING = 20_000
"""What waits at most for an observer that is slow: some ten seconds of a busy pipeline."""


@runtime_checkable
class AtOnce(Protocol):
    """An observer that is told at once, since that takes it no time: a call's log, say."""

    def observe(self, data: FramePushed) -> None:
        """Takes a frame."""
        ...

    async def cleanup(self) -> None:
        """Lets go of what it has."""
        ...


def add_observers(worker: PipelineWorker, observers: Iterable[BaseObserver]) -> None:
    """Lets observers watch a worker that does not run yet; those that can are told at once.

    Args:
        worker: The worker.
        observers: Pipecat's observers, call logs among them.
    """
    given = list(observers)
    distributor = observer_of(worker)
    if type(distributor) is WorkerObserver:
        distributor = _Distributor(worker.name, distributor)
        set_observer(worker, distributor)
    if isinstance(distributor, _Distributor):
        distributor.logs += [each for each in given if isinstance(each, AtOnce)]
        given = [each for each in given if not isinstance(each, AtOnce)]
    for observer in given:
        worker.add_observer(observer)


class _Distributor(WorkerObserver):
    """Pipecat's distributor of what is to be observed, with logs that stand before it."""

    def __init__(self, pipeline: str, others: WorkerObserver):
        super().__init__(observers=list(observers_of(others)))
        self._others = observers_of(self)
        self.logs: list[AtOnce] = []
        self._failures = Failures(lambda: pipeline)

    def __bool__(self) -> bool:
        """Whether anybody observes: a processor asks before it makes a record."""
        return bool(self.logs or self._others)

    def add_observer(self, observer: BaseObserver) -> None:
        super().add_observer(observer)
        tell_first(self, observer)

    async def on_push_frame(self, data: FramePushed) -> None:
        for log in self.logs:
            # Raised here, it would keep the frame from where it is going.
            try:
                log.observe(data)
            except Exception as error:
                self._failures.note(log, "observe", error)
        await super().on_push_frame(data)

    def _create_proxy(self, observer: BaseObserver) -> Proxy:
        queue = _BoundedQueue(observer)
        task = self.create_task(self._proxy_task_handler(queue, observer))
        return Proxy(queue=queue, task=task, observer=observer)

    async def _proxy_task_handler(self, queue: asyncio.Queue[Any], observer: BaseObserver) -> None:
        while True:
            # Whatever it is, but the order to stop, it is the observer's own.
            try:
                await super()._proxy_task_handler(queue, observer)
                return
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
            except BaseException as error:
                self._failures.note(observer, "on_push_frame", error)

    async def cleanup(self) -> None:
        await super().cleanup()
        for log in self.logs:
            await log.cleanup()


class _BoundedQueue(asyncio.Queue[Any]):
    """What waits for an observer; what comes when it is full is dropped, and said so once."""

    def __init__(self, observer: BaseObserver):
        super().__init__(MOST_WAITING)
        self._observer = observer
        self._is_overfull = False

    async def put(self, item: Any) -> None:
        try:
            self.put_nowait(item)
        except asyncio.QueueFull:
            if not self._is_overfull:
                logger.warning(
                    f"{self._observer} is too slow: {MOST_WAITING} things wait for it, and from "
                    "here on it is not told of all"
                )
            self._is_overfull = True
