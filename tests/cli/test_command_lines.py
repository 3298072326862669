"""What a command line asks for that cannot work is said before anything rings."""

import asyncio
import json
import os
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger

from tests.cli.command import run
from tests.testing.bots import TinyBot, serving, tone
from twilio_frames.audio import decode_mulaw
from twilio_frames.call import Call
from twilio_frames.cli import main
from twilio_frames.cli.shown.console import ShownErrors, showing_errors
from twilio_frames.testing import Phone


@pytest.mark.parametrize(
    ("line", "usage", "reason"),
    [
        ("dmeo", "twilio-frames [-h]", ": did you mean demo?"),
        ("demo --phne", "twilio-frames demo", "arguments: --phne: did you mean --phone?"),
        ("demo -v", "twilio-frames demo", "-v: it stands ahead of the command"),
        ("doctor --jsn x", "twilio-frames doctor", "--jsn x: did you mean --json?"),
        ("doctor --jsn=x", "twilio-frames doctor", "--jsn=x: did you mean --json?"),
        ("completion fsih", "twilio-frames completion", ": did you mean fish?"),
        ("--versoin doctor", "twilio-frames [-h]", ": did you mean --version?"),
        ("doctor quite_else", "twilio-frames doctor", "unrecognized arguments: quite_else\n"),
    ],
)
def test_mistyped_line_says_what_was_meant(line, usage, reason, capsys):
    with pytest.raises(SystemExit) as raised:
        main(line.split())

    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: {usage}")
    assert reason in error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("serve my_bot:bot --port 99999", "expected a port, 0 to 65535, got '99999'"),
        ("serve my_bot:bot --port -1", "expected a port"),
        ("serve my_bot:bot --port http", "expected a port"),
        ("serve my_bot:bot --workers 0", "expected 1 or more, got '0'"),
        ("serve my_bot:bot --workers two", "expected 1 or more"),
        ("dial 12125", "with + and the country in front"),
        ("dial +0212555", "with + and the country in front"),
        ("dial 2125550123", "with + and the country in front"),
        ("call ws://127.0.0.1/stream --digits 12a", "expected keys"),
        ("call ws://127.0.0.1/stream --digits 1,2", "expected keys"),
        ("call ws://127.0.0.1/stream --log /no/such/folder/call.jsonl", "make the folder"),
        ("call ws://127.0.0.1/stream --record /no/such/folder/call.wav", "make the folder"),
        ("call ws://127.0.0.1/stream --json /tmp", "got the folder /tmp"),
        ("load ws://127.0.0.1/stream --json /no/such/folder/load.json", "make the folder"),
        ("demo --json /no/such/folder/demo.json", "make the folder"),
    ],
)
def test_line_that_cannot_work_is_refused(line, reason, capsys):
    with pytest.raises(SystemExit) as raised:
        main(line.split())

    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "+0212555" not in error


def riff(kind: int, bits: int, sound: bytes, extension: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", kind, 1, 8000, 8000 * bits // 8, bits // 8, bits) + extension
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


EXTENSION = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)


@pytest.mark.parametrize(
    "content",
    [b"", b"ID3\x04\x00\x00", b"\xff\xfb\x90\x00" * 99, riff(1, 16, b""), riff(3, 32, bytes(400))],
)
@pytest.mark.parametrize("command", ["call ws://127.0.0.1/ --wav", "demo --caller", "load x --wav"])
def test_file_that_cannot_be_played_is_refused(command, content, tmp_path, capsys):
    (tmp_path / "hello.wav").write_bytes(content)

    with pytest.raises(SystemExit) as raised:
        main([*command.split(), str(tmp_path / "hello.wav")])

    assert raised.value.code == 2
    assert "WAV file" in capsys.readouterr().err


async def test_extensible_file_is_played(tmp_path):
    path = tmp_path / "hello.wav"
    path.write_bytes(riff(0xFFFE, 16, decode_mulaw(tone(0.3)), EXTENSION))
    bot = TinyBot()
    async with serving(bot) as host:
        await run("call", f"ws://{host}/stream", "--patience", "0.1", "--wav", path)

    assert len({message["media"]["payload"] for message in bot.said("media")}) > 1


BOTS = """
import functools

def plain(call): ...
async def lonely(): ...
async def greedy(call, menu): ...
async def yielding(call): yield
class Kind:
    async def __call__(self, call): ...
served = 7
"""


