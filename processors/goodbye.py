"""Whether the bot's last words were heard to their end, or the caller had something to say."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    BotSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InterruptionFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker

from twilio_frames.frames import MarkReachedFrame, SendMarkFrame, ServiceStopFrame

__all__ = ["Goodbye"]

_NUMBERS = itertools.count(1)


class Goodbye(BaseObserver):
    """Last words that are about to be spoken, with what is to happen when they were heard.

    Whoever has them spoken pushes ``mark`` behind them: speech that was under way before does not
    count. Nothing happens if the caller interrupts, be it that speech: then the conversation goes
    on.

    Args:
        worker: Runs the pipeline in which they are spoken.
        then: Awaited once they were heard.
        limit: Seconds without a sound from the bot after which it is in any case: a voice that
            fails is never heard to its end.
    """

    def __init__(
        self, worker: PipelineWorker, then: Callable[[], Awaitable[None]], *, limit: float = 20.0
    ):
        super().__init__()
        self.mark = SendMarkFrame(mark=f"goodbye {next(_NUMBERS)}")
        """Belongs right behind the last words."""
        self._worker = worker
        self._then = then
        self._limit = limit
        self._spoke_at = time.monotonic()
        self._is_interrupted = False
        self._is_over = asyncio.Event()
        worker.add_observer(self)
        self._waiting = asyncio.create_task(self._wait(), name="goodbye")

    async def on_push_frame(self, data: FramePushed) -> None:
        """Looks for the mark, or an interruption; Pipecat calls it."""
        match data.frame:
            case ServiceStopFrame():
                pass
            case InterruptionFrame():
                self._end(is_interrupted=True)
            case MarkReachedFrame(mark=mark, flushed=flushed) if mark == self.mark.mark:
                self._end(is_interrupted=flushed)
            case BotStartedSpeakingFrame() | BotSpeakingFrame() | BotStoppedSpeakingFrame():
                self._spoke_at = time.monotonic()
            case _:
                pass

    def _end(self, *, is_interrupted: bool) -> None:
        if not self._is_over.is_set():
            self._is_interrupted = is_interrupted
            self._is_over.set()

    async def _wait(self) -> None:
        while not self._is_over.is_set():
            if (left := self._spoke_at + self._limit - time.monotonic()) <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._is_over.wait()
        await self._worker.remove_observer(self)
        if not self._is_interrupted:
            await self._then()

    async def forget(self) -> None:
        """Lets nothing happen any more."""
        self._waiting.cancel()
        await self._worker.remove_observer(self)
