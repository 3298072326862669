"""Keeps what a bot raises in its own call, what is no ``Exception`` too.

A task of asyncio that raises ``SystemExit`` or ``KeyboardInterrupt`` ends the event loop, and with
it every call of the process: one bot's ``sys.exit()``. And Pipecat catches ``Exception``: whatever
else a processor raises ends the task that its frames go through, and the bot is mute or deaf. Both
may happen in any task that came of a bot: a processor's, an event handler's, a function call's, one
that the bot made itself. What all of them have in common is the context in which they were made. So
each bot runs in a compartment, which the context names; the event loop's task factory looks there,
and wraps the coroutines of each task.

A cancellation that nobody ordered, an awaited task's say, ends a task of a processor just so, or
its setup, and the pipeline waits for it.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from twilio_frames.processors.stopping import FRAME_TASKS, SETUP_TASKS

__all__ = ["Compartment"]

Result = TypeVar("Result")

_compartment: ContextVar["Compartment | None"] = ContextVar("compartment", default=None)


class Compartment:
    """Where one bot runs.

    Args:
        on_breach: Called with the first thing that was raised and is no ``Exception``.
    """

    def __init__(self, on_breach: Callable[[BaseException], None]):
        self.breach: BaseException | None = None
        """What was raised."""
        self._on_breach = on_breach

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs the bot's code; whatever tasks it makes belong to this compartment.

        Raises:
            CancelledError: If it was cancelled, or raised what is no ``Exception``.
            Exception: What it raised.
        """
        _compartment.set(self)
        _install(asyncio.get_running_loop())
        return await _contained(work, self)

    def breached(self, error: BaseException) -> None:
        """Takes note of what was raised."""
        if self.breach is None:
            self.breach = error
            self._on_breach(error)


async def _contained(inner: Coroutine[Any, Any, Result], compartment: Compartment) -> Result:
    """Ends as cancelled where the coroutine within raises what is no ``Exception``."""
    try:
        return await inner
    except Exception:
        raise
    except BaseException as error:
        raise _instead_of(error, compartment) from None


def _instead_of(error: BaseException, compartment: Compartment) -> BaseException:
    if isinstance(error, asyncio.CancelledError):
        if _mutes_a_processor():
            compartment.breached(error)
        return error
    if isinstance(error, KeyboardInterrupt) and _is_from_the_keyboard(error):
        return error
    compartment.breached(error)
    return asyncio.CancelledError()


def _mutes_a_processor() -> bool:
    """Whether a processor's task ends, and nobody ordered it."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        return False
    name = task.get_name()
    return name.endswith(FRAME_TASKS) or SETUP_TASKS in name


def _is_from_the_keyboard(error: KeyboardInterrupt) -> bool:
    """Whether asyncio's own signal handler raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == "_on_sigint"


class _Factory:
    """Makes an event loop's tasks; those of a bot in its compartment."""

    def __init__(self, before: Callable[..., Any] | None):
        self._make = before or _make_task

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        context = options.get("context")
        compartment = _compartment.get() if context is None else context.get(_compartment)
        if compartment is None or not asyncio.iscoroutine(work):
            return self._make(loop, work, **options)
        wrapped = _contained(work, compartment)
        # What debuggers and asyncio's own descriptions of a task ask a coroutine for.
        wrapped.__qualname__ = getattr(work, "__qualname__", type(work).__qualname__)
        task = self._make(loop, wrapped, **options)
        # A task that is cancelled before its first step never gets to what is within.
        task.add_done_callback(lambda _: work.close())
        return task


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


def _install(loop: asyncio.AbstractEventLoop) -> None:
    before = loop.get_task_factory()
    if not isinstance(before, _Factory):
        loop.set_task_factory(_Factory(before))
