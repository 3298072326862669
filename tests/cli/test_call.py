"""``twilio-frames call`` against small bots."""

import asyncio
import json
import wave

import pytest

from tests.cli.command import run
from tests.testing.bots import TinyBot, Webhook, serving, tone
from tests.testing.test_measures import result
from twilio_frames.audio import decode_mulaw
from twilio_frames.call import Call
from twilio_frames.cli import main
from twilio_frames.cli.scripted import tell_timekeeping
from twilio_frames.cli.shown.console import Console
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import Turn
from twilio_frames.testing.lines.timekeeping import Timekeeping


async def greet(bot: TinyBot):
    await bot.play(tone(0.2))


def write_wav(path, mulaw: bytes):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(decode_mulaw(mulaw))
    return path


async def test_script_is_done_in_order(tmp_path, capsys):
    bot = TinyBot(greet)
    speech = write_wav(tmp_path / "order.wav", tone(0.3))
    async with serving(bot) as host:
        status = await run(
            "call", f"ws://{host}/stream", "--digits", "1", "--wav", speech, "--digits", "2",
            "--patience", "0.2", "--parameter", "table=7",
            "--record", tmp_path / "call.wav", "--log", tmp_path / "call.jsonl",
            "--json", tmp_path / "call.json",
        )  # fmt: skip

    assert status == 0
    assert [digit["dtmf"]["digit"] for digit in bot.said("dtmf")] == ["1", "2"]
    assert bot.said("start")[0]["start"]["customParameters"] == {"table": "7"}
    output = capsys.readouterr().out
    assert "bot     speaks for 0.2 s" in output
    assert "caller  (order.wav)" in output
    result = json.loads((tmp_path / "call.json").read_text())
    assert [turn["speaker"] for turn in result["turns"]] == ["bot", "caller"]
    assert (result["command"], result["end"]) == ("call", "caller hung up")
    events = [
        json.loads(line)["event"] for line in (tmp_path / "call.jsonl").read_text().splitlines()
    ]
    assert events.index("answered") < events.index("dtmf") < events.index("ended")


@pytest.mark.parametrize("answered_after", [None, 0.5])
def test_late_simulator_is_named_where_times_are_told(answered_after, capsys):
    turn = Turn(speaker="caller", began_at=0.0, ended_at=1.0, answered_after=answered_after)
    late = Timekeeping(turns=500, p50=0.01, p99=0.08, worst=0.2)
    tell_timekeeping(result(turns=(turn,), timekeeping=late), Console())

    assert ("not to be trusted" in capsys.readouterr().out) is (answered_after is not None)


async def test_silent_bot_has_its_status(capsys):
    async with serving(TinyBot()) as host:
        assert await run("call", f"ws://{host}/stream", "--seconds", "0.3") == 3
    assert "the bot was never heard: it sent no sound in 0.3 s" in capsys.readouterr().out


async def test_webhook_is_told_the_numbers():
    webhook = Webhook("<Hangup/>")
    async with serving(webhook=webhook) as host:
        await run("call", f"http://{host}/twiml", "--from", "+12125550111")

    assert webhook.forms[0]["From"] == "+12125550111"


async def test_apology_is_not_the_bot(tmp_path):
    """What Twilio says in place of a bot that failed."""
    webhook = Webhook("<Say>Sorry, something went wrong.</Say><Hangup/>")
    async with serving(webhook=webhook) as host:
        file = tmp_path / "call.json"
        assert await run("call", f"http://{host}/twiml", "--seconds", "1", "--json", file) == 3

    assert [turn["speaker"] for turn in json.loads(file.read_text())["turns"]] == ["bot"]


async def test_nobody_there_is_said_plainly(capsys):
    assert await run("call", "http://127.0.0.1:1/twiml") == 1
    error = capsys.readouterr().err
    assert "expected a web server that answers, got none at http://127.0.0.1:1/twiml" in error


async def test_refusal_names_the_auth_token(capsys):
    async with serving() as host:
        assert await run("call", f"ws://{host}/stream") == 1
    assert "got 404 at" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["call"],
        ["call", "ws://h/s", "--wav", "/no/such/file.wav"],
        ["call", "ws://h/s", "--seconds", "-1"],
        ["call", "ws://h/s", "--parameter", "nothing"],
        ["nonsense"],
    ],
)
def test_wrong_command_lines_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bot", "reason"),
    [
        ("nothing", "MODULE:BOT"),
        ("no_such_module_here:bot", "no module no_such_module_here"),
        ("json:bot", "got nothing of that name"),
    ],
)
def test_bot_that_cannot_be_loaded_is_explained(bot, reason, capsys):
    assert main(["serve", bot]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("how", ["raise RuntimeError from error", "raise RuntimeError", "raise"])
def test_ctrl_c_while_the_bot_is_imported_is_no_error_of_the_bot(
    how, tmp_path, monkeypatch, capsys
):
    name = f"halted_{len(how)}"
    text = f"try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt as error:\n    {how}\n"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["serve", f"{name}:bot"]) == 130
    assert capsys.readouterr().err == ""


