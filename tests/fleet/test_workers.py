"""Processes that are started, replaced and ended; what they run here answers with its own name."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.waiting import until
from twilio_frames.fleet.workers import WorkerProcesses

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes"),
]

WORKER = """
import asyncio, os, signal
from twilio_frames.fleet.workers import inherited_sockets, tell_ready, when_left_alone

async def main():
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    when_left_alone(over.set)
    (listening,) = inherited_sockets()

    async def answer(reader, writer):
        name, place = os.environ["TWILIO_FRAMES_WORKER"], os.environ["TWILIO_FRAMES_PLACE"]
        writer.write(f"{name} {os.getpid()} {place}".encode())
        writer.close()

    async with await asyncio.start_server(answer, sock=listening):
        tell_ready()
        await over.wait()

asyncio.run(main())
"""


class Run:
    """Workers that run, and what was said of them."""

    def __init__(self, workers: int, command: list[str]):
        self.said: list[str] = []
        self.gone: list[int] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.workers = WorkerProcesses(
            command,
            workers,
            sockets=[self.socket],
            environment={},
            announce=self.said.append,
            stop_secs=5.0,
            on_gone=self.gone.append,
        )

    async def answer(self) -> str:
        reader, writer = await asyncio.open_connection(*self.socket.getsockname())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    def has_said(self, text: str) -> Callable[[], bool]:
        return lambda: any(text in line for line in self.said)


@asynccontextmanager
async def running(workers: int = 2) -> AsyncIterator[Run]:
    run = Run(workers, [sys.executable, "-c", WORKER])
    task = asyncio.create_task(run.workers.run())
    try:
        await until(run.has_said(f"{workers} workers are up"), seconds=120)
        yield run
    finally:
        run.workers.order(signal.SIGTERM)
        async with asyncio.timeout(90):
            assert await task == 0
        run.socket.close()


async def test_one_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile():
    async with running() as run:
        before = dict(run.workers.pids)
        os.kill(before["w1"], signal.SIGKILL)
        names = {(await run.answer()).split()[0] for _ in range(10)}
        assert names <= {"w1", "w2"}
        await until(lambda: run.workers.pids["w1"] != before["w1"], seconds=120)
        assert run.workers.pids["w2"] == before["w2"]
        assert "worker w1 is gone (SIGKILL), and is replaced" in run.said
        # Whoever replaces it has its place, which was given up before.
        assert {(await run.answer()).split()[2] for _ in range(10)} <= {"0", "1"}
        assert run.gone == [0]


async def test_all_are_replaced_in_turn():
    async with running() as run:
        before = dict(run.workers.pids)
        run.workers.order(signal.SIGHUP)
        answers = []
        while not run.has_said("all workers are replaced")():
            answers.append(await run.answer())
        after = run.workers.pids
        assert set(before.values()).isdisjoint(after.values())
        assert len(answers) > 5
        # No two have one place at one time.
        assert {answer.split()[2] for answer in answers} <= {"0", "1", "2"}
        assert run.gone == [0, 1]
        assert not any("is gone" in line for line in run.said)


async def test_what_cannot_start_is_not_tried_again_and_again():
    run = Run(2, [sys.executable, "-c", "raise SystemExit(3)"])
    assert await run.workers.run() == 3
    assert run.said == []
    run.socket.close()


async def test_workers_end_when_whoever_started_them_is_killed():
    program = f"""
import asyncio, socket, sys
from twilio_frames.fleet.workers import WorkerProcesses
def say(text): print(text, *workers.pids.values(), flush=True)
workers = WorkerProcesses([sys.executable, "-c", {WORKER!r}], 2,
    sockets=[socket.create_server(("127.0.0.1", 0))], environment={{}}, announce=say)
asyncio.run(workers.run())
"""
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    pids = [int(word) for word in (await starter.stdout.readline()).split()[-2:]]
    starter.kill()
    await starter.wait()
    await until(lambda: not any(map(is_up, pids)), seconds=90)


def is_up(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
