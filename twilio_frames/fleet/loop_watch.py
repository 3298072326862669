"""Finds what blocks the event loop, and where it stood."""

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Self

__all__ = ["LoopBlock", "LoopWatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopBlock:
    """A time in which the event loop ran nothing else.

    Parameters:
        at: When it began, seconds of ``time.monotonic()``.
        seconds: How long it was.
        cpu_secs: How much of it the loop's thread was computing. Much less than ``seconds``: it
            waited for something, or a busy machine let others run.
        collecting_secs: How much of it Python was collecting garbage, in whatever thread;
            nothing else runs meanwhile, the search for the stack included.
        stack: Where it stood when it had lasted for the limit, as in a traceback, innermost last;
            empty if it was over before that could be seen.
    """

    at: float
    seconds: float
    cpu_secs: float
    collecting_secs: float
    stack: str

    def __str__(self) -> str:
        cpu, collecting = self.cpu_secs * 1000, self.collecting_secs * 1000
        of_it = f"{cpu:.0f} ms of CPU, {collecting:.0f} ms of garbage collection"
        return f"{self.seconds * 1000:.0f} ms ({of_it})\n{self.stack}"


class LoopWatch:
    """Watches the running event loop while it is entered.

    An asynchronous context manager. One call blocks all others for as long as it blocks the loop:
    20 ms are a whole message of audio. A second thread looks where the loop stands, so a block
    inside a library is named by its lines as well::

        async with LoopWatch() as watch:
            await phone.ring(bot, ["Hello."])
        assert not watch.blocks, watch.worst

    Args:
        limit: Seconds from which on a block counts.
        beat_secs: How often is looked; a block may be longer by this than it is found to be.
        tell: Is given each block, on the loop; None to keep them in :attr:`blocks`.
    """

    def __init__(
        self,
        *,
        limit: float = 0.02,
        beat_secs: float = 0.005,
        tell: Callable[[LoopBlock], None] | None = None,
    ):
        self.blocks: list[LoopBlock] = []
        """The blocks that were found, in order; none where they are told."""
        self._limit = limit
        self._beat_secs = beat_secs
        self._tell = tell or self.blocks.append
        self._beat = (0.0, 0.0)
        self._seen: tuple[float, str] = (0.0, "")
        self._collecting_since: float | None = None
        self._collected_for = 0.0
        self._over = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    @property
    def worst(self) -> LoopBlock | None:
        """The longest block; None if there was none."""
        return max(self.blocks, key=lambda block: block.seconds, default=None)

    async def __aenter__(self) -> Self:
        """Begins to watch the loop that runs."""
        self._over.clear()
        gc.callbacks.append(self._collection)
        self._beat = (time.monotonic(), time.thread_time())
        self._schedule()
        self._thread = threading.Thread(
            target=self._look, args=(threading.get_ident(),), name="loop watch", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._note()
        gc.callbacks.remove(self._collection)
        self._over.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._beat_secs, self._tick)

    def _tick(self) -> None:
        self._note()
        self._schedule()

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.monotonic()
        elif self._collecting_since is not None:
            self._collected_for += time.monotonic() - self._collecting_since
            self._collecting_since = None

    def _note(self) -> None:
        (began, cpu_began), self._beat = self._beat, (time.monotonic(), time.thread_time())
        collecting, self._collected_for = self._collected_for, 0.0
        seconds = self._beat[0] - began - self._beat_secs
        if seconds < self._limit:
            return
        seen_at, stack = self._seen
        self._tell(
            LoopBlock(
                at=began,
                seconds=seconds,
                cpu_secs=self._beat[1] - cpu_began,
                collecting_secs=collecting,
                stack=stack if seen_at == began else "",
            )
        )

    def _look(self, loop_thread: int) -> None:
        while not self._over.wait(self._beat_secs):
            began, _ = self._beat
            late = time.monotonic() - began - self._beat_secs
            if late >= self._limit and self._seen[0] != began:
                frame = sys._current_frames().get(loop_thread)  # pyright: ignore[reportPrivateUsage]
                self._seen = (began, _stack_of(frame))


def _stack_of(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    return "".join(traceback.format_list(traceback.extract_stack(frame)[-25:]))
