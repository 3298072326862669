"""``twilio-frames serve`` in a process of its own, ``twilio-frames dial`` to a simulated Twilio."""

import asyncio
import importlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.cli.command import run
from tests.testing.bots import AUTH_TOKEN
from twilio_frames.cli import main
from twilio_frames.errors import MissingExtraError
from twilio_frames.server import ServerSettings
from twilio_frames.testing import CallEnd, Phone, SimulatedTwilio

BOT = """
is_warm = False

async def warm_up():
    global is_warm
    is_warm = True

async def prepare(coming):
    return coming.call_sid

async def bot(call):
    if is_warm and await call.prepared() == call.call_sid:
        await call.hang_up()
    else:
        raise RuntimeError("expected a bot that is warm and prepared")
"""


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's here")
async def test_served_bot_takes_a_call(phone: Phone, tmp_path):
    (tmp_path / "phone_bot.py").write_text(BOT)
    serving = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from twilio_frames.cli import main; sys.exit(main())",
        *("serve", "phone_bot:bot", "--port", "0"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TWILIO_AUTH_TOKEN": phone.auth_token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert serving.stdout is not None
    try:
        async with asyncio.timeout(120):
            while not (found := re.search(rb"http://\S+/twiml", await serving.stdout.readline())):
                assert serving.returncode is None
        async with phone.call(found[0].decode()) as caller:
            assert await caller.wait_for_end(seconds=60) is CallEnd.BOT_HUNG_UP
            assert "say" not in [entry.event for entry in caller.log.entries]
        async with asyncio.timeout(60):
            told = await serving.stdout.readline()
        softphone = re.search(rb"softphone: (http://\S+/phone)", told)
        assert softphone
        async with aiohttp.ClientSession() as session, session.get(softphone[1].decode()) as page:
            assert "phone_bot:bot" in await page.text()
    finally:
        serving.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await serving.wait()

    assert serving.returncode == 0


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_thing.at_all", "no_such_thing, which needy_bot imports, got none"),
        ("import deepgram.nothing", "[deepgram]"),
        ("import needing_service", "no_such_thing, which needing_service imports, got none"),
        ("import twilio_frames.services.function_calls", "pipecat-twilio-frames[openai]"),
        # Pipecat's ways of telling of it.
        (
            "try:\n    import deepgram.nothing\nexcept ModuleNotFoundError as e:\n"
            "    raise Exception('Missing module')",
            "[deepgram]",
        ),
        (
            "try:\n    import no_such_thing\nexcept ImportError as e:\n"
            "    raise ImportError('Missing module') from e",
            "no_such_thing, which needy_bot imports, got none",
        ),
    ],
)
def test_what_a_bot_lacks_is_named(source, reason, monkeypatch, tmp_path, capsys):
    (tmp_path / "needy_bot.py").write_text(source)
    (tmp_path / "needing_service.py").write_text("import no_such_thing")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    monkeypatch.delitem(sys.modules, "needy_bot", raising=False)
    monkeypatch.delitem(sys.modules, "twilio_frames.services.function_calls", raising=False)

    assert main(["serve", "needy_bot:bot"]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("deepgram", "httpx", "deepgram"),
        ("deepgram", "deepgram", "deepgram"),
        ("function_calls", "referencing", "openai"),
    ],
)
def test_plain_import_of_a_service_names_its_extra(module, missing, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    for name in list(sys.modules):
        if name.startswith(f"twilio_frames.services.{module.partition('.')[0]}"):
            monkeypatch.delitem(sys.modules, name)

    with pytest.raises(MissingExtraError) as error:
        importlib.import_module(f"twilio_frames.services.{module}")

    assert (error.value.module, error.value.extra) == (missing, extra)


@pytest.mark.parametrize("name", ["warm_up", "prepare"])
@pytest.mark.parametrize("source", ["def {}(*_): pass", "{} = True"])
def test_hook_that_is_no_coroutine_function_is_refused(name, source, monkeypatch, tmp_path, capsys):
    text = "async def bot(call): pass\n" + source.format(name)
    (tmp_path / "hooked_bot.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hooked_bot", raising=False)
    monkeypatch.setattr("twilio_frames.server.serve", _no_server)

    assert main(["serve", "hooked_bot:bot"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"expected a coroutine function {name} beside the bot, got" in line


async def _no_server(*_: object, **__: object) -> None:
    """Takes no calls, so that a test which fails does not wait for some."""


def test_bot_with_a_mistake_shows_where(monkeypatch, tmp_path, capsys):
    (tmp_path / "needy_bot.py").write_text("from json import no_such_name")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["serve", "needy_bot:bot"]) == 1
    error = capsys.readouterr().err
    assert "no_such_name" in error
    assert "needy_bot.py:1" in error


async def test_dialed_number_rings(monkeypatch, capsys):
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio.account_sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
        monkeypatch.setenv("TWILIO_FRAMES_API_URL", twilio.rest_url)
        monkeypatch.setenv("TWILIO_FRAMES_PUBLIC_URL", "https://bot.example.com/")
        command = ["dial", "+12125550123", "--from", "+12125550199"]
        status = await run(*command)
        ringing = await twilio.wait_for_call(seconds=1)

    assert status == 0
    assert ringing.to_number == "+12125550123"
    assert ringing.call_sid in capsys.readouterr().out


@pytest.fixture
async def asked(monkeypatch) -> AsyncIterator[list[dict[str, str]]]:
    """The forms that ``dial`` posts."""
    forms: list[dict[str, str]] = []

    async def create(request: web.Request) -> web.Response:
        forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.json_response({"sid": "CA7", "status": "queued"}, status=201)

    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/AC1/Calls.json", create)
    async with TestServer(app) as server:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
        monkeypatch.setenv("TWILIO_FRAMES_API_URL", str(server.make_url("/")))
        monkeypatch.setenv("TWILIO_FRAMES_PUBLIC_URL", "https://bot.example.com/")
        yield forms


DIAL = ["dial", "+12125550123", "--from", "+12125550199"]


async def test_dial_has_the_options_of_a_call(asked: list[dict[str, str]]):
    line = "--ring-seconds 25 --time-limit 600 --record dual --parameter order=7 --async-detection"
    line += " --machine-detection Enable --status-callback https://a.example.com/status"
    assert await run(*DIAL, *line.split(), "--status-events", "completed") == 0

    (form,) = asked
    assert form["Url"] == "https://bot.example.com/twiml?order=7"
    assert (form["Timeout"], form["TimeLimit"], form["RecordingChannels"]) == ("25", "600", "dual")
    assert (form["MachineDetection"], form["AsyncAmd"]) == ("Enable", "true")
    assert form["AsyncAmdStatusCallback"] == "https://bot.example.com/amd"
    assert form["StatusCallback"] == "https://a.example.com/status"
    assert form["StatusCallbackEvent"] == "completed"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--async-detection", "expected machine_detection with async_detection"),
        ("--detection-seconds 9", "expected machine_detection with detection_secs"),
        ("--record-callback https://a.example.com", "expected record with record_callback"),
        ("--status-events completed", "expected status_callback with status_events"),
        ("--ring-seconds 700", "ring_secs"),
        ("--parameter from=me", "parameters"),
        (
            "--url https://a.example.com/ --machine-detection Enable --async-detection",
            "expected detection_callback with async_detection",
        ),
    ],
)
async def test_half_an_option_rings_nobody(
    asked: list[dict[str, str]], capsys, line: str, reason: str
):
    assert await run(*DIAL, *line.split()) == 1

    assert reason in capsys.readouterr().err
    assert asked == []


async def test_refused_number_is_explained(monkeypatch, capsys):
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio.account_sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
        monkeypatch.setenv("TWILIO_FRAMES_API_URL", twilio.rest_url)
        command = [
            "dial",
            "+12125550123",
            "--from",
            "nobody",
            "--url",
            "https://example.com/",
        ]

        assert await run(*command) == 1
    assert "not a valid phone number" in capsys.readouterr().err


def test_help_names_every_variable(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    output = capsys.readouterr().out
    named = set(re.findall(r"^  (TWILIO_[A-Z_]+) ", output, re.MULTILINE))

    assert named == set(re.findall(r"``(TWILIO_[A-Z_]+)``", str(ServerSettings.__doc__)))
