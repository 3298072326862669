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

Callbacks are no tasks: a timer's, a future's, a reader's. The event loop runs each in the context
in which it was set, and lets ``SystemExit`` and ``KeyboardInterrupt`` out of itself; so where it
runs them is looked after, too.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from twilio_frames.stopping import FRAME_TASKS, SETUP_TASKS

__all__ = ["Compartment", "lost"]

Result = TypeVar("Result")

_compartment: ContextVar["Compartment | None"] = ContextVar("compartment", default=None)


class Compartment:
    """Where one bot runs; there may be others within.

    Args:
        on_breach: Called with the first thing that was raised and is no ``Exception``.
        on_lost: Called with each ``Exception`` that no code of the bot's caught, once it is sure.
            None: those are told to the compartment around, and asyncio logs them.
    """

    def __init__(
        self,
        on_breach: Callable[[BaseException], None],
        on_lost: Callable[[BaseException], None] | None = None,
    ):
        self.breach: BaseException | None = None
        """What was raised."""
        self._on_breach = on_breach
        self._on_lost = on_lost
        self._around: Compartment | None = None
        self._failed: list[asyncio.Task[Any]] = []

    def enter(self) -> None:
        """Has what comes of the code that runs belong here from now on."""
        self._around = _compartment.get()
        _compartment.set(self)
        _install(asyncio.get_running_loop())

    async def run(self, work: Awaitable[Result]) -> Result:
        """Runs the bot's code; whatever tasks it makes belong to this compartment.

        Raises:
            CancelledError: If it was cancelled, or raised what is no ``Exception``.
            Exception: What it raised.
        """
        self.enter()
        try:
            return await _contained(work, self)
        except asyncio.CancelledError as error:
            if not _was_ordered():
                self.breached(error)
            raise

    def breached(self, error: BaseException) -> None:
        """Takes note of what was raised."""
        if self.breach is None:
            self.breach = error
            self._on_breach(error)

    def lost(self, error: BaseException) -> None:
        """Tells of what nobody caught."""
        if self._on_lost is not None:
            self._on_lost(error)
        elif self._around is not None:
            self._around.lost(error)

    def failed(self, task: "asyncio.Task[Any]") -> None:
        """Takes note of a task that raised, which somebody may yet ask for its result."""
        if self._on_lost is None:
            if self._around is not None:
                self._around.failed(task)
        elif len(self._failed) < 100:
            self._failed.append(task)

    def settle(self) -> None:
        """Tells what tasks have raised that nobody has asked for their results."""
        failed, self._failed = self._failed, []
        for task in failed:
            if _is_unheard(task) and (error := task.exception()) is not None:
                self.lost(error)


def lost(error: BaseException) -> None:
    """Tells the compartment of the code that runs, if there is one, what nobody caught."""
    compartment = _compartment.get()
    if compartment is not None:
        compartment.lost(error)


async def _contained(inner: Awaitable[Result], compartment: Compartment) -> Result:
    """Ends as cancelled where the coroutine within raises what is no ``Exception``."""
    task = asyncio.current_task()
    try:
        return await inner
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, GeneratorExit) and _current_task() is not task:
            # Nobody runs it any more, and it is thrown away.
            raise
        raise _instead_of(error, compartment) from None


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _instead_of(error: BaseException, compartment: Compartment) -> BaseException:
    if isinstance(error, asyncio.CancelledError):
        if _mutes_a_processor():
            compartment.breached(error)
        return error
    if isinstance(error, KeyboardInterrupt) and _is_from_the_keyboard(error):
        return error
    compartment.breached(error)
    return asyncio.CancelledError()


def _was_ordered() -> bool:
    """Whether somebody has cancelled the task that runs."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _mutes_a_processor() -> bool:
    """Whether a processor's task ends, and nobody ordered it."""
    task = asyncio.current_task()
    if task is None or _was_ordered():
        return False
    name = task.get_name()
    return name.endswith(FRAME_TASKS) or SETUP_TASKS in name


def _is_from_the_keyboard(error: KeyboardInterrupt) -> bool:
    """Whether asyncio's own signal handler raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == "_on_sigint"


def _is_unheard(task: "asyncio.Task[Any]") -> bool:
    """Whether a task has raised, and nobody has asked for its result."""
    return bool(getattr(task, "_log_traceback", False))


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
        task.add_done_callback(partial(_task_ended, work, compartment))
        return task


def _task_ended(
    work: Coroutine[Any, Any, Any], compartment: Compartment, task: "asyncio.Task[Any]"
) -> None:
    # A task that is cancelled before its first step never gets to what is within.
    work.close()
    if _is_unheard(task):
        compartment.failed(task)


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


class _Callbacks:
    """Looks after an event loop's callbacks: what those of a bot raise stays in its compartment."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._tell = loop.call_exception_handler
        self._run_once: Callable[[], None] | None = getattr(loop, "_run_once", None)
        loop.call_exception_handler = self.tell
        if self._run_once is not None:
            setattr(loop, "_run_once", self.run_once)  # noqa: B010 - pyright knows no such method

    def tell(self, context: dict[str, Any]) -> None:
        """Told by the loop of what it catches, and of what nobody asked a task for."""
        error, compartment = context.get("exception"), _compartment_of(context.get("handle"))
        if compartment is not None and isinstance(error, Exception):
            compartment.lost(error)
        # A cancelled future's result, which its callback asks for, mutes nobody.
        elif compartment is not None and not isinstance(error, asyncio.CancelledError | None):
            compartment.breached(error)
        self._tell(context)

    def run_once(self) -> None:
        """Runs what is ready; what a bot's callback raises does not end the loop."""
        assert self._run_once is not None  # noqa: S101 - set where this is
        try:
            self._run_once()
        except (SystemExit, KeyboardInterrupt) as error:
            compartment = _compartment_of(_handle_behind(error))
            if compartment is None or (
                isinstance(error, KeyboardInterrupt) and _is_from_the_keyboard(error)
            ):
                raise
            compartment.breached(error)


def _handle_behind(error: BaseException) -> object:
    """What the loop ran when it was raised; None if it was nothing, but the loop itself."""
    run = getattr(asyncio.Handle, "_run").__code__  # noqa: B009 - pyright knows no such method
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is run:
            return frame.f_locals.get("self")
    return None


def _compartment_of(handle: object) -> Compartment | None:
    context = getattr(handle, "_context", None)
    return None if context is None else context.get(_compartment)


def _install(loop: asyncio.AbstractEventLoop) -> None:
    before = loop.get_task_factory()
    if not isinstance(before, _Factory):
        loop.set_task_factory(_Factory(before))
    if "call_exception_handler" not in vars(loop):
        _Callbacks(loop)
