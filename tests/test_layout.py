"""What ships is what lies in the repository, room by room."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import twilio_frames

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED = {"processors", "examples"}


def rooms_in(folder: Path, name: str) -> set[str]:
    return {name} | {
        ".".join([name, *path.parent.relative_to(folder).parts])
        for path in folder.rglob("__init__.py")
        if not (set(path.relative_to(folder).parts[:1]) & MAPPED and folder.name == "twilio_frames")
    }


def test_every_room_ships():
    found = rooms_in(ROOT / "twilio_frames", "twilio_frames").union(
        *(rooms_in(ROOT / name, f"twilio_frames.{name}") for name in MAPPED)
    )

    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_mapped_rooms_lie_at_the_top():
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {
        "twilio_frames": "twilio_frames",
        **{f"twilio_frames.{name}": name for name in MAPPED},
    }


def test_links_show_the_mapped_rooms():
    for name in MAPPED:
        link = ROOT / "twilio_frames" / name
        # A checkout without symlinks has a small text file in its place.
        assert not link.is_symlink() or link.resolve() == ROOT / name


@pytest.mark.parametrize("name", sorted(MAPPED))
def test_top_level_import_is_refused(name: str):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert f"expected `twilio_frames.{name}`, got a top-level `{name}`" in done.stderr


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("twilio_frames", "pipecat aiohttp twilio numpy"),
        ("twilio_frames.protocol", "pipecat aiohttp asyncio loguru"),
        ("twilio_frames.audio", "pipecat aiohttp asyncio loguru"),
        ("twilio_frames.signature", "pipecat asyncio loguru"),
        ("twilio_frames.errors", "pipecat aiohttp asyncio"),
    ],
)
def test_pure_rooms_import_no_io(room: str, forbidden: str):
    code = f"import sys, {room}; print([m for m in {forbidden.split()!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


def test_version_is_one():
    assert PROJECT["project"]["version"] == twilio_frames.__version__


def test_release_is_tried_on_every_python_it_is_for():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
    told = [
        name.rpartition(" ")[2] for name in PROJECT["project"]["classifiers"] if ":: 3." in name
    ]

    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == told
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
