"""Calls at several workers that are killed, replaced and cut off from their register: is one lost?

    python bench/fleet.py [--calls 60] [--seconds 300] [--workers 3] [--kill-every 10]
                          [--register redis] [--no-restart] [--no-stop] [--no-haproxy]

A simulated Twilio rings `twilio-frames serve --workers N` behind HAProxy, at real pace. Each bot
says some minutes of words that each have a sound of their own, so the ear says which were heard,
and how often. Meanwhile a worker is killed (SIGKILL) every few seconds, as soon as all are up, all
are replaced once in turn (SIGHUP), the register is stopped for 30 s, and HAProxy is reloaded. A
call is lost if it ended before its last word. Nothing of this was tried on the real line.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fleet_bot import sentences_of
from loguru import logger
from truth_words import bare_word, said

from twilio_frames.fleet.register import Register, RegisterError
from twilio_frames.server import FleetSettings
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.calls.account import StartDelays

SENTENCE_SECS = 2.6
"""What one takes to say, with the pause behind it."""
STOPPED_SECS = 30.0
TWILIO = StartDelays.measured()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done.

    Parameters:
        calls: Calls at once.
        seconds: How long each talks.
        workers: Processes.
        kill_every: Seconds from one kill to the next; 0 for none.
        register: ``redis`` or ``sqlite``.
        restarts: Whether all workers are replaced in turn.
        stops: Whether the register is stopped for a while.
        haproxy: Whether HAProxy stands in front, and is reloaded.
    """

    calls: int
    seconds: float
    workers: int
    kill_every: float
    register: str
    restarts: bool
    stops: bool
    haproxy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was heard on one call.

    Parameters:
        is_whole: Whether its last word was.
        words: How many there were to hear.
        missing: Words that were not heard.
        twice: Words that were heard more than once.
        unlike: Words by which the memory is not what was heard.
        silences: Seconds of silence around each new stream, beyond what Twilio took for it.
        streams: How many it had.
    """

    is_whole: bool
    words: int = 0
    missing: int = 0
    twice: int = 0
    unlike: int = 0
    silences: tuple[float, ...] = ()
    streams: int = 0


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


class Fleet:
    """Workers, their register, and what stands in front."""

    def __init__(self, plan: Plan, folder: Path):
        self._plan = plan
        self._folder = folder
        self._port, self._front = free_port(), free_port()
        self._serve: Process
        self._redis: Process | None = None
        self._register: Register
        self._haproxy: list[Process] = []
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
            self._register = FleetSettings(register=register).open_register()
            stack.push_async_callback(self._register.close)
            own = {
                "TWILIO_FRAMES_REGISTER": register,
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
            f"backend workers\n server all 127.0.0.1:{self._port}\n"
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

    async def workers_up(self) -> int:
        """How many workers there are, as the register knows; none where it does not answer."""
        try:
            return len(await self._register.workers())
        except RegisterError:
            return 0

    def worker_pids(self) -> list[int]:
        """The workers that live."""
        pid = self._serve.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def replace_all(self) -> None:
        """Has all workers replaced in turn."""
        self._serve.process.send_signal(signal.SIGHUP)

    async def stop_register(self, seconds: float) -> None:
        """Has the register answer nobody for a while."""
        if self._redis is not None:
            self._redis.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self._redis.process.send_signal(signal.SIGCONT)


class Trouble:
    """What befalls a fleet while its calls are up."""

    def __init__(self, plan: Plan, fleet: Fleet):
        self._plan = plan
        self._fleet = fleet
        self._random = random.Random(1)
        self.done: Counter[str] = Counter()

    async def make(self) -> None:
        """Makes it, one kind after the other, for as long as calls talk."""
        plan, third = self._plan, self._plan.seconds / 3
        async with asyncio.TaskGroup() as troubles:
            if plan.kill_every:
                troubles.create_task(self._kill(plan.seconds * 0.8))
            if plan.restarts:
                troubles.create_task(self._later(third / 2, "replaced", self._fleet.replace_all))
            if plan.stops:
                troubles.create_task(self._stop_register(third))
            if plan.haproxy:
                troubles.create_task(self._reload(1.8 * third))

    async def _kill(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            await asyncio.sleep(self._plan.kill_every)
            if await self._fleet.workers_up() >= self._plan.workers:
                os.kill(self._random.choice(self._fleet.worker_pids()), signal.SIGKILL)
                self.done["killed"] += 1

    async def _later(self, seconds: float, name: str, act: Any) -> None:
        await asyncio.sleep(seconds)
        act()
        self.done[name] += 1

    async def _stop_register(self, after: float) -> None:
        await asyncio.sleep(after)
        self.done["register stopped"] += 1
        await self._fleet.stop_register(min(STOPPED_SECS, after))

    async def _reload(self, after: float) -> None:
        await asyncio.sleep(after)
        await self._fleet.reload_haproxy()
        self.done["HAProxy reloaded"] += 1


async def ring(twilio: SimulatedTwilio, fleet: Fleet, seed: int, sentences: int) -> Heard:
    """Carries out one call."""
    url = f"{fleet.url}?seed={seed}&sentences={sentences}"
    async with twilio.call(url) as caller:
        await caller.wait_for_end(seconds=60 + 3 * SENTENCE_SECS * sentences)
        result = caller.result
    words = [word for text in sentences_of(seed, sentences) for word in said(text)]
    counts = [result.heard_bot.count(word.mulaw[-40:]) for word in words]
    kept = fleet.results / result.call_sid
    texts = json.loads(kept.read_text())["texts"] if kept.exists() else []
    remembered = [bare_word(token) for token in " ".join(texts).split()]
    wrong = Counter(remembered)
    wrong.subtract(word.text for word, count in zip(words, counts, strict=True) if count)
    spans = result.heard_spans
    silences = [
        (after.began_at - before.ended_at) - TWILIO.connect
        for before, after in pairwise(spans)
        if after.stream != before.stream
    ]
    return Heard(
        is_whole=bool(counts and counts[-1]),
        words=len(words),
        missing=sum(count == 0 for count in counts),
        twice=sum(count > 1 for count in counts),
        unlike=sum(map(abs, wrong.values())) if kept.exists() else 0,
        silences=tuple(silences),
        streams=1 + max((span.stream for span in spans), default=0),
    )


async def run(plan: Plan) -> tuple[list[Heard], Counter[str], str]:
    """Rings, and makes trouble; gives what was heard, what was done, and the workers' log."""
    sentences = max(1, round(plan.seconds / SENTENCE_SECS))
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(plan, Path(folder))
        async with SimulatedTwilio(delays=TWILIO) as twilio:
            account = {
                "TWILIO_ACCOUNT_SID": twilio.account_sid,
                "TWILIO_AUTH_TOKEN": twilio.auth_token,
                "TWILIO_FRAMES_TRUST_PROXIES": "1",
            }
            async with fleet.running(account):
                trouble = Trouble(plan, fleet)
                calls = [
                    asyncio.create_task(_begin(twilio, fleet, seed, sentences, seed / 4))
                    for seed in range(plan.calls)
                ]
                await asyncio.sleep(plan.calls / 4 + 2)
                making = asyncio.create_task(trouble.make())
                heard = await asyncio.gather(*calls)
                making.cancel()
                await asyncio.wait({making})
        return heard, trouble.done, fleet.log.read_text(errors="replace")


