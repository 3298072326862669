"""The processes of ``bench/fleet.py``: workers, their register, and what stands in front."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twilio_frames.fleet.register import Lease, Register, RegisterError
from twilio_frames.server import FleetSettings

__all__ = ["Fleet", "Plan"]

_LISTENS = "0A"
"""In the kernel's table of sockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done.

    Parameters:
        calls: Calls at once.
        seconds: How long each talks.
        workers: Processes.
        kill_every: Seconds from one kill to the next; 0 for none.
        kills: How many there are at most; None for as many as there is time for.
        register: ``redis`` or ``sqlite``.
        restarts: Whether all workers are replaced in turn.
        stops: Whether the register is stopped for a while.
        haproxy: Whether HAProxy stands in front, and is reloaded.
    """

    calls: int
    seconds: float
    workers: int
    kill_every: float
    kills: int | None
    register: str
    restarts: bool
    stops: bool
    haproxy: bool

    @property
    def kills_due(self) -> int:
        """How many there are to be; the last tenth of the calls is left in peace, to end."""
        if not self.kill_every:
            return 0
        due = int(self.seconds * 0.9 / self.kill_every)
        return due if self.kills is None else min(due, self.kills)


class Process:
    """A program that runs beside."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process

    @classmethod
    async def start(cls, *command: str, **options: Any) -> "Process":
        """Starts it."""
        return cls(await asyncio.create_subprocess_exec(*command, **options))

    async def stop(self) -> None:
        """Ends it."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 60)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return opened.getsockname()[1]


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [one for child in map(int, children) for one in (child, *descendants(child))]
    return []


def ports_listened_on(pid: int) -> list[int]:
    """The TCP ports on which a process listens; none if it is gone."""
    own, rows = set[str](), list[list[str]]()
    with suppress(OSError):
        rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        for each in Path(f"/proc/{pid}/fd").iterdir():
            # A busy process has closed some of them meanwhile.
            with suppress(OSError):
                own.add(str(each.readlink()))
    return [
        int(row[1].partition(":")[2], 16)
        for row in rows
        if row[3] == _LISTENS and f"socket:[{row[9]}]" in own
    ]


class Fleet:
    """Workers, their register, and what stands in front."""

    def __init__(self, plan: Plan, folder: Path):
        self._plan = plan
        self._folder = folder
        self._port, self._front = free_port(), free_port()
        self._serve: Process
        self._redis: Process | None = None
        self._known: Register
        self._haproxy: list[Process] = []
        self._last: Sequence[Lease] = ()
        self._pids = dict[int, int]()
        self.results = folder / "results"
        self.log = folder / "log"

    @property
    def url(self) -> str:
        """The voice webhook."""
        port = self._front if self._plan.haproxy else self._port
        return f"http://127.0.0.1:{port}/twiml"

    @asynccontextmanager
    async def running(self, environment: dict[str, str]) -> AsyncIterator[None]:
        """Runs all of it."""
        self.results.mkdir()
        async with AsyncExitStack() as stack:
            register = f"sqlite://{self._folder}/register.db"
            if self._plan.register == "redis":
                register = await self._start_redis(stack)
            near = f"sqlite://{self._folder}/near.db"
            # What the workers share beside tells also while the register is stopped.
            self._known = FleetSettings(register=near).open_register()
            stack.push_async_callback(self._known.close)
            own = {
                "TWILIO_FRAMES_REGISTER": register,
                "TWILIO_FRAMES_NEAR_REGISTER": near,
                "TWILIO_FRAMES_DRAIN_SECONDS": "12",
                "TWILIO_FRAMES_MAX_CALLS": str(2 * self._plan.calls),
                "FLEET_RESULTS": str(self.results),
            }
            with self.log.open("wb") as log:
                self._serve = await Process.start(
                    *(sys.executable, "-W", "ignore", "-m", "twilio_frames.cli"),
                    *("serve", "fleet_bot:bot", "--workers", str(self._plan.workers)),
                    *("--port", str(self._port)),
                    cwd=Path(__file__).parent,
                    env={**os.environ, **environment, **own},
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                )
            stack.push_async_callback(self._serve.stop)
            await self._until_up()
            if self._plan.haproxy:
                await self.reload_haproxy()
                stack.push_async_callback(self._stop_haproxy)
            yield

    async def _until_up(self) -> None:
        output = self._serve.process.stdout
        assert output is not None
        while b"are up" not in (line := await output.readline()):
            if not line:
                raise SystemExit("the workers did not start:\n" + self.log.read_text())

    async def _start_redis(self, stack: AsyncExitStack) -> str:
        path = self._folder / "redis"
        quiet = ("--save", "", "--appendonly", "no", "--port", "0", "--dir", str(self._folder))
        self._redis = await Process.start(
            *("redis-server", *quiet, "--unixsocket", str(path)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        stack.push_async_callback(self._redis.stop)
        async with asyncio.timeout(10):
            while not path.exists():  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.05)
        return f"unix://{path}"

    async def reload_haproxy(self) -> None:
        """Starts HAProxy, or another one that takes its port over."""
        config = self._folder / "haproxy.cfg"
        config.write_text(
            "defaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n"
            " timeout tunnel 1h\n"
            f"frontend front\n bind 127.0.0.1:{self._front}\n default_backend workers\n"
            # A worker may die with a question unanswered; the others share its port.
            "backend workers\n retries 3\n retry-on conn-failure empty-response\n"
            f" server all 127.0.0.1:{self._port}\n"
        )
        before = [str(one.process.pid) for one in self._haproxy[-1:]]
        taken_over = ("-sf", *before) if before else ()
        self._haproxy.append(
            await Process.start("haproxy", "-q", "-db", "-f", str(config), *taken_over)
        )
        await asyncio.sleep(0.5)

    async def _stop_haproxy(self) -> None:
        for each in self._haproxy:
            if each.process.returncode is None:
                each.process.kill()
                await each.process.wait()

    async def leases(self) -> Sequence[Lease]:
        """The workers that are up, as they tell."""
        try:
            return await self._known.workers()
        except RegisterError:
            return ()

    async def taking_calls(self) -> list[int]:
        """The processes of those workers that live and take new calls."""
        # A register that cannot tell has told before.
        self._last = await self.leases() or self._last
        ports = [
            int(one.address.rpartition(":")[2])
            for one in self._last
            if one.address and not one.is_draining
        ]
        if not self._pids.keys() >= set(ports):
            self._pids |= await asyncio.to_thread(self._listening)
        # A lease outlives who had it for some seconds.
        pids = {self._pids[port] for port in ports if port in self._pids}
        return sorted(pid for pid in pids if Path(f"/proc/{pid}/exe").exists())  # noqa: ASYNC240  # no disk

    def _listening(self) -> dict[int, int]:
        """The process of each port that this machine's workers listen on."""
        return {
            port: pid
            for pid in descendants(self._serve.process.pid)
            for port in ports_listened_on(pid)
        }

    def replace_all(self) -> None:
        """Has all workers replaced in turn."""
        self._serve.process.send_signal(signal.SIGHUP)

    async def stop_register(self, seconds: float) -> None:
        """Has the register answer nobody for a while."""
        if self._redis is not None:
            self._redis.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self._redis.process.send_signal(signal.SIGCONT)
