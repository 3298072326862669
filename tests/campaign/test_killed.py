"""The command, killed in its own process while a simulated Twilio rings its numbers."""

import asyncio
import csv
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.cli.command import run
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import AccountRules, SimulatedTwilio
from twilio_frames.testing.calls.ringing import RingingCall

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's here"),
]

OWN = "+12125550199"
ANYTIME = ("--hours", "0:00-24:00", "--days", "mon-sun")
QUICK = (*ANYTIME, "--per-second", "20", "--at-once", "30", "--settle", "2", "--retry", "busy=2/1s")
THOUSAND = pytest.param(
    1000, (60, 300, 700, 1100, 1500), marks=[pytest.mark.truth, pytest.mark.timeout(1800)]
)


class Callees:
    """Everybody who is called: busy at first, some of them, and then there for a moment.

    Args:
        twilio: Lets them ring.
        busy: How often a number is busy first.
        seconds: How long a call goes on.
    """

    def __init__(self, twilio: SimulatedTwilio, busy: dict[str, int], *, seconds: float = 0.3):
        self._twilio, self._busy, self._seconds = twilio, busy, seconds
        self.called: Counter[str] = Counter()
        self._answering: set[asyncio.Task[None]] = set()
        self._rung = asyncio.Condition()

    async def answer_all(self) -> None:
        while True:
            ringing = await self._twilio.wait_for_call(seconds=60)
            async with self._rung:
                self.called[ringing.to_number] += 1
                self._rung.notify_all()
            task = asyncio.create_task(self._answer(ringing))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def wait_for(self, calls: int) -> None:
        async with asyncio.timeout(600), self._rung:
            await self._rung.wait_for(lambda: self.called.total() >= calls)

    async def _answer(self, ringing: RingingCall) -> None:
        if self.called[ringing.to_number] <= self._busy.get(ringing.to_number, 0):
            await ringing.decline()
            return
        async with ringing.answer() as caller:
            with suppress(CallFailedError):
                await caller.wait(self._seconds)


@pytest.fixture
async def webhook() -> AsyncIterator[str]:
    async def hang_up(_: web.Request) -> web.Response:
        answer = '<Response><Pause length="1"/><Hangup/></Response>'
        return web.Response(text=answer, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/twiml", hang_up)
    async with TestServer(app) as server:
        yield str(server.make_url("/twiml"))


class Command:
    """The command in the folder of its files.

    Args:
        folder: Where ``calls.csv`` is.
        twilio: Whom it asks.
        line: The rest of the command line.
    """

    def __init__(self, folder: Path, twilio: SimulatedTwilio, *line: str):
        self._folder, self._line = folder, ("campaign", "calls.csv", *line)
        self._environment = {
            "PATH": os.environ["PATH"],
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "TWILIO_PHONE_NUMBER": OWN,
            "TWILIO_FRAMES_API_URL": twilio.rest_url,
        }

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "twilio_frames.cli", *self._line),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )

    async def go_on(self) -> int:
        """Runs it again, to its end, within this process, which has imported it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self._folder)
            for name, value in self._environment.items():
                patch.setenv(name, value)
            return await run(*self._line)


@pytest.mark.parametrize(("size", "killed_at"), [(12, (4,)), THOUSAND])
async def test_killed_campaign_goes_on(
    tmp_path: Path,
    webhook: str,
    capsys: pytest.CaptureFixture[str],
    size: int,
    killed_at: tuple[int, ...],
):
    numbers = [f"+1212{2000000 + place}" for place in range(size)]
    busy = {number: place % 4 for place, number in enumerate(numbers)}
    (tmp_path / "calls.csv").write_text("number,name\n" + "".join(f"{n},Ann\n" for n in numbers))
    rules = AccountRules(answers_lost=0.1, requests_lost=0.05)
    async with SimulatedTwilio(rules=rules, seed=7) as twilio:
        callees = Callees(twilio, busy)
        answering = asyncio.create_task(callees.answer_all())
        files = ("--json", "counts.json", "--results", "results.jsonl")
        command = Command(tmp_path, twilio, webhook, *QUICK, *files)
        for calls in killed_at:
            running = await command.start()
            await callees.wait_for(calls)
            running.kill()
            await running.communicate()
        status = await command.go_on()
        answering.cancel()

    # Two tries more for who is busy, so that three are the most.
    assert callees.called == {number: min(busy[number] + 1, 3) for number in numbers}
    assert status == 0
    expected = {"answered": size * 3 // 4, "busy": size // 4}
    assert (
        f"{size} of {size} done ({expected['answered']} answered, {expected['busy']} busy)"
        in capsys.readouterr().out
    )
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["outcomes"] == expected
    assert (counts["calls"], counts["waiting"], counts["up"]) == (callees.called.total(), 0, 0)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == numbers
    sids = [attempt["call_sid"] for line in lines for attempt in line["attempts"]]
    assert len(sids) == len(set(sids)) == callees.called.total()


async def test_interrupted_campaign_ends_cleanly(tmp_path: Path, webhook: str):
    numbers = [f"+12125550{place:03}" for place in range(200, 210)]
    (tmp_path / "calls.csv").write_text("number\n" + "\n".join(numbers))
    async with SimulatedTwilio() as twilio:
        callees = Callees(twilio, {}, seconds=2.0)
        answering = asyncio.create_task(callees.answer_all())
        line = (*ANYTIME, "--per-second", "2", "--results", "results.csv")
        command = Command(tmp_path, twilio, webhook, *line)
        running = await command.start()
        await callees.wait_for(2)
        running.send_signal(signal.SIGINT)
        out, _ = await running.communicate()
        rung = callees.called.total()
        table = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
        status = await command.go_on()
        answering.cancel()

    assert running.returncode == 130
    assert b"the same command goes on where it was" in out
    assert [row["outcome"] for row in table].count("answered") == rung < len(numbers)
    assert status == 0
    assert callees.called == dict.fromkeys(numbers, 1)
