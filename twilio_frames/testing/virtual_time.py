"""An event loop whose time jumps to the next thing to happen: a call lasts as long as its CPU time.

Theory of operation
-------------------
While a virtual loop runs, its time stands still; when nothing is left to do, it jumps to the next
timer. So a call of a minute takes a second, and takes the same course on a busy machine. From the
first virtual loop on, ``time.time()``, ``time.monotonic()`` and ``time.perf_counter()`` go by the
loop that runs, and ``time.sleep()`` on its thread moves its time, as a stall does.

Work in executors takes no time: the loop does not jump while they have some, unless all of their
threads wait, for ``time.sleep()``, a lock or the loop itself. Sockets deliver within the process
before the loop jumps. Other processes have a time of their own: what talks to them needs real time.

Timers that are due at one moment run in the order in which they were set.
"""

# What asyncio's loops and handles keep to themselves: nothing public makes a faster one of them.
# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false

import asyncio
import heapq
import itertools
import os
import selectors
import threading
import time
from asyncio import new_event_loop
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.thread import _threads_queues as _workers
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

__all__ = ["VirtualEventLoop", "new_event_loop", "take_over_time", "watch_threads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """How time goes on, in seconds.

    Parameters:
        a_round: What a round of the loop takes.
        a_reading: What reading the time takes: whoever waits in a busy loop sees time go on.
        busy_rounds: So many rounds in a row sockets are not asked while there is more to do: most
            of what a call does takes several rounds, and each question is a system call.
        look: How often threads are looked at while the loop waits for them, in real time.
        blocked_looks: Threads that sleep at so many looks in a row wait for what only the loop can
            bring.
        long_jump: Beyond this, time waits for a moment, should anything still come.
    """

    a_round: float = 1e-6
    a_reading: float = 1e-7
    busy_rounds: int = 16
    look: float = 0.005
    blocked_looks: int = 10
    long_jump: float = 0.1


_STEPS = _Steps()
_A_READING = _STEPS.a_reading
_TASKS = "/proc/self/task"
"""Read without pathlib, which takes longer than the reading."""

_Callback = tuple[Callable[..., object], tuple[Any, ...]]

_real_monotonic = time.monotonic
_real_sleep = time.sleep
_real_submit = ThreadPoolExecutor.submit
_WALL_BEHIND_MONOTONIC = time.time() - time.monotonic()


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """Runs in time of its own; see the top of the module.

    Attributes:
        watches_threads: Whether time waits for all threads of the process, not only for executors':
            for libraries that have threads of their own, such as gRPC. It costs half a millisecond
            a jump.
    """

    watches_threads = False

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own signature
        """Waits for the threads to end, however long: they end in real time, a limit in virtual."""
        await super().shutdown_default_executor()

    def __init__(self) -> None:
        take_over_time()
        self._now = _clock.monotonic()
        self._numbers = itertools.count()
        self._busy_rounds = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds of the loop's own time, on the scale of ``time.monotonic()``."""
        self._now += _A_READING
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves time, as a stall of the loop does."""
        self._now += seconds

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Runs a callback in the next round."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = _Handle(self, (callback, args), context)
        self._ready.append(handle)
        return handle

    def run_forever(self) -> None:
        """Runs until it is stopped; the process's clocks go by this loop meanwhile."""
        with _clock.going_by(self):
            super().run_forever()

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Sets a timer."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Sets a timer; those of one moment run in the order in which they were set."""
        if self._closed:
            self._check_closed()
        timer = _Timer(when, self, (callback, args), context)
        heapq.heappush(self._scheduled, (when, next(self._numbers), timer))
        return timer

    def _run_once(self) -> None:
        """Runs what is ready; asyncio's own asks the sockets each time."""
        if self._ready and self._busy_rounds < _STEPS.busy_rounds:
            self._busy_rounds += 1
            self._now += _STEPS.a_round
        else:
            self._busy_rounds = 0
            self._drop_cancelled()
            self._process_events(self._selector.select(self._pause()))
        end = self._now + self._clock_resolution
        while self._scheduled and self._scheduled[0][0] < end:
            timer = heapq.heappop(self._scheduled)[2]
            timer._scheduled = False
            self._ready.append(timer)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _pause(self) -> float | None:
        if self._ready or self._stopping:
            return 0.0
        return max(0.0, self._scheduled[0][0] - self._now) if self._scheduled else None

    def _drop_cancelled(self) -> None:
        """Forgets cancelled timers: the next ones, and all where there are many."""
        timers = self._scheduled
        if self._timer_cancelled_count > max(100, len(timers) / 2):
            self._timer_cancelled_count = 0
            timers[:] = [entry for entry in timers if not entry[2]._cancelled]
            heapq.heapify(timers)
        while timers and timers[0][2]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(timers)[2]._scheduled = False


def watch_threads() -> None:
    """Has the running loop, if it is a virtual one, wait for all threads of the process."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualEventLoop):
        loop.watches_threads = True


class _Handle(asyncio.Handle):
    __slots__ = ()

    def __init__(self, loop: VirtualEventLoop, work: _Callback, context: Context | None):
        _fill(self, loop, work, context)


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def __init__(
        self, when: float, loop: VirtualEventLoop, work: _Callback, context: Context | None
    ):
        _fill(self, loop, work, context)
        self._when, self._scheduled = when, True

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._loop._timer_handle_cancelled(self)
            self._callback = self._args = None


def _fill(
    handle: asyncio.Handle, loop: VirtualEventLoop, work: _Callback, context: Context | None
) -> None:
    """Does what asyncio does, without asking the loop whether it is debugged."""
    handle._loop, handle._context = loop, copy_context() if context is None else context
    handle._callback, handle._args = work
    handle._cancelled = False
    handle._repr = handle._source_traceback = None


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualEventLoop):
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(_STEPS.a_round)
        if timeout is not None and timeout <= 0:
            return super().select(0)
        jump = timeout or 0.0
        # Asked first: what is done before the look has told the loop.
        may_come = self._may_come(jump)
        ready = super().select(0)
        if not ready and may_come:
            ready = self._when_all_is_done(jump)
        if not ready and timeout is None:
            return super().select(None)
        if not ready:
            self._loop.advance(jump)
        return ready

    def _may_come(self, jump: float) -> bool:
        """Whether anything may come yet that is not here at once."""
        return _work.is_under_way or self._loop.watches_threads or jump > _STEPS.long_jump

    def _when_all_is_done(self, jump: float) -> list[Any]:
        # What an executor does is mostly over before the first look at its threads.
        if _work.is_under_way and (ready := super().select(_STEPS.look)):
            return ready
        quiet = 0
        while quiet < self._looks(jump):
            quiet = quiet + 1 if self._is_quiet() else 0
            if quiet < self._looks(jump) and (ready := super().select(_STEPS.look)):
                return ready
        _work.note_blocked()
        return super().select(0)

    def _looks(self, jump: float) -> int:
        """How often in a row all must be seen quiet before time may jump so far.

        A kernel with much to do delivers late, and the farther the jump, the more it would cost.
        """
        if _work.is_under_way:
            return 2 if _work.is_as_it_was else _STEPS.blocked_looks
        if self._loop.watches_threads:
            return 1 + min(int(10 * jump), _STEPS.blocked_looks)
        return 2 if jump > _STEPS.long_jump else 0

    def _is_quiet(self) -> bool:
        is_watched = _work.is_under_way or self._loop.watches_threads
        return not is_watched or _work.is_blocked()


class _Work:
    """What the executors of this process have to do."""

    def __init__(self) -> None:
        self._under_way = set[Future[Any]]()
        self._asleep = 0
        self._threads = dict[str, int]()
        self._blocked: frozenset[Future[Any]] = frozenset()

    @property
    def is_under_way(self) -> bool:
        return len(self._under_way) > self._asleep

    @property
    def is_as_it_was(self) -> bool:
        """Whether the same work as now has been seen to wait, look after look."""
        return self._blocked == self._under_way

    def note_blocked(self) -> None:
        """Notes that what is under way waits."""
        if not self.is_as_it_was:
            self._blocked = frozenset(self._under_way)

    def sleep(self, loop: VirtualEventLoop, seconds: float) -> None:
        """Sleeps in the loop's time, on another thread."""
        over = threading.Event()
        is_worker = int(threading.current_thread() in _workers)

        def wake() -> None:
            self._asleep -= is_worker
            over.set()

        def begin() -> None:
            self._asleep += is_worker
            loop.call_later(seconds, wake)

        loop.call_soon_threadsafe(begin)
        over.wait()

    def note(self, future: "Future[Any]") -> None:
        """Counts work until all that waits for it has been told."""
        self._under_way.add(future)
        future.add_done_callback(self._is_done)
        if future.done():
            self._under_way.discard(future)

    def _is_done(self, future: "Future[Any]") -> None:
        # A future's callbacks run in turn: this one comes behind those that tell the loop.
        callbacks: list[Any] = future._done_callbacks
        callbacks.append(self._under_way.discard)

    def is_blocked(self) -> bool:
        """Whether all threads but the loop's sleep; elsewhere than on Linux they are taken to."""
        own = str(threading.get_native_id())
        with suppress(FileNotFoundError):
            return all(self._sleeps(task) for task in os.listdir(_TASKS) if task != own)  # noqa: PTH208
        return True

    def _sleeps(self, thread: str) -> bool:
        # Opening a status takes four times as long as reading it again.
        status = self._threads.get(thread)
        try:
            if status is None:
                status = self._threads[thread] = os.open(f"{_TASKS}/{thread}/stat", os.O_RDONLY)
            # The number, name (15 bytes at most) and state of a thread.
            return os.pread(status, 64, 0).rpartition(b") ")[2].startswith(b"S")
        except OSError:
            if status is not None:
                os.close(self._threads.pop(thread))
            return True  # it is over


class _Clock:
    """The process's clocks: the running loop's time, else real time and what it gained."""

    def __init__(self) -> None:
        self._loop: VirtualEventLoop | None = None
        self._thread = 0
        self._gained = 0.0

    @contextmanager
    def going_by(self, loop: VirtualEventLoop) -> Iterator[None]:
        loop.advance(max(self.monotonic() - loop.time(), 0.0))
        before = self._loop, self._thread
        self._loop, self._thread = loop, threading.get_ident()
        try:
            yield
        finally:
            self._loop, self._thread = before
            self._gained = loop.time() - _real_monotonic()

    def monotonic(self) -> float:
        loop = self._loop
        if loop is None or (
            threading.get_ident() != self._thread and self._is_in_another_loop(loop)
        ):
            return _real_monotonic() + self._gained
        return loop.time()

    def _is_in_another_loop(self, loop: VirtualEventLoop) -> bool:
        """A loop in another thread has real time.

        Asking asyncio is a system call on Python 3.11, and clocks are read often: on the loop's own
        thread nobody asks.
        """
        return asyncio._get_running_loop() not in (None, loop)

    def monotonic_ns(self) -> int:
        return round(1e9 * self.monotonic())

    def wall_ns(self) -> int:
        return round(1e9 * self.wall())

    def wall(self) -> float:
        return _WALL_BEHIND_MONOTONIC + self.monotonic()

    def sleep(self, seconds: float) -> None:
        loop = self._loop
        running = asyncio._get_running_loop()
        if loop is None or running not in (None, loop):
            _real_sleep(seconds)
        elif running is loop:
            loop.advance(seconds)
        else:
            _work.sleep(loop, seconds)


_clock = _Clock()
_work = _Work()


def _submit(
    self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> "Future[Any]":
    future = _real_submit(self, fn, *args, **kwargs)
    _work.note(future)
    return future


def take_over_time() -> None:
    """Has the process's clocks, sleep and executors go by virtual loops, while one runs.

    The first virtual loop does so; do it before other modules are imported that keep ``time.time``
    itself, as the default of a field, say.
    """
    time.monotonic = time.perf_counter = _clock.monotonic
    time.monotonic_ns = time.perf_counter_ns = _clock.monotonic_ns
    time.time, time.time_ns = _clock.wall, _clock.wall_ns
    time.sleep = _clock.sleep
    ThreadPoolExecutor.submit = _submit
