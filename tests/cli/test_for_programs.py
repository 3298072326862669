"""What the command line offers shells and programs."""

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.cli.conftest import SCHEMA, output_schema
from twilio_frames.cli import main, parser
from twilio_frames.cli.completion import actions_of
from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.scripted import how_far
from twilio_frames.cli.shown.console import Console

PAGE = (SCHEMA.parent / "programs.md").read_text("utf-8")
COMMANDS = next(a.choices for a in actions_of(parser()) if isinstance(a.choices, dict))
WITHOUT_OUTPUT = {"completion", "serve"}


def options_of(command: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    return {name: action for action in actions_of(command) for name in action.option_strings}


def test_output_of_every_command_has_a_schema():
    with_output = {name for name, one in COMMANDS.items() if "--json" in options_of(one)}
    definitions: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))["$defs"]

    assert with_output == COMMANDS.keys() - WITHOUT_OUTPUT
    assert with_output <= definitions.keys()
    told = PAGE.partition("## `--json FILE`")[2].partition(" write one JSON object")[0]
    assert set(re.findall(r"`(\w+)`", told)) == with_output


def test_schema_refuses_what_lacks_something():
    with pytest.raises(ValidationError):
        output_schema().validate({"command": "doctor", "version": "1", "is_well": True})


def test_exit_statuses_are_told():
    told = PAGE.partition("## Exit status")[2].partition("What 3 means")[0]
    assert {int(found) for found in re.findall(r"^\| (\d+) \|", told, re.M)} == {*ExitStatus, 2}

    means_three = {name for name, one in COMMANDS.items() if "; 3 " in (one.epilog or "")}
    told = PAGE.partition("What 3 means")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", told, re.M)) == means_three


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("output", "no_color", "coloured"),
    [(Terminal, "", True), (Terminal, "1", False), (StringIO, "", False)],
)
def test_colours_are_for_terminals(output, no_color, coloured, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    written = output()
    console = Console(written)
    console.say("good", "good")
    console.wipe(1)

    assert ("\x1b[32m" in written.getvalue()) is coloured
    assert ("\x1b[1F" in written.getvalue()) is (output is Terminal)


@pytest.mark.parametrize(
    ("done", "took", "told"),
    [(1, 10.0, "about 30 s left"), (3, 0.3, "about 1 s left"), (2, 240.0, "about 4 min left")],
)
def test_scenarios_say_how_long_they_take_still(done: int, took: float, told: str):
    assert how_far(done, 4, took) == f"{done} of 4 scenarios, {told}"


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("", {*COMMANDS}),
        ("re", {"report"}),
        ("-v calls hang", {"hang-up"}),
        ("init --s", {"--stt"}),
        ("init --stt ", {"local", "deepgram"}),
        ("campaign --on-machine h", {"hang-up"}),
        ("report call.j", set()),
    ],
)
def test_bash_completes(line: str, offered: set[str], capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    script += 'COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _twilio_frames; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", "twilio-frames", *line.split(" ")],
        capture_output=True, text=True, check=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert set(done.stdout.split()) == offered


def test_other_shells_have_scripts_too(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "zsh"]) == main(["completion", "fish"]) == 0
    written = capsys.readouterr().out

    assert "bashcompinit" in written
    assert "'__fish_seen_subcommand_from init' -l stt -xa 'local deepgram'" in written


def test_json_of_a_command_is_its_owners(tmp_path: Path):
    assert main(["init", str(tmp_path / "bot"), "--json", str(tmp_path / "init.json")]) == 0
    assert (tmp_path / "init.json").stat().st_mode & 0o077 == 0
