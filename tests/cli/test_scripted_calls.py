"""``twilio-frames call`` with scripts and recorded callers."""

import base64
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from aiohttp import web

from tests.cli.command import run
from tests.testing.bots import TinyBot, serving, tone
from twilio_frames.cli.scripted import ScriptedCall
from twilio_frames.cli.shown.junit import junit_xml
from twilio_frames.testing import Script


class Greeter(TinyBot):
    """Greets every caller; may be rung by several at once."""

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for item in socket:
            message = json.loads(item.data)
            self.messages.append(message)
            if message["event"] == "start":
                media = {"payload": base64.b64encode(tone(0.2)).decode()}
                stream = {"streamSid": message["streamSid"]}
                await socket.send_json({"event": "media", "media": media, **stream})
        return socket


GOOD = """\
scenarios:
  - name: greeting
    turns:
      - expect: [{event: bot_started_speaking, within_ms: 3000}]
      - dtmf: "1"
"""
BAD = """\
turns:
  - expect:
      - event: call_ended
        within_ms: 200
"""


@pytest.fixture
def scripts(tmp_path: Path) -> tuple[Path, Path]:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(BAD)
    return good, bad


async def test_met_script_succeeds(scripts, tmp_path, capsys):
    bot = Greeter()
    async with serving(bot) as host:
        status = await run(
            "call", f"ws://{host}/stream", "--script", scripts[0],
            "--json", tmp_path / "result.json", "--record", tmp_path / "call.wav",
        )  # fmt: skip

    assert status == 0
    assert "1 of 1 scenarios" in capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    (scenario,) = result["scenarios"]
    assert (result["passed"], scenario["passed"], scenario["problem"]) == (True, True, None)
    assert (scenario["name"], scenario["file"]) == ("good/greeting", str(scripts[0]))
    assert scenario["checks"][0]["expected"] == "bot_started_speaking within 3000 ms"
    assert scenario["call"]["first_audio"] >= 0
    assert scenario["recording"] == str(tmp_path / "call.wav")
    assert len(bot.said("dtmf")) == 1


async def test_unmet_script_has_its_status(scripts, tmp_path, capsys):
    async with serving(Greeter()) as host:
        status = await run(
            "call", f"ws://{host}/stream", "--script", *scripts, "--log", tmp_path / "call.jsonl",
            "--junit", tmp_path / "junit.xml", "--at-once", "2",
        )  # fmt: skip

    assert status == 3
    output = capsys.readouterr().out
    assert f"expected call_ended within 200 ms, got nothing at {scripts[1]}:3" in output
    assert "1 of 2 scenarios" in output
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    good, bad = suite
    assert good.find("failure") is None
    assert "bot: speaks for 0.2 s" in (good.findtext("system-out") or "")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("expected call_ended within 200 ms")
    logs = sorted(path.name for path in tmp_path.glob("call-*.jsonl"))
    assert logs == ["call-1-good-greeting.jsonl", "call-2-bad.jsonl"]


async def test_bot_that_is_away_is_an_error(scripts, tmp_path):
    status = await run(
        "call", "ws://127.0.0.1:1/stream", "--script", scripts[0], "--junit", tmp_path / "j.xml"
    )

    assert status == 1
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()[0]
    assert suite.get("errors") == "1"
    assert suite.find("testcase/error") is not None


async def test_mistake_in_a_script_is_told(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("turns:\n  - usr: hello\n")

    assert await run("call", "ws://h/s", "--script", tmp_path / "x.yaml") == 1
    assert f"got `usr` at {tmp_path / 'x.yaml'}:2" in capsys.readouterr().err


def test_junit_holds_any_text():
    call = ScriptedCall(script=Script(name="a\x00<b>", turns=()), problem="broke \x1b off & on")

    case = ElementTree.fromstring(junit_xml([call]))[0][0]

    assert case.get("name") == "a?<b>"
    assert case.findtext("error") == "broke ? off & on"


def write_capture(path: Path, *extra: str) -> Path:
    sound = tone(0.3, 700)
    lines = [
        json.dumps({
            "event": "media",
            "media": {
                "track": "inbound",
                "timestamp": str(100 + 20 * number),
                "payload": base64.b64encode(sound[number * 160 : number * 160 + 160]).decode(),
            },
        })
        for number in range(15)
    ]  # fmt: skip
    path.write_text("\n".join([*lines, *extra]))
    return path


async def test_recorded_caller_is_replayed(tmp_path, capsys):
    bot = Greeter()
    capture = write_capture(tmp_path / "capture.jsonl")
    async with serving(bot) as host:
        status = await run("call", f"ws://{host}/stream", "--replay", capture)

    assert status == 0
    output = capsys.readouterr().out
    assert "Replaying capture.jsonl, 0.3 s" in output
    assert "caller  (capture.jsonl)" in output
    sent = b"".join(base64.b64decode(each["media"]["payload"]) for each in bot.said("media"))
    assert tone(0.3, 700) in sent


async def test_broken_capture_is_told_and_skipped(tmp_path, capsys):
    capture = write_capture(tmp_path / "capture.jsonl", '{"event": "media", "media')

    assert await run("call", "ws://127.0.0.1:1/s", "--replay", capture) == 1
    assert f"got a broken one at {capture}:16" in capsys.readouterr().err
    async with serving(Greeter()) as host:
        skipping = ("--replay", capture, "--skip-malformed")
        assert await run("call", f"ws://{host}/stream", *skipping) == 0
    assert "1 lines that are no messages (16)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--say", "Hello", "--script", "FILE"], "--script and --say, --wav or --digits"),
        (["--replay", "FILE", "--script", "FILE"], "--script and --replay"),
        (["--junit", "x.xml"], "expected --script beside --junit"),
    ],
)
async def test_one_caller_at_a_time(scripts, arguments, problem, capsys):
    given = [str(scripts[0]) if each == "FILE" else each for each in arguments]

    assert await run("call", "ws://127.0.0.1:1/stream", *given) == 1
    assert problem in capsys.readouterr().err
