"""``twilio-frames load`` as it is typed, and what it shows."""

import io
import json

import pytest

from tests.cli.command import run
from tests.cli.test_call import write_wav
from tests.testing.bots import tone
from tests.testing.load.bots import AnsweringBot, bot_url
from tests.testing.load.test_search import LATE, result
from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.load_view import LoadView, show_result, show_verdict
from twilio_frames.testing.load import QualityLimits
from twilio_frames.testing.load.figures import LoadProgress
from twilio_frames.testing.load.search import SearchResult, Step


@pytest.fixture
def speech(tmp_path):
    return write_wav(tmp_path / "question.wav", tone(0.4))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(stage: str = "measuring", seconds: float = 1.0) -> LoadProgress:
    found = result()
    return LoadProgress(
        stage=stage,
        seconds=seconds,
        of_secs=10.0,
        up=9,
        calls=10,
        made=10,
        failed=1,
        figures=found.figures,
        timekeeping=found.timekeeping,
    )


async def test_load_writes_its_figures(tmp_path, speech, capsys):
    async with bot_url(AnsweringBot()) as url, bot_url(AnsweringBot()) as other:
        await run(
            "load", url, other, "--calls", "2", "--seconds", "1.5",
            "--ramp", "0.1", "--settling", "0.1", "--wav", speech, "--patience", "1",
            "--json", tmp_path / "load.json",
        )  # fmt: skip

    written = json.loads((tmp_path / "load.json").read_text())
    assert written["command"] == "load"
    assert [load["url"] for load in written["loads"]] == [url, other]
    for load in written["loads"]:
        assert (load["up"], load["failed"]) == (2, 0)
        assert load["timekeeping"]["turns"] > 100
    output = capsys.readouterr().out
    assert "2 up at once; 2 made, 0 failed" in output
    assert "measuring 1 s: 2 of 2 up" in output


async def test_bot_that_refuses_all_could_not_be_tried(speech, capsys):
    async with bot_url(AnsweringBot()) as url:
        nowhere = url.replace("stream", "nowhere")
        assert await run("load", nowhere, "--calls", "1", "--settling", "0.1", "--wav", speech) == 1

    assert "could not be tried" in capsys.readouterr().out


async def test_search_says_how_many(tmp_path, speech, capsys):
    async with bot_url(AnsweringBot()) as url:
        await run(
            "load", url, "--search", "--first", "1", "--most", "2", "--seconds", "1.2",
            "--ramp", "0.1", "--settling", "0.1", "--wav", speech, "--times-slower", "1000",
            "--interrupting", "0", "--json", tmp_path / "load.json",
        )  # fmt: skip

    (found,) = json.loads((tmp_path / "load.json").read_text())["loads"]
    assert found["steps"][0]["calls"] == 1
    assert f"{found['largest']} calls" in capsys.readouterr().out


def test_terminal_is_redrawn_in_place():
    screen = Terminal()
    view = LoadView(Console(screen))
    with view.of("ws://bot"):
        view.show(progress(seconds=1.0))
        first = screen.getvalue()
        view.show(progress(seconds=2.0))

    lines = first.count("\n")
    assert "\x1b[" not in first
    assert screen.getvalue()[len(first) :].startswith(f"\x1b[{lines}F\x1b[J")
    assert "9 of 10, 1 failed" in first
    assert "[###..." in first


def test_file_gets_a_line_now_and_then():
    written = io.StringIO()
    view = LoadView(Console(written))
    with view.of("ws://bot"):
        for seconds in range(1, 13):
            view.show(progress(seconds=seconds))

    assert [line.split(":")[0] for line in written.getvalue().splitlines()] == [
        "measuring 1 s", "measuring 6 s", "measuring 11 s",
    ]  # fmt: skip
    assert "\x1b" not in written.getvalue()


def test_late_simulator_is_named():
    written = io.StringIO()
    show_result(Console(written), result(timekeeping=LATE), QualityLimits())

    assert "not to be trusted" in written.getvalue()
    assert "held" not in written.getvalue()


def test_verdict_tells_whose_fault_it_was():
    def verdict(*, is_trusted: bool) -> str:
        written = io.StringIO()
        broken = Step(result=result(9), is_trusted=is_trusted)
        show_verdict(
            Console(written), "ws://bot", SearchResult(largest=8, broke_at=9, steps=(broken,))
        )
        return written.getvalue()

    assert "8 calls" in verdict(is_trusted=True)
    assert "broke at" in verdict(is_trusted=True)
    assert "the bot may bear more" in verdict(is_trusted=False)
