#!/usr/bin/env bash
# A worker that takes a dead one's place begins with the calls that the dead one had.
#
# Seen with prometheus-client 0.26.0: in multiprocess mode MmapedDict opens the file of its
# process's name and goes on from what stands there, a gauge as a counter, "livesum" and "liveall"
# as well, whose files are of the living. What a killed process had counted up is never counted
# down, unless mark_process_dead() was called in between. And Gauge.set_function() is taken without
# a word, and tells 0 for ever.
#
# For a phone bot's workers: in a container the process has the same id each time, and a folder of
# the pod outlives it. One killed in the middle of two calls is one that has two more for good;
# whatever counts lines by that gauge gives it less and less.
# Here: each worker has a place, and whoever starts another in it has the dead one's gauges
# forgotten.
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

WORKER = """
import os
import sys

from prometheus_client import CollectorRegistry, Gauge, values
from prometheus_client.multiprocess import MultiProcessCollector

values.ValueClass = values.MultiProcessValue(process_identifier=lambda: 7)
calls = Gauge("calls", "Calls in progress", multiprocess_mode="livesum")
lag = Gauge("lag", "Seconds of lag", multiprocess_mode="livesum")
lag.set_function(lambda: 5.0)
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value("calls"), registry.get_sample_value("lag"))
calls.inc(2)
sys.stdout.flush()
os._exit(9)
"""


def starts(what: str) -> str:
    """What is told of a worker that has just started, and is then killed in two calls."""
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True)
    told = done.stdout.strip()
    print(f"{what}: calls and lag {told} {done.stderr}")
    return told


print("prometheus-client", version("prometheus-client"))
with tempfile.TemporaryDirectory() as folder:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    from prometheus_client.multiprocess import mark_process_dead

    told = [starts("the first"), starts("the second"), starts("the third")]
    mark_process_dead(7, folder)
    told.append(starts("one behind mark_process_dead()"))
seen = told == ["0.0 0.0", "2.0 0.0", "4.0 0.0", "0.0 0.0"]
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