async def _begin(
    twilio: SimulatedTwilio, fleet: Fleet, seed: int, sentences: int, after: float
) -> Heard:
    await asyncio.sleep(after)
    try:
        return await ring(twilio, fleet, seed, sentences)
    except Exception as error:
        logger.error(f"call {seed}: {type(error).__name__}: {error}")
        return Heard(is_whole=False)


def figures_of(heard: Sequence[Heard], done: Counter[str]) -> dict[str, Any]:
    """What was found, for a JSON file."""
    silences = sorted(each for one in heard for each in one.silences)
    p95 = silences[min(len(silences) - 1, len(silences) * 95 // 100)] if silences else 0.0
    return {
        "calls": len(heard),
        **{name.replace(" ", "_"): count for name, count in done.items()},
        "calls_lost": sum(not one.is_whole for one in heard),
        "streams": sum(one.streams for one in heard),
        "words": sum(one.words for one in heard),
        "words_missing": sum(one.missing for one in heard if one.is_whole),
        "words_heard_twice": sum(one.twice for one in heard),
        "words_wrong_in_memory": sum(one.unlike for one in heard),
        "silence_median_secs": round(statistics.median(silences), 2) if silences else 0.0,
        "silence_p95_secs": round(p95, 2),
        "silence_worst_secs": round(silences[-1], 2) if silences else 0.0,
    }


def main() -> None:
    """Measures, and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=10.0)
    parser.add_argument("--register", choices=("redis", "sqlite"), default="redis")
    parser.add_argument("--no-restart", action="store_true", help="do not replace all workers")
    parser.add_argument("--no-stop", action="store_true", help="do not stop the register")
    parser.add_argument("--no-haproxy", action="store_true", help="nothing in front")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where the workers' log goes")
    given = parser.parse_args()
    plan = Plan(
        calls=given.calls,
        seconds=given.seconds,
        workers=given.workers,
        kill_every=given.kill_every,
        register=given.register,
        restarts=not given.no_restart,
        stops=not given.no_stop and given.register == "redis",
        haproxy=not given.no_haproxy,
    )
    for program in ("redis-server",) * (plan.register == "redis") + ("haproxy",) * plan.haproxy:
        if shutil.which(program) is None:
            raise SystemExit(
                f"expected {program} to be installed: see --help for what to leave out"
            )
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    heard, done, log = asyncio.run(run(plan))
    figures = figures_of(heard, done)
    if given.log:
        given.log.write_text(log)
    if given.json:
        given.json.write_text(json.dumps(figures))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28}{value!s:>8}")


if __name__ == "__main__":
    main()
