"""Starts processes as copies of one that has imported everything, which takes a new one seconds.

The process that is copied (:func:`copied_on_order`) does nothing else: it has no thread, no event
loop, no connection and no model, of which a copy would be of no use. It imports what its copies
need, and waits for orders; each copy goes on from there, with the environment that it was ordered
with. What the copies have in common lies in memory once, for as long as nobody changes it.

Whoever orders (:class:`ForkServer`) gets a handle of each copy from the system (a *pidfd*), so a
signal never goes to another process, and a copy's end is noticed when the copied one is gone as
well. What it ended with is known to the copied process alone, whose child it is.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

__all__ = ["ForkServer", "ForkedProcess", "copied_on_order", "is_possible"]

_ORDERS_FD = "TWILIO_FRAMES_ORDERS_FD"
"""Names the socket on which a process is told to copy itself."""
_LARGEST = 1 << 16
"""Bytes of an order: a few names and what they stand for."""
_CLOSING_SECS = 5.0
"""What a process without copies may take to end."""


def is_possible() -> bool:
    """Whether processes can be started so: on a Linux from 5.3 on."""
    # On macOS the system's own libraries do not bear to be copied.
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class ForkServer:
    """A process that copies itself on order."""

    def __init__(self, process: asyncio.subprocess.Process, orders: socket.socket):
        self._process = process
        self._orders = orders
        self._ordered: deque[ForkedProcess] = deque()
        self._up: dict[int, ForkedProcess] = {}
        asyncio.get_running_loop().add_reader(orders, self._hear)
        self._gone = asyncio.create_task(self._until_gone(), name="fork-server")

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str], passed: Sequence[int]
    ) -> Self:
        """Starts it; it may be given orders at once.

        Args:
            command: What runs it; it calls :func:`copied_on_order`.
            environment: All of its own.
            passed: Descriptors that it has, and its copies, by the same numbers.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=[*passed, theirs.fileno()],
                env={**environment, _ORDERS_FD: str(theirs.fileno())},
                stdin=asyncio.subprocess.DEVNULL,
                # Ctrl-C is for whoever has started all of them, and tells them.
                start_new_session=True,
            )
        return cls(process, ours)

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self._gone.done()

    def fork(self, environment: Mapping[str, str], passed: Mapping[str, int]) -> "ForkedProcess":
        """Orders a copy.

        Args:
            environment: What is its own in it.
            passed: Descriptors that it gets, by the names by which its environment has them.
        """
        process = ForkedProcess(self._process)
        order = json.dumps({"environment": dict(environment), "passed": list(passed)})
        self._ordered.append(process)
        # What it is told no more, it does no more: it ends with the process.
        with contextlib.suppress(OSError):
            socket.send_fds(self._orders, [order.encode()], list(passed.values()))
        return process

    def close(self) -> None:
        """Orders no more copies; the process ends once those that are up have."""
        with contextlib.suppress(OSError):
            self._orders.shutdown(socket.SHUT_WR)

    async def closed(self) -> None:
        """Waits until the process has ended, which it does without copies; else it is killed."""
        self.close()
        if not (await asyncio.wait({self._gone}, timeout=_CLOSING_SECS))[0]:
            self._process.kill()
            await self._gone

    def _hear(self) -> bool:
        """Takes what the process tells: that a copy is there, or has ended."""
        try:
            message, handles, *_ = socket.recv_fds(self._orders, _LARGEST, 1)
        except BlockingIOError:
            return False
        except OSError:
            message, handles = b"", []
        if not message:
            asyncio.get_running_loop().remove_reader(self._orders)
            return False
        pid, status = json.loads(message)
        if handles:
            self._up[pid] = self._ordered.popleft()
            self._up[pid].begin(pid, handles[0])
        else:
            self._up.pop(pid).end(status)
        return True

    async def _until_gone(self) -> None:
        status = await self._process.wait()
        while self._hear():
            pass
        asyncio.get_running_loop().remove_reader(self._orders)
        self._orders.close()
        for process in self._ordered:
            process.end(status)
        for process in self._up.values():
            process.watch()


