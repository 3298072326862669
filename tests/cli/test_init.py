"""A project that is begun by a command works before anything in it is changed."""

import itertools
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from twilio_frames.cli import main, parser
from twilio_frames.cli.init import project_files, source_of
from twilio_frames.testing import Phone

ROOT = Path(__file__).parents[2]
ROLES = {"stt": ("local", "deepgram"), "llm": ("local", "openai"), "tts": ("local", "cartesia")}
MIXTURES = [dict(zip(ROLES, each, strict=True)) for each in itertools.product(*ROLES.values())]
VENDORS = ("--stt", "deepgram", "--llm", "openai", "--tts", "cartesia")


def loaded(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


async def test_bot_without_a_key_passes_its_tests(
    tmp_path: Path, phone: Phone, monkeypatch: pytest.MonkeyPatch
):
    assert main(["init", str(tmp_path / "shop")]) == 0

    loaded(tmp_path / "shop", "bot", monkeypatch)
    tests = loaded(tmp_path / "shop", "test_bot", monkeypatch)
    await tests.test_hours_are_told(phone)
    await tests.test_goodbye_ends_the_call(phone)


async def test_bot_of_vendors_passes_its_test(
    tmp_path: Path, phone: Phone, monkeypatch: pytest.MonkeyPatch
):
    assert main(["init", str(tmp_path), *VENDORS]) == 0

    loaded(tmp_path, "bot", monkeypatch)
    tests = loaded(tmp_path, "test_bot", monkeypatch)
    await tests.test_hours_are_told(phone, monkeypatch)


@pytest.mark.parametrize("is_on_index", [True, False], ids=["index", "elsewhere"])
@pytest.mark.parametrize("chosen", MIXTURES, ids=lambda chosen: "-".join(chosen.values()))
def test_every_mixture_is_well_formed(chosen: Mapping[str, str], is_on_index: bool):
    written = project_files("My Bot!", chosen, is_on_index=is_on_index)

    for name in ("bot.py", "test_bot.py"):
        compile(written[name], name, "exec")
    project = tomllib.loads(written["pyproject.toml"])["project"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = project["dependencies"]
    extras = wanted.partition("[")[2].partition("]")[0].split(",")
    assert project["name"] == "my-bot"
    assert set(extras) == set(chosen.values()) <= set(ours["optional-dependencies"])
    assert not [text for text in written.values() if re.search(r"^#(if|else|end)|{{", text, re.M)]
    from_wheels = {name for name, text in written.items() if "--find-links wheels" in text}
    expected = {"README.md", "Dockerfile", ".github/workflows/test.yml"}
    assert from_wheels == (set() if is_on_index else expected)
    assert yaml.safe_load(written["compose.yaml"])["services"].keys() == {"bot"}
    assert "test" in yaml.safe_load(written[".github/workflows/test.yml"])["jobs"]


@pytest.mark.parametrize("name", ["bot.py", ".github/workflows/test.yml", ".gitignore"])
def test_nothing_is_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")

    assert main(["init", str(tmp_path)]) == 1
    assert f"got {name} in" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_readme_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "README.md").write_text("mine")
    told = tmp_path / "told.json"

    assert main(["init", str(tmp_path), "--json", str(told)]) == 0
    assert (tmp_path / "README.md").read_text() == "mine"
    assert "README.md was there and is kept" in capsys.readouterr().out
    found = json.loads(told.read_text())
    assert found["kept"] == ["README.md"]
    assert {*found["files"]} == {*project_files("bot", MIXTURES[0])} - {"README.md"}


def test_wheels_are_filled_ahead_of_the_line_that_needs_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("twilio_frames.cli.init.installed_from", lambda: "/home/my clone")
    assert main(["init", str(tmp_path / "shop")]) == 0

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index("pip wheel --no-deps --wheel-dir wheels '/home/my clone'")
    assert lines[at + 1] == 'pip install --find-links wheels ".[test]" && pytest'
    readme = (tmp_path / "shop" / "README.md").read_text()
    assert readme.index("\npip wheel") < readme.index("\npip install --find-links")
    assert "pip wheel" not in project_files("shop", MIXTURES[0])["README.md"]


def test_commands_of_the_readme_are_taken():
    text = project_files("bot", MIXTURES[0])["README.md"]
    commands = re.findall(r"^(twilio-frames .*?)(?:  #.*)?$", text, re.M)

    assert len(commands) == 2
    for command in commands:
        parser().parse_args(shlex.split(command)[1:])


GIT = {"url": "https://example.com/r.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}}


@pytest.mark.parametrize(
    ("noted", "source"),
    [
        ({"url": "file:///home/my%20clone", "dir_info": {}}, "/home/my clone"),
        ({"url": "file:///tmp/p-0.1.0-py3-none-any.whl"}, "/tmp/p-0.1.0-py3-none-any.whl"),
        (
            {"url": "https://example.com/p.tar.gz", "archive_info": {}},
            "https://example.com/p.tar.gz",
        ),
        (GIT, "git+https://example.com/r.git@ab12"),
    ],
)
def test_package_is_taken_from_where_it_came(noted: Mapping[str, Any], source: str):
    assert source_of(noted) == source


def test_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bot").write_text("")

    assert main(["init", str(tmp_path / "bot")]) == 1
    assert "name a folder" in capsys.readouterr().err


def test_secrets_stay_out_of_git_and_image():
    written = project_files("bot", MIXTURES[0])

    assert ".env" in written[".gitignore"].splitlines()
    assert ".env" in written[".dockerignore"].splitlines()
