"""Starts workers as processes of their own, replaces those that die, and ends them in turn.

The processes share the listening sockets, which the one that starts them has opened: what waits to
be accepted is lost with none of them. Where the system allows it they are copies of one that has
imported everything (``forking.py``), so that one that dies is replaced at little cost just when the
others take up its calls. New code is taken up with a new one of these.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from twilio_frames.fleet.forking import ForkedProcess, ForkServer, is_possible

__all__ = [
    "PLACE",
    "WorkerProcesses",
    "inherited_sockets",
    "own_command",
    "tell_ready",
    "when_left_alone",
]

LISTEN_FDS = "TWILIO_FRAMES_LISTEN_FDS"
"""Names the sockets that a worker listens on."""
READY_FD = "TWILIO_FRAMES_READY_FD"
"""Names the pipe into which a worker says that it is up."""
ALIVE_FD = "TWILIO_FRAMES_ALIVE_FD"
"""Names the pipe that ends with the process which has started the workers."""
PLACE = "TWILIO_FRAMES_PLACE"
"""Names a worker by a small number, which no two have that live at one time."""
_NAME = "TWILIO_FRAMES_WORKER"
"""Names a worker, or the machine that has several."""
_ORDERS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


@dataclass(slots=True, eq=False)
class _Worker:
    slot: str
    process: asyncio.subprocess.Process | ForkedProcess
    began_at: float
    is_ending: bool = False
    ended: "asyncio.Task[int | None]" = field(init=False)

    def __post_init__(self) -> None:
        self.ended = asyncio.create_task(self.process.wait(), name=f"worker-{self.slot}")

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class WorkerProcesses:
    """See the top of the module.

    Args:
        command: What runs one worker, and calls :func:`copied_on_order` first.
        workers: How many.
        sockets: What they listen on.
        environment: Theirs, beside this process's own.
        announce: Told of what is worth an operator's attention.
        ready_secs: How long one may take to be up.
        stop_secs: How long one may take to end; then it is killed.
        on_gone: Told the place of each that has ended, before another one has it.
    """

    _YOUNG_SECS = 10.0
    """One that dies sooner is not started again at once."""
    _LONGEST_WAIT_SECS = 30.0
    _TAKEOVER_SECS = 1.0
    """For the others to go on with its calls: beside a process that begins they would be slow."""

    def __init__(
        self,
        command: Sequence[str],
        workers: int,
        *,
        sockets: Sequence[socket.socket],
        environment: Mapping[str, str],
        announce: Callable[[str], None],
        ready_secs: float = 60.0,
        stop_secs: float = 60.0,
        on_gone: Callable[[int], None] = lambda _: None,
    ):
        self._command = command
        self._slots = [f"w{number}" for number in range(1, workers + 1)]
        self._sockets = sockets
        self._environment = environment
        self._announce = announce
        self._ready_secs = ready_secs
        self._stop_secs = stop_secs
        self._on_gone = on_gone
        self._places: set[int] = set()
        self._workers: dict[str, _Worker] = {}
        self._ending: set[_Worker] = set()
        self._orders: asyncio.Queue[int] = asyncio.Queue(8)
        self._alive, self._alive_end = os.pipe()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._fork_servers = list[ForkServer]()
        """The last one is that of new workers; those before it end with their last worker."""
        self._replacing_fork_server = asyncio.Lock()

    async def run(self) -> int:
        """Keeps the workers up until an order to stop; gives the exit status.

        SIGTERM and SIGINT have all of them stop, SIGHUP one after the other be replaced.
        """
        loop = asyncio.get_running_loop()
        for number in _ORDERS:
            loop.add_signal_handler(number, self.order, number)
        try:
            if (status := await self._start_all()) != 0:
                return status
            self._announce(f"{len(self._slots)} workers are up (SIGHUP replaces them in turn)")
            await self._follow_orders()
            return 0
        finally:
            for number in _ORDERS:
                loop.remove_signal_handler(number)
            await self._end()

    @property
    def pids(self) -> dict[str, int]:
        """The workers' processes, by slot."""
        return {slot: worker.process.pid for slot, worker in self._workers.items()}

    def order(self, number: int) -> None:
        """Takes an order, as by a signal to this process."""
        with contextlib.suppress(asyncio.QueueFull):
            self._orders.put_nowait(number)

    async def _start_all(self) -> int:
        """Starts the first of each slot; one that cannot start is not tried again."""
        await self._fork_anew()
        started = await asyncio.gather(*(self._start(slot) for slot in self._slots))
        for worker in started:
            if worker.ended.done():
                return worker.ended.result() or 1
            self._keep(worker)
        return 0

    def _keep(self, worker: _Worker) -> None:
        """Has this one be its slot's, and replaced when it dies."""
        self._workers[worker.slot] = worker
        task = asyncio.create_task(self._replace_when_dead(worker), name="keep-worker")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, slot: str) -> _Worker:
        """Starts a worker, and waits until it is up, or is not."""
        ready, ready_end = os.pipe()
        place = self._take_place()
        own = {
            PLACE: str(place),
            _NAME: f"{os.environ[_NAME]}-{slot}" if os.environ.get(_NAME) else slot,
        }
        try:
            process = await self._begin(own, ready_end)
        finally:
            os.close(ready_end)
        worker = _Worker(slot, process, asyncio.get_running_loop().time())
        worker.ended.add_done_callback(lambda _: self._leave_place(place))
        try:
            await self._until_ready(worker, ready)
        finally:
            os.close(ready)
        return worker

    async def _begin(
        self, own: Mapping[str, str], ready: int
    ) -> asyncio.subprocess.Process | ForkedProcess:
        if not is_possible():
            return await asyncio.create_subprocess_exec(
                *self._command,
                pass_fds=[*self._passed, ready],
                env={**self._shared_environment(), **own, READY_FD: str(ready)},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        async with self._replacing_fork_server:
            if self._fork_servers[-1].is_gone:
                self._announce("the process that workers are copies of is gone, and is replaced")
                await self._fork_anew()
        return self._fork_servers[-1].fork(own, {READY_FD: ready})

    async def _fork_anew(self) -> None:
        """Has those workers that begin from now on be copies of a new process, with new code."""
        if is_possible():
            new = await ForkServer.start(
                self._command, environment=self._shared_environment(), passed=self._passed
            )
            self._fork_servers = [one for one in self._fork_servers if not one.is_gone] + [new]

    @property
    def _passed(self) -> list[int]:
        return [*(each.fileno() for each in self._sockets), self._alive]

    def _shared_environment(self) -> dict[str, str]:
        """That of all workers, those names left out that each has of its own."""
        return {
            **os.environ,
            **self._environment,
            LISTEN_FDS: ",".join(str(each.fileno()) for each in self._sockets),
            ALIVE_FD: str(self._alive),
        }

    def _take_place(self) -> int:
        place = min(set(range(len(self._places) + 1)) - self._places)
        self._places.add(place)
        return place

    def _leave_place(self, place: int) -> None:
        self._on_gone(place)
        self._places.discard(place)

    async def _until_ready(self, worker: _Worker, ready: int) -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_reader(ready, told.set)
        waiting = asyncio.create_task(told.wait())
        try:
            await asyncio.wait(
                {waiting, worker.ended},
                timeout=self._ready_secs,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not told.is_set() and not worker.ended.done():
                self._announce(f"worker {worker.slot} was not up in time, and is killed")
                worker.send(signal.SIGKILL)
            if not told.is_set() or not os.read(ready, 1):
                await worker.ended
        finally:
            waiting.cancel()
            loop.remove_reader(ready)

    async def _replace_when_dead(self, worker: _Worker) -> None:
        wait = 0.0
        while True:
            status = await worker.ended
            if worker.is_ending or self._is_stopping:
                return
            lived = asyncio.get_running_loop().time() - worker.began_at
            is_young = lived <= self._YOUNG_SECS
            wait = min(2 * wait + 1, self._LONGEST_WAIT_SECS) if is_young else self._TAKEOVER_SECS
            self._announce(f"worker {worker.slot} is gone ({_why(status)}), and is replaced")
            await asyncio.sleep(wait)
            if worker.is_ending or self._is_stopping:
                # It was about to be replaced in its turn, and has been meanwhile.
                return
            worker = self._workers[worker.slot] = await self._start(worker.slot)

    async def _follow_orders(self) -> None:
        replacing: asyncio.Task[None] | None = None
        while True:
            order = await self._orders.get()
            if order == signal.SIGHUP:
                if replacing is None or replacing.done():
                    replacing = asyncio.create_task(self._replace_all(), name="replace-workers")
                continue
            if replacing is not None:
                replacing.cancel()
            self._is_stopping = True
            await self._stop_all(order)
            return

    async def _replace_all(self) -> None:
        """Replaces each worker by a new one, which is up before the old one ends."""
        await self._fork_anew()
        for slot in self._slots:
            new = await self._start(slot)
            if new.ended.done():
                self._announce(f"the new worker {slot} does not start: the old ones stay")
                # As does the code of those that are still to begin.
                self._fork_servers[:] = self._fork_servers[-1:] + self._fork_servers[:-1]
                break
            old = self._workers[slot]
            old.is_ending = True
            self._ending.add(old)
            self._keep(new)
            old.send(signal.SIGTERM)
            await self._ended_in_time([old])
            self._ending.discard(old)
        else:
            self._announce("all workers are replaced")
        for left in self._fork_servers[:-1]:
            left.close()

    async def _stop_all(self, order: int) -> None:
        workers = [*self._workers.values(), *self._ending]
        for worker in workers:
            worker.send(order)
        ended = asyncio.create_task(self._ended_in_time(workers))
        while not ended.done():
            again = asyncio.create_task(self._orders.get())
            await asyncio.wait({ended, again}, return_when=asyncio.FIRST_COMPLETED)
            if again.done():
                for worker in workers:
                    worker.send(again.result())
            again.cancel()

    async def _ended_in_time(self, workers: Sequence[_Worker]) -> None:
        left = {worker.ended for worker in workers}
        _, late = await asyncio.wait(left, timeout=self._stop_secs)
        for worker in workers:
            if worker.ended in late:
                self._announce(f"worker {worker.slot} did not end in time, and is killed")
                worker.send(signal.SIGKILL)
        if late:
            await asyncio.wait(late)

    async def _end(self) -> None:
        self._is_stopping = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        # Whoever is left notices that this end of the pipe is gone, and ends as well.
        os.close(self._alive_end)
        os.close(self._alive)
        left = [one for one in (*self._workers.values(), *self._ending) if not one.ended.done()]
        for worker in left:
            worker.send(signal.SIGTERM)
        if left:
            await self._ended_in_time(left)
        await asyncio.gather(*(each.closed() for each in self._fork_servers))
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)


def _why(status: int | None) -> str:
    if status is None:
        return "nobody knows why"
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def tell_ready() -> None:
    """Says that this worker is up, to whoever has started it."""
    if text := os.environ.pop(READY_FD, ""):
        os.write(int(text), b"+")
        os.close(int(text))


def when_left_alone(act: Callable[[], None]) -> None:
    """Does something when the process that has started this worker is gone."""
    text = os.environ.pop(ALIVE_FD, "")
    if not text:
        return
    loop, end = asyncio.get_running_loop(), int(text)

    def gone() -> None:
        loop.remove_reader(end)
        os.close(end)
        act()

    loop.add_reader(end, gone)


def inherited_sockets() -> list[socket.socket]:
    """The sockets that this worker is to listen on; empty if it is to open its own."""
    text = os.environ.pop(LISTEN_FDS, "")
    return [socket.socket(fileno=int(number)) for number in text.split(",") if number]


def own_command() -> list[str]:
    """What runs this package's command line."""
    return [sys.executable, "-m", "twilio_frames.cli"]
