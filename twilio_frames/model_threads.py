"""Models of a process: loaded once, asked on few threads, never on the event loop."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from twilio_frames.errors import TwilioFramesError

__all__ = ["ModelThreads", "SharedModels", "ThreadsBusyError", "usual_threads"]

Result = TypeVar("Result")
Model = TypeVar("Model")


class ThreadsBusyError(TwilioFramesError):
    """As much work waits for a model's threads as may wait."""


def usual_threads() -> int:
    """How many threads a model works on: half of the machine is left to the calls."""
    return max(1, min(2, (os.cpu_count() or 1) // 2))


class ModelThreads:
    """The threads on which a model works for all calls of a process.

    Args:
        name: What the threads are called.
        threads: How many pieces of work are done at once.
        most_waiting: How many more may wait for a thread.
    """

    def __init__(self, name: str, *, threads: int | None = None, most_waiting: int = 64):
        threads = threads or usual_threads()
        self._most = threads + most_waiting
        self._places = threading.BoundedSemaphore(self._most)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result], *, time_limit: float | None = None) -> Result:
        """Does some work on a thread while the event loop goes on.

        Args:
            work: What is done.
            time_limit: Seconds that it may take, waiting for a thread included; None if whoever
                awaits it has a limit.

        Raises:
            ThreadsBusyError: If too much waits already.
            TimeoutError: If it is not done in time.
        """
        if not self._places.acquire(blocking=False):
            raise ThreadsBusyError(
                f"expected at most {self._most} pieces of work for a model at once, got one more: "
                "give it more threads or take fewer calls"
            )
        future = self._executor.submit(work)
        # A thread that hangs keeps its place, so that no more is asked of it than it can hold.
        future.add_done_callback(lambda _: self._places.release())
        async with asyncio.timeout(time_limit):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Lets the threads go once they are done; what waits is not done any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class SharedModels(Generic[Model]):
    """The models of one kind that a process has, each loaded when it is first asked for.

    Args:
        load: Loads the model of a name, in a thread that may wait.
    """

    _LONGEST_SECS = 600.0
    """A model may have to be fetched first."""

    def __init__(self, load: Callable[..., Model]):
        self._load = load
        self._models: dict[str, Model] = {}
        # One: of two calls that ask for a model at once, the second gets the first one's.
        self._threads = ModelThreads("model-loading", threads=1, most_waiting=1000)

    async def get(self, name: str, **options: Any) -> Model:
        """The model of a name, while the event loop goes on.

        Args:
            name: Which one.
            options: How to load it, if it is not loaded yet.

        Raises:
            TimeoutError: If it takes longer than ten minutes.
        """
        if name in self._models:
            return self._models[name]

        def loaded() -> Model:
            if name not in self._models:
                self._models[name] = self._load(name, **options)
            return self._models[name]

        return await self._threads.run(loaded, time_limit=self._LONGEST_SECS)