class ForkedProcess:
    """A copy, from its order on.

    Args:
        copied: The process that it is a copy of.
    """

    def __init__(self, copied: asyncio.subprocess.Process):
        self.pid = 0
        self._copied = copied
        self._handle = -1
        self._owed: int | None = None
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int | None:
        """Its exit status, below 0 for a signal, once it has ended; None if nobody knows it."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Sends it a signal, as soon as it is there.

        Raises:
            ProcessLookupError: It has ended.
        """
        if self._handle >= 0:
            signal.pidfd_send_signal(self._handle, number)
        elif not self._ended.done():
            self._owed = number
            if number == signal.SIGKILL:
                # It may never be, where what is copied comes to no end.
                self._copied.send_signal(number)

    def begin(self, pid: int, handle: int) -> None:
        """Takes note that it is there."""
        self.pid, self._handle = pid, handle
        if self._owed is not None:
            with contextlib.suppress(ProcessLookupError):
                self.send_signal(self._owed)

    def end(self, status: int | None) -> None:
        """Takes note that it is gone."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if not self._ended.done():
            self._ended.set_result(status)

    def watch(self) -> None:
        """Has the system tell its end, as nobody else does."""
        loop, handle = asyncio.get_running_loop(), self._handle

        def gone() -> None:
            loop.remove_reader(handle)
            status: int | None = None
            # The first process of a container is the parent of whoever has none.
            with contextlib.suppress(ChildProcessError):
                status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.end(status)

        loop.add_reader(handle, gone)


def copied_on_order(prepare: Callable[[], object]) -> None:
    """Has this process be copied, if it was started for that; returns in each copy alone.

    Otherwise it returns at once: the process is what a copy would be.

    Args:
        prepare: What is done once, for all copies.
    """
    if text := os.environ.pop(_ORDERS_FD, ""):
        prepare()
        # What is collected later is not looked for among all this, whose pages would be copied.
        gc.collect()
        gc.freeze()
        _Copied(socket.socket(fileno=int(text))).run()


class _Copied:
    """The process that is copied: it waits for orders, and for its copies to end."""

    def __init__(self, orders: socket.socket):
        self._orders = orders
        self._copies: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(orders, select.POLLIN)

    def run(self) -> None:
        """Returns in each copy.

        Raises:
            SystemExit: Nobody orders any more, and all copies have ended.
        """
        is_ordered = True
        while is_ordered or self._copies:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._copies:
                    self._tell_end(descriptor)
                    continue
                order, passed, *_ = socket.recv_fds(self._orders, _LARGEST, 1)
                if order:
                    if self._fork():
                        _be_own(json.loads(order), passed)
                        return
                    for each in passed:
                        os.close(each)
                else:
                    is_ordered = False
                    self._poll.unregister(self._orders)
        raise SystemExit(0)

    def _fork(self) -> bool:
        """Copies the process; gives whether this is the copy."""
        if pid := os.fork():
            handle = os.pidfd_open(pid)
            self._copies[handle] = pid
            self._poll.register(handle, select.POLLIN)
            self._tell(pid, None, handle)
            return False
        self._orders.close()
        for handle in self._copies:
            os.close(handle)
        return True

    def _tell_end(self, handle: int) -> None:
        self._poll.unregister(handle)
        pid = self._copies.pop(handle)
        os.close(handle)
        self._tell(pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def _tell(self, pid: int, status: int | None, *handles: int) -> None:
        # Whoever has ordered may be gone; the copies notice that by themselves.
        with contextlib.suppress(OSError):
            socket.send_fds(self._orders, [json.dumps([pid, status]).encode()], handles)


def _be_own(order: Mapping[str, Mapping[str, str]], passed: Sequence[int]) -> None:
    """Has a copy be what was ordered, and like no other."""
    os.environ.update(order["environment"])
    os.environ.update(zip(order["passed"], map(str, passed), strict=True))
    # What was found of a folder may have changed since.
    importlib.invalidate_caches()
    if numpy_random := sys.modules.get("numpy.random"):
        # Python's own generator begins anew by itself.
        numpy_random.seed()
