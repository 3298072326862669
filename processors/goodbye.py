"""Whether the bot's last words were heard to their end, or the caller had something to say."""

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import BotStoppedSpeakingFrame, InterruptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker

__all__ = ["Goodbye"]


class Goodbye(BaseObserver):
    """Last words that are about to be spoken, with what is to happen when they were heard.

    Nothing happens if the caller interrupts them: then the conversation goes on.

    Args:
        worker: Runs the pipeline in which they are spoken.
        then: Awaited once they were heard.
        limit: Seconds after which it is in any case: a voice that fails is never heard to its end.
    """

    def __init__(
        self, worker: PipelineWorker, then: Callable[[], Awaitable[None]], *, limit: float = 20.0
    ):
        super().__init__()
        self._worker = worker
        self._then = then
        self._limit = limit
        self._is_interrupted = False
        self._is_over = asyncio.Event()
        worker.add_observer(self)
        self._waiting = asyncio.create_task(self._wait(), name="goodbye")

    async def on_push_frame(self, data: FramePushed) -> None:
        """Looks for the end of the bot's speech; Pipecat calls it."""
        if isinstance(data.frame, InterruptionFrame) and not self._is_over.is_set():
            self._is_interrupted = True
            self._is_over.set()
        elif isinstance(data.frame, BotStoppedSpeakingFrame):
            self._is_over.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await self._is_over.wait()
        except TimeoutError:
            pass
        finally:
            await self._worker.remove_observer(self)
        if not self._is_interrupted:
            await self._then()

    def forget(self) -> None:
        """Lets nothing happen any more."""
        self._waiting.cancel()
