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
from twilio_frames.fleet.forking import is_possible
from twilio_frames.fleet.workers import WorkerProcesses

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes"),
]

needs_copies = pytest.mark.skipif(not is_possible(), reason="processes cannot be copied here")

WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from twilio_frames.fleet.forking import copied_on_order
from twilio_frames.fleet.workers import inherited_sockets, tell_ready, when_left_alone

version = ""
def import_ahead():
    global version
    version = Path(sys.argv[1]).read_text() if sys.argv[1:] else "-"

async def main():
    if not version:
        import_ahead()
    if version == "broken":
        raise SystemExit(4)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    when_left_alone(over.set)
    (listening,) = inherited_sockets()

    async def answer(reader, writer):
        name, place = os.environ["TWILIO_FRAMES_WORKER"], os.environ["TWILIO_FRAMES_PLACE"]
        writer.write(f"{name} {os.getpid()} {place} {version} {os.environ['GIVEN']}".encode())
        writer.close()

    async with await asyncio.start_server(answer, sock=listening):
        tell_ready()
        await over.wait()

copied_on_order(import_ahead)
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
            environment={"GIVEN": "so"},
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
async def running(workers: int = 2, *arguments: str) -> AsyncIterator[Run]:
    run = Run(workers, [sys.executable, "-c", WORKER, *arguments])
    task = asyncio.create_task(run.workers.run())
    try:
        await until(run.has_said(f"{workers} workers are up"), seconds=120)
        yield run
    finally:
        run.workers.order(signal.SIGTERM)
        async with asyncio.timeout(90):
            assert await task == 0
        run.socket.close()


@pytest.fixture(params=[pytest.param(False, id="begun_anew"), pytest.param(True, id="copied")])
def is_copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How workers are started: where processes cannot be copied, each begins as a new one."""
    if not request.param:
        monkeypatch.setattr("twilio_frames.fleet.workers.is_possible", lambda: False)


@pytest.mark.usefixtures("is_copied")
async def test_one_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile():
    async with running() as run:
        before = dict(run.workers.pids)
        # Ctrl-C comes to whoever has started them alone, and from there to them: once.
        assert os.getsid(0) not in map(os.getsid, before.values())
        os.kill(before["w1"], signal.SIGKILL)
        names = {(await run.answer()).split()[0] for _ in range(10)}
        assert names <= {"w1", "w2"}
        await until(lambda: run.workers.pids["w1"] != before["w1"], seconds=120)
        assert run.workers.pids["w2"] == before["w2"]
        assert "worker w1 is gone (SIGKILL), and is replaced" in run.said
        answers = [(await run.answer()).split() for _ in range(10)]
        # Whoever replaces it has its place, which was given up before.
        assert {answer[2] for answer in answers} <= {"0", "1"}
        assert {answer[4] for answer in answers} == {"so"}
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


@needs_copies
async def test_new_code_is_taken_up_when_all_are_replaced_if_it_starts(tmp_path: Path):
    code = tmp_path / "code"
    code.write_text("first")
    async with running(2, str(code)) as run:

        async def answers_with(version: str) -> bool:
            return {(await run.answer()).split()[3] for _ in range(8)} == {version}

        code.write_text("second")
        await killed_and_replaced(run, "w1")
        assert await answers_with("first")
        run.workers.order(signal.SIGHUP)
        await until(run.has_said("all workers are replaced"), seconds=90)
        assert await answers_with("second")
        code.write_text("broken")
        run.workers.order(signal.SIGHUP)
        await until(run.has_said("does not start: the old ones stay"), seconds=90)
        await killed_and_replaced(run, "w2")
        assert await answers_with("second")


@needs_copies
async def test_workers_outlive_the_process_that_they_are_copies_of():
    async with running() as run:
        before = dict(run.workers.pids)
        (copied,) = {parent_of(pid) for pid in before.values()}
        os.kill(copied, signal.SIGKILL)
        await until(lambda: parent_of(before["w1"]) != copied)
        assert {int((await run.answer()).split()[1]) for _ in range(4)} <= set(before.values())
        await killed_and_replaced(run, "w1")
        assert run.workers.pids["w2"] == before["w2"]
        assert run.has_said("worker w1 is gone (nobody knows why), and is replaced")()


async def killed_and_replaced(run: Run, slot: str) -> None:
    before = run.workers.pids[slot]
    os.kill(before, signal.SIGKILL)
    await until(lambda: run.workers.pids[slot] != before, seconds=90)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


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
    sockets=[socket.create_server(("127.0.0.1", 0))], environment={{"GIVEN": ""}}, announce=say)
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
