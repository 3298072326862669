import json

import pytest

from tests.report.logs import HEADER, closed, line, reply, texts, turn
from twilio_frames.cli import main
from twilio_frames.transport.recorder.wav import StereoWav

CALL = [
    HEADER,
    line(0.5, "call", call_sid="CA1"),
    *turn(1.0, 2.0),
    *reply(2.8, "Hi.", llm=2.5),
    closed(8.0),
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "call.jsonl"
    path.write_text("\n".join(texts(CALL)) + "\n")
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_page_lies_beside_the_log(log, capsys):
    assert run("report", log) == 0

    page = log.with_suffix(".html")
    assert "CA1" in page.read_text()
    assert str(page) in capsys.readouterr().out


def test_recording_beside_the_log_is_found(log):
    wav = StereoWav(log.with_suffix(".wav"))
    wav.end(64000)

    assert run("report", log) == 0
    assert '"hasPacked":true' in log.with_suffix(".html").read_text()
    assert run("report", log, "--no-embed", "-o", log.parent / "other.html") == 0
    assert '"audioLink":"call.wav"' in (log.parent / "other.html").read_text()


def test_explanation_needs_no_page(log, capsys):
    assert run("report", log, "--explain") == 0

    output = capsys.readouterr().out
    assert output.startswith("1. bad: The caller waited 3.5 s for an answer")
    assert not log.with_suffix(".html").exists()


def test_picture_is_png(log, tmp_path):
    assert run("report", log, "--png", tmp_path / "call.png", "--dark") == 0
    assert (tmp_path / "call.png").read_bytes().startswith(b"\x89PNG")


def test_programs_read_json(log, tmp_path):
    assert run("report", log, "--json", tmp_path / "report.json") == 0

    result = json.loads((tmp_path / "report.json").read_text())
    assert (result["command"], result["title"]) == ("report", "CA1")
    assert result["answers"][0]["from"] == 2.0


def test_other_files_are_told(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("hello\n")

    assert run("report", tmp_path / "notes.txt") == 1
    assert "to begin with a line of kind `log`" in capsys.readouterr().err


def test_place_that_cannot_be_written_is_told(log, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("report", log, "-o", tmp_path / "nowhere" / "call.html")
    assert "expected a file in a folder that exists" in capsys.readouterr().err
