"""Where what is measured is kept, and how Prometheus gets it.

One process keeps it in memory. Of several that share a port, each keeps it in files of a folder
that all of them have (prometheus-client's multiprocess mode), and whichever is asked adds them up.
What a process had counted stays in its file when it is killed, so that no sum falls; what was true
only as long as it lived is forgotten by whoever started it. Each has a *place*, a small number; one
that is started for one that is gone takes its place, and counts on in its file: there are never
more files than there were processes at one time.

These files are mapped into memory. Where the disk has no room for a page that is written to, the
system kills the process (SIGBUS), and its calls with it; where it is busy writing the page, the
process waits. So they lie in memory where the system has such a folder, and have all their room
before anything is written to them.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from twilio_frames.fleet.workers import PLACE
from twilio_frames.metrics import METRICS, Kind, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["FOLDER", "KeptMetrics", "forget_worker", "is_available", "shared_folder", "take_place"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder, to prometheus-client, which looks at it when it is imported."""


_ROOM = 1 << 18
"""Bytes of a file: room for a thousand series, of which there are some hundred."""
_MEMORY = "/dev/shm"  # noqa: S108 - what is made there has a name that nobody can guess


def is_available() -> bool:
    """Whether prometheus-client is installed."""
    return find_spec("prometheus_client") is not None


def take_place() -> None:
    """Has this process count in its place's files, before anything is counted."""
    place, folder = os.environ.get(PLACE, ""), os.environ.get(FOLDER, "")
    if not place or not folder or not is_available():
        return
    try:
        _make_room(Path(folder), place)
    except OSError as error:
        logger.error(f"there is no room for metrics, and none are kept: {error.strerror}")
        os.environ["TWILIO_FRAMES_METRICS"] = "0"
        return
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: place)


def _make_room(folder: Path, place: str) -> None:
    for kind in ("counter", "gauge_livesum", "histogram"):
        path = folder / f"{kind}_{place}.db"
        if not path.exists():
            # Whoever reads them all at this moment finds it whole, or not at all.
            new = path.with_suffix(".new")
            new.write_bytes(bytes(_ROOM))
            new.rename(path)


@contextlib.contextmanager
def shared_folder() -> Iterator[str]:
    """Makes ready the folder of processes that are about to be started, and gives its path.

    It goes with them, unless the environment names one.
    """
    if folder := os.environ.get(FOLDER):
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Those of another run are gone.
        forget_worker("*", folder)
        yield folder
        return
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="twilio-frames-", dir=memory) as folder:
        yield folder


def forget_worker(place: int | str, folder: str) -> None:
    """Forgets what was true of a process only as long as it lived; of all of them by ``*``."""
    if is_available():
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(place, folder)


class KeptMetrics:
    """What one process has measured.

    Args:
        registry: Prometheus's; None to keep nothing.
        folder: That of all processes; None where there is one.
    """

    def __init__(self, registry: "CollectorRegistry | None", folder: str | None = None):
        self._registry = registry
        self._folder = folder
        self._made: dict[Metric, Any] = {}
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        if registry is not None:
            self._made = {metric: _make(metric, registry) for metric in METRICS}

    @staticmethod
    @functools.cache
    def of_process() -> "KeptMetrics":
        """Those of this process, along with what its bot itself measures by prometheus-client."""
        from prometheus_client import REGISTRY

        return KeptMetrics(REGISTRY, os.environ.get(FOLDER))

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._registry is not None

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Adds to a counter."""
        if (made := self._of(metric, labels)) is not None:
            made.inc(by)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Takes one more value of a histogram."""
        if (made := self._of(metric, labels)) is not None:
            made.observe(value)

    def show(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        if (made := self._of(metric, labels)) is not None:
            made.set(value)

    def _of(self, metric: Metric, labels: Iterable[str]) -> Any:
        made = self._made.get(metric)
        return made.labels(*labels) if made is not None and labels else made

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All of it, of all processes, and what kind of text that is; it takes some milliseconds.

        Args:
            accept: Which kinds whoever asks can read, as in HTTP.
        """
        from prometheus_client import CollectorRegistry, exposition

        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            registry.register(_Files(Path(self._folder)))
        write, kind = exposition.choose_encoder(accept)
        return write(registry or CollectorRegistry()), kind


class _Files:
    """Adds up what all processes have in their files."""

    def __init__(self, folder: Path):
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        from prometheus_client.multiprocess import MultiProcessCollector

        files = [str(path) for path in self._folder.glob("*.db") if _has_begun(path)]
        return MultiProcessCollector.merge(files)


def _has_begun(path: Path) -> bool:
    """Whether there is anything in a file: prometheus-client fails at one that was just opened."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _make(metric: Metric, registry: "CollectorRegistry") -> Any:
    import prometheus_client

    text = f"{metric.told}."
    match metric.kind:
        case Kind.COUNTER:
            make = prometheus_client.Counter
            return make(metric.full_name, text, metric.labels, registry=registry)
        case Kind.GAUGE:
            return prometheus_client.Gauge(
                metric.full_name,
                text,
                metric.labels,
                registry=registry,
                multiprocess_mode="livesum",
            )
        case Kind.HISTOGRAM:
            return prometheus_client.Histogram(
                metric.full_name, text, metric.labels, registry=registry, buckets=metric.buckets
            )
