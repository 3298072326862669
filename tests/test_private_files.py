"""What callers said is on the disk for its owner alone."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twilio_frames.calllog.writer import LineWriter
from twilio_frames.private_files import (
    close_unchosen_folder,
    make_private_folder,
    open_private,
    write_private,
)
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.clips.files import write_clip
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.results.recording import Recording
from twilio_frames.transport.recorder.wav import StereoWav

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def write_lines(path: Path) -> None:
    writer = LineWriter(path)
    writer.add({"said": "hello"})
    writer.end()
    assert await writer.wait_until_written(10)


async def write_recording(path: Path) -> None:
    wav = StereoWav(path)
    wav.write(0, 0, b"\xff" * 160)
    wav.end(160)


async def write_greeting(path: Path) -> None:
    write_clip(path, Clip(mulaw=b"\xff" * 160, text="hello", words=()))


async def write_callers_recording(path: Path) -> None:
    recording = Recording(path)
    recording.write(b"\xff" * 160, b"\xff" * 160)
    recording.close()


async def write_callers_log(path: Path) -> None:
    log = CallLog()
    log.write_to(path)
    log.note("ringing")
    log.close()


WRITERS = [
    write_lines,
    write_recording,
    write_greeting,
    write_callers_recording,
    write_callers_log,
]


@pytest.mark.parametrize("write", WRITERS)
async def test_file_is_its_owners_alone(write, tmp_path: Path):
    path = tmp_path / "file"
    await write(path)

    assert mode(path) == 0o600
    assert path.stat().st_size > 0


@pytest.mark.parametrize("write", WRITERS)
async def test_link_is_replaced_and_not_followed(write, tmp_path: Path):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("precious")
    path.symlink_to(victim)
    await write(path)

    assert victim.read_text() == "precious"
    assert not path.is_symlink()


@pytest.mark.parametrize("write", WRITERS)
async def test_file_that_was_there_is_made_anew(write, tmp_path: Path):
    path, second_name = tmp_path / "file", tmp_path / "second name"
    path.write_text("old")
    second_name.hardlink_to(path)
    await write(path)

    assert mode(path) == 0o600
    assert second_name.read_text() == "old"


async def test_folders_on_the_way_are_private(tmp_path: Path):
    await write_lines(tmp_path / "logs" / "today" / "call.jsonl")
    await write_greeting(tmp_path / "clips" / "hello.clip")

    made = [tmp_path / name for name in ("logs", "logs/today", "clips")]
    assert [mode(folder) for folder in made] == [0o700] * 3


def test_folder_that_exists_keeps_its_mode(tmp_path: Path):
    (tmp_path / "shared").mkdir(mode=0o755)
    make_private_folder(tmp_path / "shared" / "own")

    assert mode(tmp_path / "shared") == 0o755
    assert mode(tmp_path / "shared" / "own") == 0o700


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o700), (0o775, 0o700), (0o750, 0o750), (0o2775, 0o2775)]
)
def test_only_a_mode_nobody_chose_is_changed(before: int, after: int, tmp_path: Path):
    folder = tmp_path / "logs"
    folder.mkdir()
    folder.chmod(before)
    close_unchosen_folder(folder)

    assert mode(folder) == after


def test_folder_with_something_in_it_keeps_its_mode(tmp_path: Path):
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "others.log").touch()
    close_unchosen_folder(tmp_path / "logs")
    close_unchosen_folder(tmp_path / "none")

    assert mode(tmp_path / "logs") == 0o755


def test_device_is_written_as_it_is():
    write_private(Path(os.devnull), b"gone")

    assert Path(os.devnull).is_char_device()


def test_standard_output_may_be_named(tmp_path: Path):
    program = "from pathlib import Path; from twilio_frames.private_files import write_private; "
    program += "write_private(Path('/dev/stdout'), b'heard')"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, timeout=60, check=True)

    assert (tmp_path / "out").read_bytes() == b"heard"
    assert Path("/dev/stdout").exists()


def test_pipe_is_written_to(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_private(pipe, b"heard")

    assert os.read(reader, 10) == b"heard"
    os.close(reader)


def test_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path):
    (tmp_path / "file").mkdir()

    with pytest.raises(OSError, match="directory"):
        open_private(tmp_path / "file")


def test_file_that_cannot_be_replaced_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mounted"
    path.write_text("old and longer")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    write_private(path, b"new")

    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
