"""Figures of several processes, some of which are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.values import MutexValue

from twilio_frames.fleet.workers import PLACE
from twilio_frames.metrics import METRICS, Kind
from twilio_frames.metrics.kept import FOLDER, KeptMetrics, forget_worker, shared_folder, take_place
from twilio_frames.server import ServerSettings

PROCESS = """
import sys
from twilio_frames import metrics
from twilio_frames.metrics.kept import KeptMetrics, take_place
take_place()
kept = KeptMetrics.of_process()
for line in sys.stdin:
    for _ in range(int(line)):
        kept.count(metrics.HOLDS)
        kept.count(metrics.ENDED, "error")
        kept.observe(metrics.ANSWER, 0.7)
    kept.show(metrics.CALLS_UP, int(line))
    print("done", flush=True)
print(kept.text()[0].decode())
"""


class Process:
    """One that counts what it is told to."""

    def __init__(self, place: int, folder: Path):
        self.place = place
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            env={**os.environ, FOLDER: str(folder), PLACE: str(place)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def count(self, times: int) -> None:
        self._in.write(f"{times}\n")
        self._in.flush()
        assert self._out.readline() == "done\n"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.close()

    def close(self) -> str:
        told, _ = self._process.communicate(timeout=30)
        return told


@contextmanager
def processes(*places: int, folder: Path) -> Iterator[list[Process]]:
    started = [Process(place, folder) for place in places]
    try:
        yield started
    finally:
        for process in started:
            process.close()


def samples(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.skipif(sys.platform == "win32", reason="such a file cannot be read there")
def test_what_a_killed_process_had_counted_stays():
    with shared_folder() as folder, processes(0, 1, folder=Path(folder)) as (first, second):
        first.count(3)
        second.count(2)
        first.kill()
        forget_worker(first.place, folder)
        # One that was killed as it began.
        (Path(folder) / "counter_7.db").touch()
        # Whoever is started in its place counts on.
        with processes(0, folder=Path(folder)) as (third,):
            third.count(1)
            found = samples(third.close())
        sizes = {path.name: path.stat().st_size for path in Path(folder).glob("*_0.db")}

    assert found["twilio_frames_holds_total"] == 6
    assert found["twilio_frames_calls_ended_total/error"] == 6
    assert found["twilio_frames_answer_seconds_count"] == 6
    assert found["twilio_frames_answer_seconds_bucket/0.8"] == 6
    assert found["twilio_frames_calls_up"] == 3
    # Nothing has to grow, for which there might be no room.
    assert set(sizes.values()) == {1 << 18}
    assert not Path(folder).exists()


def test_without_room_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A page without room would kill the process that writes to it."""
    monkeypatch.setenv("TWILIO_FRAMES_METRICS", "1")
    monkeypatch.setenv(PLACE, "0")
    (tmp_path / "counter_0.new").mkdir()
    monkeypatch.setenv(FOLDER, str(tmp_path))
    take_place()

    assert not ServerSettings.from_environment().metrics
    assert values.ValueClass is MutexValue


def test_what_was_true_in_another_run_is_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "gauge_livesum_0.db").touch()
    (tmp_path / "counter_0.db").touch()
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with shared_folder() as folder:
        assert folder == str(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["counter_0.db"]


def test_each_metric_is_of_its_kind_and_says_what_it_is():
    registry = CollectorRegistry()
    KeptMetrics(registry)
    text, kind = KeptMetrics(CollectorRegistry()).text("application/openmetrics-text")
    families = {family.name: family for family in registry.collect()}

    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert len(families) == len(METRICS)
    for metric in METRICS:
        name = metric.full_name.removesuffix("_total")
        assert (families[name].type, families[name].documentation) == (
            metric.kind.value, f"{metric.told}."
        )  # fmt: skip
        assert metric.full_name.endswith("_total") == (metric.kind is Kind.COUNTER)
