"""``twilio-frames calls`` asks a server that runs."""

import argparse
import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from pipecat.pipeline.pipeline import Pipeline

from tests.cli.command import run
from twilio_frames.audio import MULAW_SILENCE, encode_mulaw
from twilio_frames.call import Call
from twilio_frames.cli.listen import LiveSound, read_order
from twilio_frames.cli.options import file_or_output
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
        await call.run(Pipeline([call.transport.input(), call.transport.output()]))

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


async def test_call_that_is_over_is_said_to_be(twilio: SimulatedTwilio, server: Server, capsys):
    async with twilio.call(f"{server.url}/twiml") as caller:
        await caller.hang_up()
        await server.drain(5)
    assert await run("calls", "--server", server.url, "--key", KEY) == 0

    told = capsys.readouterr().out
    assert f"{caller.call_sid}  over, stream ended, caller hung up, began " in told


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


async def test_call_is_listened_to(
    twilio: SimulatedTwilio, server: Server, capsys, monkeypatch, tmp_path: Path
):
    """Both sides are heard, what is typed is done, and the end is told."""
    wav = tmp_path / "call.wav"
    monkeypatch.setattr("sys.stdin", io.StringIO("/take twelve\n"))
    async with twilio.call(f"{server.url}/twiml") as caller:
        line = ("calls", "listen", caller.call_sid, "--server", server.url, "--key", KEY)
        listening = asyncio.create_task(run(*line, "--audio", wav))
        await caller.wait(1.0)
        await caller.say("Good morning.")
        await caller.hang_up()
        assert await listening == 0

    told = capsys.readouterr().out
    assert f"listening to {caller.call_sid}" in told
    assert "expected a phone number" in told
    assert "the call is over" in told
    with wave.open(str(wav)) as heard:
        samples = np.frombuffer(heard.readframes(heard.getnframes()), np.int16).reshape(-1, 2)
    assert np.abs(samples[:, 0]).max() > 2000, "the caller is on the left"
    assert 1.0 < len(samples) / 8000 < 5.0


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("Offer ten off.\n", {"do": "whisper", "text": "Offer ten off."}),
        ("/take +14155550123\n", {"do": "take_over", "to": "+14155550123"}),
        ("/hang-up\n", {"do": "hang_up"}),
        (" \n", None),
    ],
)
def test_what_is_typed_is_an_order(line: str, order: dict[str, str] | None):
    assert read_order(line) == order


def test_audio_goes_to_a_file_that_can_be(tmp_path: Path):
    assert file_or_output("-") == "-"
    assert file_or_output(str(tmp_path / "call.wav")) == str(tmp_path / "call.wav")
    with pytest.raises(argparse.ArgumentTypeError, match="a folder that exists"):
        file_or_output(str(tmp_path / "nowhere" / "call.wav"))


async def test_call_that_is_not_up_cannot_be_listened_to(server: Server, capsys):
    line = ("calls", "listen", "CA404", "--server", server.url, "--key", KEY)
    assert await run(*line) == 1
    assert "a call this server knows" in capsys.readouterr().err


def test_both_sides_are_heard_live_one_beside_the_other():
    heard = io.BytesIO()
    sound = LiveSound(heard)
    quiet, low, high = bytes([MULAW_SILENCE]), encode_mulaw(b"\0\x10"), encode_mulaw(b"\0\x40")
    # The bot's audio is told when it was heard, some time behind the caller's.
    for at in range(5000, 6000, 20):
        sound.put(0, at, (low if at < 5500 else quiet) * 160)
        if at >= 5300:
            sound.put(1, at - 200, (high if at < 5800 else quiet) * 160)
    asyncio.run(sound.close())

    samples = np.frombuffer(heard.getvalue(), np.int16).reshape(-1, 2)
    spoken = [np.flatnonzero(side) / 8000 for side in samples.T]
    assert (spoken[0][0], spoken[0][-1]) == pytest.approx((0.0, 0.5), abs=0.001)
    assert (spoken[1][0], spoken[1][-1]) == pytest.approx((0.1, 0.6), abs=0.001)
    assert len(samples) == 8000