def test_dialing_needs_a_number_and_an_address(monkeypatch, capsys):
    monkeypatch.delenv("TWILIO_PHONE_NUMBER", raising=False)

    assert main(["dial", "+12125550123"]) == 1
    assert "TWILIO_PHONE_NUMBER" in capsys.readouterr().err


async def test_log_of_a_call_makes_a_report(tmp_path, capsys):
    log = tmp_path / "call.jsonl"
    async with serving(TinyBot(greet)) as host:
        await run("call", f"ws://{host}/stream", "--seconds", "1", "--log", log)

    assert main(["report", str(log)]) == 0
    assert "bot hung up" not in capsys.readouterr().err
    assert (tmp_path / "call.html").stat().st_size > 10_000


@pytest.mark.parametrize("command", [("call",), ("load", "--calls", "1", "--settling", "0.1")])
async def test_refused_stream_says_why(command, tmp_path, capsys):
    name, *more = command
    speech = write_wav(tmp_path / "order.wav", tone(0.3))
    settings = ServerSettings(auth_token="secret")
    async with Server(create_app(unreached, settings)) as server:
        stream = server.url.replace("http", "ws") + "/stream"
        line = [name, stream, *more, "--auth-token", "secret", "--wav", speech]
        assert await run(*line) == 1

    told = capsys.readouterr()
    assert "ring its webhook" in told.out + told.err


async def unreached(call: Call) -> None:
    raise AssertionError("expected no call")


SPEAKING = """
import asyncio

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from twilio_frames.local.tts import EspeakTTSService

async def bot(call):
    parts = [call.transport.input(), EspeakTTSService(), call.transport.output()]
    await call.run(Pipeline(parts), begin_with=[TTSSpeakFrame("Your table is booked.")])

async def tidy(call):
    await bot(call)
    for _ in range(20):
        await asyncio.sleep(0.01)
    print("tidied up behind", call.end_reason)

async def endless(call):
    await bot(call)
    await asyncio.Event().wait()

async def hasty(call):
    pass

async def failing(call):
    raise ValueError("no price list")
"""


@pytest.fixture
def own_bots(tmp_path, monkeypatch):
    (tmp_path / "speaking_bots.py").write_text(SPEAKING)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_bots")
async def test_words_of_ones_own_bot_are_shown(tmp_path, capsys):
    status = await run(
        "call", "speaking_bots:bot", "--seconds", "4", "--json", tmp_path / "call.json"
    )

    assert status == 0
    assert "bot     Your table is booked." in capsys.readouterr().out
    (turn,) = json.loads((tmp_path / "call.json").read_text())["turns"]
    assert turn["words"] == "Your table is booked."


@pytest.mark.usefixtures("own_bots")
async def test_ones_own_bot_winds_up_behind_its_call(capsys):
    assert await run("call", "speaking_bots:tidy", "--seconds", "3") == 0

    told = capsys.readouterr()
    assert "tidied up behind caller hung up" in told.out
    assert "cancelled" not in told.err


@pytest.mark.usefixtures("own_bots")
async def test_ones_own_bot_that_never_ends_is_not_waited_for():
    async with asyncio.timeout(30):
        assert await run("call", "speaking_bots:endless", "--seconds", "3") == 0


@pytest.mark.usefixtures("own_bots")
async def test_what_ones_own_bot_raises_is_shown(capsys):
    assert await run("call", "speaking_bots:failing", "--seconds", "1") == 3
    told = capsys.readouterr()
    assert "ValueError: no price list" in told.err
    assert "the bot was never heard: it raised ValueError" in told.out


@pytest.mark.usefixtures("own_bots")
async def test_own_bot_that_returns_at_once_is_told(capsys):
    assert await run("call", "speaking_bots:hasty", "--seconds", "1") == 3
    assert "the bot was never heard: it ended the call after" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sync", "https//h/x", "http:/x", "ws:"])
def test_bot_of_a_module_needs_its_name(name, capsys):
    assert main(["call", name]) == 1

    told = capsys.readouterr()
    assert "expected MODULE:BOT such as my_bot:bot, or a URL such as http" in told.err
    assert "Ringing" not in told.out


@pytest.mark.parametrize("place", ["ftp://h/x", "json:bot", "no_such_bots:bot"])
def test_nobody_is_rung_who_cannot_be(place, capsys):
    assert main(["call", place]) == 1
    assert "Ringing" not in capsys.readouterr().out


async def test_bot_that_is_not_there_is_told(capsys):
    assert await run("call", "no_such_bots:bot") == 1
    assert "got no module no_such_bots" in capsys.readouterr().err
