#!/usr/bin/env bash
# A worker that dies as it starts takes the metrics of all workers away, for good.
#
# Seen with prometheus-client 0.26.0: in multiprocess mode MmapedDict makes a process's file first,
# and gives it a length then. Of one that is empty MultiProcessCollector raises struct.error, and
# nothing of any other process is told. mark_process_dead() leaves it there: it removes the live
# gauges alone.
#
# For a phone bot's workers: /metrics is an error 500 from then on, and the autoscaler, or whoever
# is woken when calls fail, sees nothing.
# Here: files are made whole under another name, and one that is empty is left out.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check prometheus-client==0.26.0

"$folder/venv/bin/python" - <<'PYTHON'
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version

place = tempfile.TemporaryDirectory()
folder = place.name
os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

COUNTS = """
from prometheus_client import Counter
Counter("calls", "Calls.").inc()
"""
# Here it is the limit of a file's size that ends it in between, as a kill might.
DIES = """
import resource
from prometheus_client import Counter
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
Counter("calls", "Calls.").inc()
"""


def worker(program: str) -> int:
    """Runs a worker; gives its process id."""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    process.wait(30)
    return process.pid


def scraped() -> str:
    """What a scrape gives, or the error in its place."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    try:
        text = generate_latest(registry).decode()
    except Exception as error:
        return type(error).__name__
    return next(line for line in text.splitlines() if line.startswith("calls_total"))


worker(COUNTS)
worker(COUNTS)
before = scraped()
dead = worker(DIES)
sizes = sorted(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
after = scraped()
mark_process_dead(dead)
marked = scraped()
print("prometheus-client", version("prometheus-client"))
print(f"of two workers: {before}; with one that died, files of {sizes} bytes: {after}")
print(f"when it is marked as dead: {marked}")
seen = (before, sizes[0], after, marked) == ("calls_total 2.0", 0, "error", "error")
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
