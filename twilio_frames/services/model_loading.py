"""A service's model on this machine, which is loaded beside the call that needs it."""

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import ConfigurationError

__all__ = ["ModelLoading"]


class ModelLoading:
    """Loads a model while its service's call begins; what it lacks is an error of the pipeline.

    Args:
        service: Whose model it is.
        load: Loads it, if it is not loaded, and sees that it will do.
    """

    def __init__(self, service: FrameProcessor, load: Callable[[], Awaitable[object]]):
        self._service = service
        self._load = load
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; nobody waits for it."""
        self._task = self._service.create_task(self._run(), name="load")

    async def stop(self) -> None:
        """Waits for it no longer."""
        task, self._task = self._task, None
        if task is not None:
            await self._service.cancel_task(task)

    async def report(self, error: Exception) -> None:
        """Says that what was configured cannot work."""
        await self._service.push_error(
            str(error), exception=error, category=ErrorCategory.APPLICATION
        )

    async def _run(self) -> None:
        try:
            await self._load()
        except (ConfigurationError, TimeoutError) as error:
            await self.report(error)
