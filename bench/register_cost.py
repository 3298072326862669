"""What a register costs: Redis's commands and time for a minute of a call, and for each worker.

    python bench/register_cost.py [--calls 8] [--seconds 60] [--workers 10 100 800]

First some simulated calls talk for a while at two servers of this process, at real pace, while a
Redis that runs for this alone counts what it is asked. The bots talk without a pause, so that each
word that is heard is written down: few calls cost more. Then so many workers, with twelve calls
each, renew their leases, as they do each second, and ask who else is there, as often as they do.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio as client
from fleet_bot import bot
from loguru import logger

from twilio_frames.fleet.redis import RedisRegister
from twilio_frames.fleet.register import Lease, Ticket
from twilio_frames.server import FleetSettings, Server, ServerSettings, create_app
from twilio_frames.server.fleet.membership import renewals_between
from twilio_frames.testing import SimulatedTwilio

CALLS_A_WORKER = 12
ROUNDS = 2


class Asked:
    """What a Redis was asked, and what that cost it."""

    def __init__(self, redis: Any):
        self._redis = redis
        self._before: Mapping[str, float] = {}

    async def begin(self) -> None:
        """Counts from here."""
        self._before = await self._figures()

    async def since(self) -> dict[str, float]:
        """What came since."""
        now = await self._figures()
        return {name: now[name] - self._before.get(name, 0.0) for name in now}

    async def _figures(self) -> dict[str, float]:
        told = await self._redis.info("all")
        evaluated = told.get("cmdstat_evalsha", {})
        return {
            "scripts": evaluated.get("calls", 0),
            "commands": told["total_commands_processed"],
            "script_ms": evaluated.get("usec", 0) / 1000,
            "cpu_ms": 1000 * (told["used_cpu_user"] + told["used_cpu_sys"]),
            "kb": (told["total_net_input_bytes"] + told["total_net_output_bytes"]) / 1000,
        }


@asynccontextmanager
async def redis_server() -> AsyncIterator[str]:
    """A Redis for this alone; gives its URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "redis"
        quiet = ("--save", "", "--appendonly", "no", "--port", "0", "--dir", folder)
        process = await asyncio.create_subprocess_exec(
            *("redis-server", *quiet, "--unixsocket", str(path)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(10):
                while not path.exists():  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.05)
            yield f"unix://{path}"
        finally:
            process.terminate()
            await process.wait()


async def of_calls(url: str, asked: Asked, calls: int, seconds: float) -> dict[str, float]:
    """What a minute of a call costs."""
    async with AsyncExitStack() as stack:
        twilio = await stack.enter_async_context(SimulatedTwilio())
        for name in ("bot1", "bot2"):
            settings = ServerSettings(
                account_sid=twilio.account_sid,
                auth_token=twilio.auth_token,
                fleet=FleetSettings(register=url, worker=name),
            )
            server = await stack.enter_async_context(Server(create_app(bot, settings)))
        idle_before = time.monotonic()
        await asked.begin()
        await asyncio.sleep(10)
        idle = await asked.since()
        idle_secs = time.monotonic() - idle_before

        async def talk(seed: int) -> None:
            words = round(seconds)
            webhook = f"{server.url}/twiml?seed={seed}&sentences={words}"
            async with twilio.call(webhook) as caller:
                await caller.wait(seconds)

        await asked.begin()
        began = time.monotonic()
        await asyncio.gather(*(talk(seed) for seed in range(calls)))
        spent, took = await asked.since(), time.monotonic() - began
    minutes = calls * seconds / 60
    own = {name: spent[name] - idle[name] * took / idle_secs for name in spent}
    return {name: value / minutes for name, value in own.items()}


async def of_workers(url: str, asked: Asked, workers: int) -> dict[str, float]:
    """What a worker of so many costs each second, that has its calls and says nothing else."""
    registers = [RedisRegister(url, prefix=f"of-{workers}") for _ in range(8)]
    fleet = [
        Lease(name=f"bot-{n}-a1b2c3d4", address=f"http://bot-{n}.bots:8000", most_calls=12)
        for n in range(workers)
    ]
    calls: dict[str, dict[str, int]] = {}
    for number, lease in enumerate(fleet):
        sids = [f"CA{number:08d}{call:024d}" for call in range(CALLS_A_WORKER)]
        for sid in sids:
            await registers[0].issue(Ticket(call_sid=sid, token=sid, worker=lease.name), 60.0)
            await registers[0].redeem(sid, sid, lease.name)
        calls[lease.name] = dict.fromkeys(sids, 1)

    async def live(register: RedisRegister, some: list[Lease], *, asks: bool) -> None:
        for lease in some:
            await register.renew(lease, calls[lease.name], 60.0)
            if asks:
                await register.workers()

    async def all_live(*, asks: bool) -> None:
        shares = [(one, fleet[n :: len(registers)]) for n, one in enumerate(registers)]
        await asyncio.gather(*(live(one, share, asks=asks) for one, share in shares))

    await all_live(asks=False)
    await asked.begin()
    rounds = ROUNDS * (1 + renewals_between(workers))
    for number in range(rounds):
        await all_live(asks=number < ROUNDS)
    spent = await asked.since()
    for register in registers:
        await register.close()
    return {name: value / (rounds * workers) for name, value in spent.items()}


def show(what: str, figures: Mapping[str, float]) -> None:
    """Prints a line."""
    told = "  ".join(f"{name.replace('_', ' ')} {value:8.2f}" for name, value in figures.items())
    print(f"{what:28}{told}", flush=True)


async def measure(calls: int, seconds: float, workers: list[int]) -> None:
    """Measures, and prints it."""
    async with redis_server() as url:
        redis = client.Redis.from_url(url)
        asked = Asked(redis)
        show("a minute of a call", await of_calls(url, asked, calls, seconds))
        for count in workers:
            show(f"a second of one of {count}", await of_workers(url, asked, count))
        await redis.aclose()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, nargs="*", default=[10, 100, 800])
    given = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    os.environ.setdefault("FLEET_RESULTS", tempfile.gettempdir())
    asyncio.run(measure(given.calls, given.seconds, given.workers))


if __name__ == "__main__":
    main()
