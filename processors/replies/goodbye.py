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
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker

from twilio_frames.frames import MarkReachedFrame, SendMarkFrame, ServiceStopFrame

__all__ = ["Goodbye", "is_goodbye"]

_NAME = "goodbye "
_NUMBERS = itertools.count(1)


class Goodbye(BaseObserver):
    """Last words that are about to be spoken, with what is to happen when they were heard.

    They are those heard last, wherever the model put them: into the reply that says goodbye by a
    function call, into that call, or into a reply that follows. So a ``mark`` goes behind the call,
    and another one behind each reply that ends later; the newest counts. Nothing happens if the
    caller interrupts, be it earlier speech: then the conversation goes on.

    Args:
        worker: Runs the pipeline in which they are spoken.
        then: Awaited once they were heard.
        push: Pushes a frame from where replies come from.
        limit: Seconds without a sound from the bot after which it is in any case: a voice that
            fails is never heard to its end.
    """

    def __init__(
        self,
        worker: PipelineWorker,
        then: Callable[[], Awaitable[None]],
        *,
        push: Callable[[Frame], Awaitable[None]],
        limit: float = 20.0,
    ):
        # Told of each frame once: by the processor that made it.
        super().__init__(observe_every_push=False)
        self.mark = _mark()
        """The newest mark; belongs right behind the last words."""
        self._push = push
        self._is_replying = False
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
                if flushed:
                    # The bot was held, and may say on: behind the rest.
                    await self._set_anew()
                elif not self._is_replying:
                    self._end(is_interrupted=False)
            case LLMFullResponseStartFrame():
                self._is_replying = True
            case LLMFullResponseEndFrame():
                await self._follow_reply()
            case BotStartedSpeakingFrame() | BotSpeakingFrame() | BotStoppedSpeakingFrame():
                self._spoke_at = time.monotonic()
            case _:
                pass

    async def _follow_reply(self) -> None:
        """Sets the mark anew: the reply's last words may have been gathered until it ended."""
        self._is_replying = False
        await self._set_anew()

    async def _set_anew(self) -> None:
        if not self._is_over.is_set():
            self.mark = _mark()
            await self._push(self.mark)

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


def _mark() -> SendMarkFrame:
    return SendMarkFrame(mark=f"{_NAME}{next(_NUMBERS)}")


def is_goodbye(frame: SendMarkFrame) -> bool:
    """Whether a mark lies behind last words."""
    return frame.mark.startswith(_NAME)
