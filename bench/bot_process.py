"""A bot, or its callers, in a process of its own, and what it uses, by /proc."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_TICKS = os.sysconf("SC_CLK_TCK")

Note = dict[str, Any]


class BenchProcess:
    """A Python file of this folder, running; it tells what happens by lines of JSON.

    Args:
        arguments: The file's name, and its arguments.
        core: The processor core it is kept on; None for any.
        environment: Variables it sees beside those of this process.
    """

    def __init__(
        self,
        *arguments: str,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self._arguments = arguments
        self._core = core
        self._environment = {"LOGURU_LEVEL": "WARNING", **os.environ, **(environment or {})}
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.notes: list[Note] = []

    async def __aenter__(self) -> "BenchProcess":
        name, *rest = self._arguments
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "ignore",
            str(_HERE / name),
            *rest,
            stdout=PIPE,
            env=self._environment,
        )
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):
                async with self._changed:
                    self.notes.append(json.loads(line))
                    self._changed.notify_all()

    async def wait_for(self, event: str, *, seconds: float = 60.0) -> Note:
        """The first note of an event.

        Raises:
            TimeoutError: If there is none in time.
        """
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: bool(self.of(event)))
        return self.of(event)[0]

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def next(self, event: str, number: int, *, seconds: float = 10.0) -> Note:
        """The next note of an event, which a signal has it write.

        Raises:
            TimeoutError: If there is none in time.
        """
        told = len(self.of(event))
        self.signal(number)
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.of(event)) > told)
        return self.of(event)[-1]

    def of(self, event: str) -> Sequence[Note]:
        """All notes of an event so far."""
        return [note for note in self.notes if note["event"] == event]

    @property
    def _proc(self) -> Path:
        return Path("/proc") / str(self.pid)

    @property
    def pid(self) -> int:
        """Its number among the processes."""
        assert self._process is not None
        return self._process.pid

    @property
    def cpu_secs(self) -> float:
        """Processor time used so far, all threads, in the kernel and out of it."""
        return _cpu_secs(self._proc / "stat")

    @property
    def loop_cpu_secs(self) -> float:
        """The same of the first thread alone, which has the event loop."""
        return _cpu_secs(self._proc / "task" / str(self.pid) / "stat")

    @property
    def open_files(self) -> int:
        """How many files, sockets among them, it has open."""
        return sum(1 for _ in (self._proc / "fd").iterdir())

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return sum(1 for _ in (self._proc / "task").iterdir())

    @property
    def memory(self) -> float:
        """Resident memory, MB."""
        return resident_mb(self.pid)


def _cpu_secs(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """A process's resident memory, MB."""
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("expected VmRSS in /proc, got none: is this Linux?")
