"""Copies of a process: what they are given, what they share, and what is told of their end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.waiting import until
from twilio_frames.fleet.forking import ForkedProcess, ForkServer, is_possible

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not is_possible(), reason="processes cannot be copied here"),
]

PROGRAM = """
import json, os, random, signal, sys
from twilio_frames.fleet.forking import copied_on_order
made = []
copied_on_order(lambda: made.append(os.getpid()))
told = {
    "made": made, "parent": os.getppid(), "random": random.random(),
    "given": [os.environ[name] for name in ("SHARED", "OWN")],
    "files": len(os.listdir("/proc/self/fd")), "threads": len(os.listdir("/proc/self/task")),
}
os.write(int(os.environ["SAY"]), json.dumps(told).encode())
if os.environ["OWN"] == "waits":
    signal.pause()
sys.exit(int(os.environ["OWN"]))
"""


@asynccontextmanager
async def copied(program: str = PROGRAM) -> AsyncIterator[ForkServer]:
    environment = {**os.environ, "SHARED": "by all"}
    command = [sys.executable, "-c", program]
    server = await ForkServer.start(command, environment=environment, passed=[])
    try:
        yield server
    finally:
        await server.closed()


async def told_by(server: ForkServer, own: str) -> tuple[ForkedProcess, dict[str, Any]]:
    """A copy, and what it tells of itself."""
    ear, mouth = os.pipe()
    process = server.fork({"OWN": own}, {"SAY": mouth})
    os.close(mouth)
    told = await asyncio.to_thread(os.read, ear, 4096)
    os.close(ear)
    return process, json.loads(told)


async def test_copies_have_what_was_made_once_and_nothing_of_each_other():
    async with copied() as server:
        copies = [await told_by(server, "waits") for _ in range(3)]
        told = [one for _, one in copies]
        assert [one["made"] for one in told] == [[told[0]["parent"]]] * 3
        assert [one["given"] for one in told] == [["by all", "waits"]] * 3
        assert len({one["random"] for one in told}) == 3
        assert {one["threads"] for one in told} == {1}
        assert len({one["files"] for one in told}) == 1
        assert len({process.pid for process, _ in copies}) == 3
        for process, _ in copies:
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == -signal.SIGTERM


async def test_the_exit_status_of_each_is_told():
    async with copied() as server:
        for own, status in (("0", 0), ("3", 3), ("no number", 1)):
            process, _ = await told_by(server, own)
            assert await process.wait() == status
            process.send_signal(signal.SIGTERM)
            assert not server.is_gone


async def test_one_that_ends_before_it_is_copied_is_what_its_copies_end_with():
    async with copied("raise SystemExit(5)") as server:
        assert await server.fork({}, {}).wait() == 5
        await until(lambda: server.is_gone)


async def test_one_that_takes_too_long_to_be_copied_can_be_killed():
    async with copied("import signal; signal.pause()") as server:
        process = server.fork({}, {})
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL


async def test_a_signal_waits_for_a_copy_that_is_not_known_of_yet():
    async with copied() as server:
        ear, mouth = os.pipe()
        process = server.fork({"OWN": "waits"}, {"SAY": mouth})
        os.close(mouth)
        # It is there, and this loop has not read so.
        assert os.read(ear, 4096)
        os.close(ear)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
        assert not server.is_gone


async def test_whoever_is_closed_ends_behind_its_last_copy():
    async with copied() as server:
        process, _ = await told_by(server, "waits")
        server.close()
        # No more are made of it, and nobody waits for one.
        late = server.fork({}, {})
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
        assert await late.wait() == 0
