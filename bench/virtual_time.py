"""An event loop whose time jumps to the next thing to happen, so that a minute takes a second.

Import it, and call ``take_over_time()``, before anything else that looks at the time: ``time.time``
and ``time.monotonic`` then go by the loop, too. What runs in an executor is run at once; what took
long takes ``MODEL_SECS`` of the loop's time, however busy the machine is.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any

MODEL_SECS = 0.1
"""What a Smart Turn prediction takes on a core of its own."""
_LONG_SECS = 0.02
_cpu_time = time.process_time


class _Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def read(self) -> float:
        return self.now


_clock = _Clock()


def take_over_time() -> None:
    """Has the process's clocks go by the loop."""
    time.time = time.monotonic = _clock.read


class _JumpingSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            # Only another thread can wake the loop.
            return super().select(1.0)
        _clock.now += timeout
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__(_JumpingSelector())

    def time(self) -> float:
        return _clock.now

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        answer = self.create_future()
        began = _cpu_time()
        found = func(*args)
        if _cpu_time() - began > _LONG_SECS:
            self.call_later(MODEL_SECS, _answer, answer, found)
        else:
            answer.set_result(found)
        return answer


def _answer(future: "asyncio.Future[Any]", found: Any) -> None:
    if not future.done():
        future.set_result(found)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)
