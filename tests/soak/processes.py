"""Processes within one process: each can be killed, or halted, in the middle of anything.

What a process does is found by its context, which its tasks and timers inherit. Once it is killed,
none of its callbacks runs any more: nothing is cleaned up, as by SIGKILL. While it is halted they
wait, as by SIGSTOP.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from twilio_frames.testing.virtual_time import VirtualEventLoop

__all__ = ["Process", "SoakLoop", "run_soak"]

_ROUND_SECS = 1e-6
_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """What is killed as one.

    Args:
        name: For those who look for what went wrong.
    """

    def __init__(self, name: str):
        self.name = name
        self.is_killed = False
        self.is_halted = False
        self._left: list[_Due] = []
        # Nobody else need hold the tasks of one that is dead.
        self._tasks: set[asyncio.Task[Any]] = set()
        self.context = copy_context()
        self.context.run(_process.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Has it do something."""
        return asyncio.get_running_loop().create_task(work, context=self.context)

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Holds a task of its own."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run(self, due: "_Due") -> None:
        """Runs what is due, if it can."""
        if self.is_killed or self.is_halted:
            self._left.append(due)
        else:
            due.callback(*due.args)

    def go_on(self) -> None:
        """Catches up on what was due meanwhile; of one that was killed, to be rid of it."""
        self.is_killed = self.is_halted = False
        left, self._left = self._left, []
        for due in left:
            asyncio.get_running_loop().call_soon(_catch_up, due, context=due.context)


@dataclass(slots=True, eq=False)
class _Due:
    callback: Callable[..., object]
    args: tuple[Any, ...]
    context: Context
    handle: asyncio.Handle | None = None


def _catch_up(due: _Due) -> None:
    # What ran ahead of it may have cancelled it.
    if due.handle is not None and not due.handle.cancelled():
        due.callback(*due.args)


class SoakLoop(VirtualEventLoop):
    """An event loop in virtual time whose callbacks belong to processes.

    Args:
        has_threads: Whether anything is done on threads; there are no sockets in any case.
    """

    def __init__(self, *, has_threads: bool) -> None:
        super().__init__()
        if not has_threads:
            self._selector.select = self._jump  # type: ignore[reportAttributeAccessIssue]
        self.processes: list[Process] = []
        self.set_task_factory(_kept_task)  # type: ignore[reportArgumentType]

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Runs a callback in the next round, if its process is able to."""
        context = copy_context() if context is None else context
        process = context.get(_process)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        due = _Due(callback, args, context)
        due.handle = super().call_soon(process.run, due, context=context)
        return due.handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Sets a timer, likewise."""
        context = copy_context() if context is None else context
        process = context.get(_process)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        due = _Due(callback, args, context)
        due.handle = timer = super().call_at(when, process.run, due, context=context)
        return timer

    def _jump(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("expected something that is due, got nothing")
        self.advance(_ROUND_SECS + timeout)
        return []

    def new_process(self, name: str) -> Process:
        """Begins one."""
        self.processes.append(process := Process(name))
        return process


def _kept_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any],
    context: Context | None = None,
    **more: Any,
) -> "asyncio.Task[Any]":
    task = asyncio.Task(work, loop=loop, context=context, **more)
    process = context.get(_process) if context is not None else _process.get()
    if process is not None:
        process.keep(task)
    return task


def run_soak(
    work: Callable[[SoakLoop], Coroutine[Any, Any, Any]], *, has_threads: bool = False
) -> Any:
    """Runs something in such a loop, and has all that is left end then."""
    made = partial(SoakLoop, has_threads=has_threads)
    with asyncio.Runner(loop_factory=made) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SoakLoop)
        try:
            return runner.run(work(loop))
        finally:
            # The dead clean up at last, where nobody looks.
            loop.set_exception_handler(lambda *_: None)
            for process in loop.processes:
                loop.call_soon(process.go_on)
