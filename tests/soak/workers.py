"""Workers of a fleet, each a process that runs the real application, and what leads to them."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.soak.network import Connector, Listener, Network
from tests.soak.processes import Process, SoakLoop
from tests.soak.registers import FaultyRegister
from twilio_frames.call import Call
from twilio_frames.fleet import choice
from twilio_frames.server import FleetSettings, ServerSettings, create_app
from twilio_frames.server.fleet import joining
from twilio_frames.server.fleet.winding_down import wind_down
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.transport import TwilioParams

__all__ = ["AUTH_TOKEN", "PUBLIC_URL", "Fleet", "Worker", "seeded"]

AUTH_TOKEN = "secret-auth-token"
PUBLIC_URL = "https://bot.example.com"
DRAIN_SECS = 12.0
_NO_AUDIO = TwilioParams(
    close_timeout_secs=0.1, media_timeout_secs=86_400.0, pipeline_timeout_secs=None
)
"""Nobody speaks, and there is no pipeline."""

Answer = Callable[["Worker", Call], Awaitable[None]]


class Worker:
    """One worker.

    Args:
        name: Its slot's name.
        fleet: Those it belongs to.
        process: Its own.
    """

    def __init__(self, name: str, fleet: "Fleet", process: Process):
        self.name = name
        self.process = process
        self.is_up = asyncio.Event()
        self.is_ending = self.is_over = False
        self._fleet = fleet
        self._runner: web.AppRunner
        self.state: ServerState

    async def _answer(self, call: Call) -> None:
        await self._fleet.answer(self, call)

    async def run(self) -> None:
        """Begins, within its process."""
        fleet = self._fleet
        register: Any = fleet.register
        near: Any = fleet.near
        settings = ServerSettings(
            auth_token=AUTH_TOKEN,
            public_url=PUBLIC_URL,
            max_calls=fleet.most_calls,
            drain_secs=DRAIN_SECS,
            transport=_NO_AUDIO,
            warm=False,
            fleet=FleetSettings(
                register=register,
                near_register=near,
                worker=self.name,
                doubt_secs=60.0,
                worker_url=f"http://{self.name}",
            ),
        )
        app = create_app(self._answer, settings)
        self.state = app[STATE]
        self.state.is_served_here = True
        self.state.lag = _NoLag()  # type: ignore[assignment]
        passing = self.state.workers
        passing._session = aiohttp.ClientSession(  # type: ignore[reportPrivateUsage]
            connector=Connector(fleet.network, fleet.by_host, keeps=True),
            timeout=passing._limits,  # type: ignore[reportPrivateUsage]
        )
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        assert self._runner.server is not None
        fleet.network.listeners[self.name] = Listener(self.process, self._runner.server)
        self.is_up.set()

    async def end(self) -> None:
        """Ends as by SIGTERM, within its process."""
        self.is_ending = True
        await wind_down(self.state, DRAIN_SECS)
        await self.state.switchboard.cancel()
        self._fleet.network.listeners.pop(self.name, None)
        await self._runner.cleanup()
        self.is_over = True


class Fleet:
    """All workers that there are and were.

    Args:
        loop: Where they run.
        register: What they know in common.
        near: What they know in common as workers of one machine; None where each has its own.
        answer: Their bot.
        choose: Says which of them a request comes to.
        most_calls: How many calls each has.
    """

    def __init__(
        self,
        loop: SoakLoop,
        register: FaultyRegister,
        near: FaultyRegister | None,
        answer: Answer,
        choose: random.Random,
        *,
        most_calls: int,
    ):
        self.network = Network()
        self.register = register
        self.near = near
        self.answer = answer
        self.most_calls = most_calls
        self.strays = 0.0
        """Share of the streams and callbacks that come to another worker than the one named."""
        self._loop = loop
        self._choose = choose
        self.workers: list[Worker] = []

    @property
    def living(self) -> list[Worker]:
        """Those that are up."""
        return [
            one
            for one in self.workers
            if one.is_up.is_set() and not one.is_over and not one.process.is_killed
        ]

    @property
    def ready(self) -> list[Worker]:
        """Those that take calls."""
        return [one for one in self.living if not one.is_ending and not one.process.is_halted]

    async def begin(self) -> Worker:
        """Starts one more."""
        name = f"w{len(self.workers) + 1}"
        worker = Worker(name, self, self._loop.new_process(name))
        self.workers.append(worker)
        worker.process.start(worker.run())
        await worker.is_up.wait()
        return worker

    def kill(self, worker: Worker) -> None:
        """Ends one in the middle of whatever it does."""
        worker.process.is_killed = True
        self.network.listeners.pop(worker.name, None)
        self.network.kill(worker.process)

    def by_host(self, url: URL) -> Listener | None:
        """Who listens for other workers."""
        return self.network.listeners.get(url.host or "")

    def by_balancer(self, url: URL) -> Listener | None:
        """Where a request of Twilio's comes to: to the worker in its path, if that lives."""
        parts = url.path.split("/")
        named = parts[2] if parts[1] == "w" else ""
        if self._choose.random() >= self.strays:
            for worker in self.living:
                if named.startswith(worker.name + "-"):
                    return self.network.listeners.get(worker.name)
        ready = self.ready or self.living
        return self.network.listeners.get(self._choose.choice(ready).name) if ready else None


class _NoHandovers:
    """There are no sockets that could be handed over."""

    path = ""

    def __init__(self, make_protocol: object):
        pass

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


class _NoLag:
    """A loop in virtual time is never late, and looking often whether it is would take long."""

    p95_secs = 0.0
    follow: object = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextlib.contextmanager
def seeded(choose: random.Random) -> Iterator[None]:
    """Has workers choose by a seed, and hand no sockets over."""
    made = SimpleNamespace(Random=lambda: random.Random(choose.random()))
    fakes: list[tuple[Any, str, Any]] = [(choice, "random", made)]
    fakes.append((joining, "Handovers", _NoHandovers))
    given = [(room, name, getattr(room, name)) for room, name, _ in fakes]
    for room, name, fake in fakes:
        setattr(room, name, fake)
    try:
        yield
    finally:
        for room, name, value in given:
            setattr(room, name, value)
