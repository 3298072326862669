"""``twilio-frames campaign`` with a bot that is served by the command itself."""

import asyncio
import json
import random
import struct
import sys
from pathlib import Path

import pytest

from tests.cli.command import run
from twilio_frames.audio import encode_mulaw
from twilio_frames.campaign.plan import Attempt, Contact, Plan
from twilio_frames.campaign.policy import CampaignPolicy, Outcome
from twilio_frames.campaign.results import csv_of
from twilio_frames.cli import main
from twilio_frames.testing import AccountRules, Caller, SimulatedTwilio, Voicemail

OWN, ANN, BEN, CAT, DAN, EVE = (f"+1212555019{digit}" for digit in (9, 1, 2, 3, 4, 5))
BOT = """
import aiohttp

names, told = [], []

async def bot(call):
    names.append(call.parameters.get("name"))
    news = f"{call.detours.base_url}/console/news"
    async with aiohttp.ClientSession() as session, session.get(news) as answer:
        told.append(await answer.json())
    await call.hang_up()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "campaign_bot.py").write_text(BOT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "campaign_bot", raising=False)
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", OWN)
    for name in ("TWILIO_FRAMES_PUBLIC_URL", "TWILIO_FRAMES_API_URL", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def sign_in(monkeypatch: pytest.MonkeyPatch, twilio: SimulatedTwilio) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio.account_sid)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", twilio.auth_token)
    monkeypatch.setenv("TWILIO_FRAMES_API_URL", twilio.rest_url)


def noise(seconds: float) -> bytes:
    """As loud as speech, and no tone."""
    samples = random.Random(1).choices(range(-8000, 8000), k=round(8000 * seconds))
    return encode_mulaw(struct.pack(f"<{len(samples)}h", *samples))


async def listen(caller: Caller) -> None:
    await caller.wait_for_end(seconds=60)


async def test_bot_is_connected_to_whom_is_called(folder: Path, monkeypatch, capsys):
    rows = [f"{ANN},Ann", f"{BEN},Ben", f"{CAT},Cat", f"{DAN},Dan", "+19005550123,Pay", "nobody,No"]
    (folder / "calls.csv").write_text("number,name\n" + "\n".join(rows))
    (folder / "not.txt").write_text(DAN)
    async with SimulatedTwilio(rules=AccountRules(calls_per_second=1)) as twilio:
        sign_in(monkeypatch, twilio)
        for number, script in ((ANN, listen), (BEN, None), (DAN, listen)):
            twilio.answer_with(number, script)
        twilio.answer_with(CAT, Voicemail(greeting=noise(4.0)))
        line = ["campaign", folder / "calls.csv", "campaign_bot:bot", "--port", 0]
        line += ["--hours", "0:00-24:00", "--days", "mon-sun", "--retry", "busy=1/1m"]
        line += ["--do-not-call", folder / "not.txt", "--machine-detection", "Enable"]
        line += ["--retry", "machine=0", "--retry", "answered=0"]
        files = ["--results", folder / "results.jsonl", "--json", folder / "counts.json"]
        status = await run(*line, *files)

    assert status == 0, capsys.readouterr()
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert {line["parameters"]["name"]: (line["outcome"], line["calls"]) for line in lines} == {
        "Ann": ("answered", 1),
        "Ben": ("busy", 2),
        "Cat": ("machine", 1),
        "Dan": ("do-not-call", 0),
        "Pay": ("not-allowed", 0),
        "No": ("invalid", 0),
    }
    bot = sys.modules["campaign_bot"]
    assert sorted(bot.names) == ["Ann", "Cat"]
    (shown,) = bot.told[0]["campaigns"]
    assert (shown["name"], shown["contacts"]) == ("calls.csv", 6), "the console's"
    assert shown["outcomes"] == {"do-not-call": 1, "not-allowed": 1, "invalid": 1}
    counts = json.loads((folder / "counts.json").read_text())
    assert (counts["command"], counts["contacts"], counts["calls"]) == ("campaign", 6, 4)
    out = capsys.readouterr().out
    assert "1 rows without a phone number, not called: 7" in out
    assert "6 of 6 done" in out
    assert "console: http://127.0.0.1:" in out


async def test_verdict_beside_the_bot_goes_to_its_server(folder: Path, monkeypatch, capsys):
    (folder / "calls.csv").write_text(f"number\n{ANN}\n")
    (folder / "campaign_bot.py").write_text("async def bot(call): await call.line_ended()")
    async with SimulatedTwilio() as twilio:
        sign_in(monkeypatch, twilio)
        twilio.answer_with(ANN, Voicemail(greeting=noise(4.0)))
        line = ["campaign", folder / "calls.csv", "campaign_bot:bot", "--port", 0]
        line += ["--hours", "0:00-24:00", "--days", "mon-sun", "--retry", "machine=0"]
        line += ["--machine-detection", "Enable", "--async-detection", "--on-machine", "hang-up"]
        assert await run(*line) == 0, capsys.readouterr()

    assert "1 of 1 done (1 machine)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--hours 20:00-9:00", "end behind their beginning"),
        ("--on-machine hang-up", "expected --machine-detection with --on-machine hang-up"),
        ("--record-callback https://a.example.com", "expected record with record_callback"),
        ("--per-second 0", "calls_per_second"),
        ("--zone Mars", "a time zone"),
        ("", "set TWILIO_ACCOUNT_SID"),
    ],
)
def test_what_cannot_work_calls_nobody(folder: Path, monkeypatch, capsys, line: str, reason: str):
    (folder / "calls.csv").write_text(f"number\n{ANN}\n")

    assert main(["campaign", str(folder / "calls.csv"), "campaign_bot:bot", *line.split()]) == 1
    assert reason in capsys.readouterr().err
    assert not (folder / "calls.campaign").exists()


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--hours", "9-20", "expected hours such as 9:00-20:00"),
        ("--hours", "9:00-25:00", "expected hours such as 9:00-20:00"),
        ("--days", "someday", "expected days such as mon-fri"),
        ("--retry", "busy", "such as busy=2/10m"),
        ("--retry", "tired=2/10m", "such as busy=2/10m"),
        ("--retry", "busy=2", "such as busy=2/10m"),
        ("--do-not-call", "/no/such/file", "expected a file"),
    ],
)
def test_option_that_cannot_be_is_refused(folder: Path, capsys, option, value, reason):
    (folder / "calls.csv").write_text(f"number\n{ANN}\n")
    with pytest.raises(SystemExit) as raised:
        main(["campaign", str(folder / "calls.csv"), "campaign_bot:bot", option, value])

    assert raised.value.code == 2
    assert reason in capsys.readouterr().err


async def test_wrong_secret_ends_it_with_the_reason(folder: Path, monkeypatch, capsys):
    (folder / "calls.csv").write_text(f"number\n{ANN}\n")
    async with SimulatedTwilio() as twilio:
        sign_in(monkeypatch, twilio)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", "another")
        async with asyncio.timeout(60):
            url = "https://bot.example.com/twiml"
            assert await run("campaign", folder / "calls.csv", url) == 1

    assert "Authenticate" in capsys.readouterr().err


def test_spreadsheet_finds_no_formula():
    contact = Contact(number=ANN, parameters={"note": "=HYPERLINK(1)"})
    ended = Attempt(key=1, number=ANN, asked_at=0.0, outcome=Outcome.ANSWERED, ended_at=9.0)
    plan = Plan([contact], CampaignPolicy(), attempts=[ended])

    assert csv_of(plan).splitlines() == [
        "number,outcome,calls,call_sid,called_at,seconds,answered_by,code,note",
        f"{ANN},answered,1,,1970-01-01T00:00:00+00:00,,,,'=HYPERLINK(1)",
    ]
