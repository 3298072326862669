"""The event loop of a bot that is measured, which tells on SIGUSR1 how it has kept up.

A line of JSON for each signal: how many tasks there are, and how late the loop was since the signal
before. With ``BENCH_STEPS`` set also the longest that one callback, or one step of a task, took of
the processor; counting that costs time itself. It is uvloop where that is installed, for every bot,
unless ``BENCH_LOOP=asyncio``.
"""

import asyncio
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from stand_ins import note

_BEAT_SECS = 0.02


def has_uvloop() -> bool:
    """Whether the bots run on uvloop."""
    wanted = os.environ.get("BENCH_LOOP") != "asyncio" and "BENCH_STEPS" not in os.environ
    return wanted and importlib.util.find_spec("uvloop") is not None


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Runs a bot until it is killed."""
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if has_uvloop():
        make = importlib.import_module("uvloop").new_event_loop
    steps = _Steps()
    if "BENCH_STEPS" in os.environ:
        steps.count()
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(_told(serving, steps))


class _Steps:
    """The longest step of the loop, in processor time."""

    def __init__(self):
        self.longest = 0.0

    def count(self) -> None:
        """Counts from now on, on asyncio's own loop."""
        run: Any = getattr(asyncio.Handle, "_run")  # noqa: B009 - pyright knows no such method

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - began)

        setattr(asyncio.Handle, "_run", timed)  # noqa: B010


class _Beat:
    """How late a timer was, again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self.late: list[float] = []
        self._set()

    def _set(self) -> None:
        due = self._loop.time() + _BEAT_SECS
        self._loop.call_at(due, self._note, due)

    def _note(self, due: float) -> None:
        self.late.append(self._loop.time() - due)
        self._set()


async def _told(serving: Coroutine[Any, Any, None], steps: _Steps) -> None:
    loop = asyncio.get_running_loop()
    beat = _Beat(loop)

    def tell() -> None:
        late = sorted(beat.late) or [0.0]
        note(
            "loop",
            tasks=len(asyncio.all_tasks()),
            late_p99=late[min(len(late) - 1, len(late) * 99 // 100)],
            late_worst=late[-1],
            longest_step=steps.longest,
        )
        beat.late.clear()
        steps.longest = 0.0

    loop.add_signal_handler(signal.SIGUSR1, tell)
    await serving