@pytest.mark.parametrize(
    ("bot", "reason"),
    [
        ("bots:plain", "got a function that is none: write it with `async def`"),
        ("bots:yielding", "write it with `async def`"),
        ("bots:lonely", "give it one argument"),
        ("bots:greedy", "'menu'"),
        ("bots:Kind", "got a class"),
        ("bots:served", "got int"),
        ("bots:nobody", "got nothing of that name"),
        ("bots.py:plain", "say bots:plain"),
        ("app/bots.py:plain", "say app.bots:plain"),
        ("bots", "expected MODULE:BOT"),
        ("broken:bot", "SyntaxError"),
        ("failing:bot", "failing.py:2"),
    ],
)
def test_bot_that_cannot_work_is_refused(bot, reason, tmp_path, monkeypatch, capsys):
    (tmp_path / "bots.py").write_text(BOTS)
    (tmp_path / "broken.py").write_text("async def bot(call:\n")
    (tmp_path / "failing.py").write_text("\nraise OSError('no price list')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bots", raising=False)

    assert main(["serve", bot, "--port", "0"]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error


async def test_result_is_written_when_interrupted(tmp_path):
    async def greet(bot: TinyBot) -> None:
        await bot.play(tone(0.4))
        await bot.mark("heard")

    bot, path = TinyBot(greet), tmp_path / "call.json"
    async with serving(bot) as host:
        calling = asyncio.create_task(
            run("call", f"ws://{host}/stream", "--seconds", "600", "--json", path)
        )
        await bot.wait_for("mark")
        interrupt("_call")
        with pytest.raises(BaseException):  # noqa: B017, PT011 - what Ctrl-C comes as here
            await calling

    result = json.loads(path.read_text())
    assert result["interrupted"] is True
    assert result["turns"][0]["speaker"] == "bot"


async def test_load_is_written_when_interrupted(tmp_path):
    path = tmp_path / "load.json"
    speech = tmp_path / "hello.wav"
    speech.write_bytes(riff(1, 16, decode_mulaw(tone(0.3))))
    bot = TinyBot()
    async with serving(bot) as host:
        line = ("load", f"ws://{host}/stream", "--calls", "1", "--wav", speech, "--json", path)
        calling = asyncio.create_task(run(*line))
        await bot.wait_for("media", 200)
        interrupt("_load")
        with pytest.raises(BaseException):  # noqa: B017, PT011 - what Ctrl-C comes as here
            await calling

    assert json.loads(path.read_text())["interrupted"]["up"] == 1


def interrupt(name: str) -> None:
    """Does what Ctrl-C does to a command's coroutine."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == name:
            task.cancel()


class PriceListError(Exception):
    """What the bot raises."""


async def failing(call: Call) -> None:
    raise PriceListError("no price list")


async def test_errors_are_shown_whole(phone: Phone, capsys):
    with showing_errors(True):
        await phone.ring(failing, keep_errors=True)
    with showing_errors(False):
        await phone.ring(failing, keep_errors=True)

    shown = capsys.readouterr().err
    assert shown.count("PriceListError: no price list") == 1
    assert 'raise PriceListError("no price list")' in shown


def test_errors_may_go_elsewhere(tmp_path):
    with (tmp_path / "errors.txt").open("w") as file:
        ShownErrors(file).bot_failed(None, PriceListError("no"))  # pyright: ignore[reportArgumentType]

    assert "PriceListError: no" in (tmp_path / "errors.txt").read_text()


def test_commands_keep_onnxruntime_quiet(tmp_path):
    """Nothing is kept for its maker, neither by its import nor by a session of ours."""
    program = (
        "import sys, os\n"
        "import twilio_frames.cli as cli\n"
        "assert not {'onnxruntime', 'pipecat'} & sys.modules.keys()\n"
        "try: cli.main(['--version'])\n"
        "except SystemExit: pass\n"
        "import onnxruntime\n"
        "from twilio_frames.processors.vad import PhoneVAD\n"
        "PhoneVAD()\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=environment, check=True)

    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [
        path for path in kept if "onnx" in str(path).lower() or "microsoft" in str(path).lower()
    ]


def test_lines_that_nobody_sees_are_not_made(tmp_path: Path):
    """A bot's pipeline logs thousands of them a second."""
    made: list[str] = []
    log = tmp_path / "call.jsonl"
    log.write_text("no log")
    assert main(["report", str(log)]) != 0
    logger.opt(lazy=True).trace("{}", lambda: made.append("line"))
    assert not made


def test_command_is_a_module_as_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["twilio-frames", "--version"])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("twilio_frames.cli", run_name="__main__")
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith("twilio-frames ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("demo --phone --json demo.json", "expected either --phone or --json, got both"),
        ("demo --port 8000", "expected --phone with --port"),
        ("demo --no-browser", "expected --phone with --port"),
    ],
)
def test_option_that_would_do_nothing_is_refused(line, reason, capsys):
    assert main(line.split()) == 1
    assert reason in capsys.readouterr().err
