"""``twilio-frames calls`` asks a server that runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.command import run
from twilio_frames.call import Call
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import CallEnd, SimulatedTwilio

KEY = "k" * 20


@pytest.fixture
async def twilio() -> AsyncIterator[SimulatedTwilio]:
    async with SimulatedTwilio() as twilio:
        yield twilio


@pytest.fixture
async def server(twilio: SimulatedTwilio) -> AsyncIterator[Server]:
    async def bot(call: Call) -> None:
        await call.line_ended()

    settings = ServerSettings(
        account_sid=twilio.account_sid,
        auth_token=twilio.auth_token,
        api_url=twilio.rest_url,
        trust_proxies=True,
        dial_key=KEY,
    )
    async with Server(create_app(bot, settings)) as server:
        yield server


async def test_calls_are_listed(twilio: SimulatedTwilio, server: Server, capsys, tmp_path: Path):
    async with twilio.call(f"{server.url}/twiml") as caller:
        asked = ("calls", "--server", server.url, "--key", KEY, "--json", tmp_path / "calls.json")
        assert await run(*asked) == 0

    assert f"{caller.call_sid}  up, stream up, began 0 s ago" in capsys.readouterr().out
    (call,) = json.loads((tmp_path / "calls.json").read_text())["calls"]
    assert (call["call_sid"], call["stream"]) == (caller.call_sid, "up")


async def test_no_calls_are_said(server: Server, capsys):
    assert await run("calls", "--server", server.url, "--key", KEY) == 0
    assert capsys.readouterr().out == "no calls\n"


async def test_call_is_followed_to_its_end(twilio: SimulatedTwilio, server: Server, capsys):
    async with twilio.call(f"{server.url}/twiml") as caller:
        line = ("calls", "follow", caller.call_sid, "--server", server.url, "--key", KEY)
        following = asyncio.create_task(run(*line))
        await asyncio.sleep(3)
        await caller.hang_up()
        assert await following == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("up, stream up")
    assert "caller hung up" in lines[-1]


async def test_call_is_hung_up(twilio: SimulatedTwilio, server: Server):
    async with twilio.call(f"{server.url}/twiml") as caller:
        line = ("calls", "hang-up", caller.call_sid, "--server", server.url, "--key", KEY)
        assert await run(*line) == 0
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("list", "--key", "another"), "expected the dial key"),
        (("hang-up", "CA404", "--key", "another"), "expected the dial key"),
        (("follow", "CA404", "--key", KEY), "a call this server knows"),
        (("hang-up", "CA404", "--key", KEY), "a call this server knows"),
        (("follow", "--key", KEY), "`calls follow SID`"),
        (("list", "CA1", "--key", KEY), "`calls follow SID`"),
    ],
)
async def test_what_cannot_be_is_said(server: Server, capsys, line: tuple[str, ...], reason: str):
    assert await run("calls", *line, "--server", server.url) == 1
    assert reason in capsys.readouterr().err


async def test_server_that_does_not_run_is_told(server: Server, capsys):
    nowhere = f"http://127.0.0.1:{server.port + 1 if server.port < 65535 else 1}"
    assert await run("calls", "--server", nowhere) == 1
    assert "expected a server of this package" in capsys.readouterr().err
