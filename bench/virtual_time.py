"""Virtual time for benchmarks, in which a model takes what it takes on a core of its own.

Import it, and call ``take_over_time()``, before anything else that looks at the time.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time

__all__ = ["run", "take_over_time"]

MODEL_SECS = 0.1
"""What a Smart Turn prediction takes on a core of its own."""
_LONG_SECS = 0.02


class _LoopWithModels(VirtualEventLoop):
    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        return self.create_task(self._worked(executor, func, *args))

    async def _worked(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        def timed() -> tuple[Any, float]:
            began = time.thread_time()
            return func(*args), time.thread_time() - began

        found, took = await super().run_in_executor(executor, timed)
        if took > _LONG_SECS:
            await asyncio.sleep(MODEL_SECS)
        return found


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=_LoopWithModels) as runner:
        return runner.run(coroutine)
