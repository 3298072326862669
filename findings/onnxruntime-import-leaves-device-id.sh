#!/usr/bin/env bash
# Importing onnxruntime leaves a device id and a file of events in the user's cache.
#
# Seen with onnxruntime 1.32.0, its wheel for Linux: both files are written by `import
# onnxruntime`, no session needed. onnxruntime.disable_telemetry_events() can only be called behind
# the import, when they are there; ORT_DISABLE_TELEMETRY=1 in the environment before it keeps them
# away.
#
# For a phone bot: Silero and Smart Turn bring onnxruntime, so each machine that answers calls gets
# an id, which its owner never asked for.
# Here: the commands set the variable before anything is imported; the README names it for others.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0

FRESH_HOMES="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PLAIN = "import onnxruntime"
TOO_LATE = "import onnxruntime; onnxruntime.disable_telemetry_events()"
# Nothing that it may want to send leaves this machine.
NO_WAY_OUT = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


def files_after(name: str, program: str, **environment: str) -> set[str]:
    """What is in an empty home after a program has run."""
    home = Path(os.environ["FRESH_HOMES"], name.replace(" ", "-"))
    home.mkdir()
    clean = {"PATH": os.environ["PATH"], "HOME": str(home)} | NO_WAY_OUT
    subprocess.run([sys.executable, "-c", program], env=clean | environment, check=True)
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    print(f"{name}: {', '.join(sorted(found)) or 'nothing'}")
    return found


print("onnxruntime", version("onnxruntime"))
left = files_after("import", PLAIN)
late = files_after("disabled after the import", TOO_LATE)
none = files_after("ORT_DISABLE_TELEMETRY=1", PLAIN, ORT_DISABLE_TELEMETRY="1")
id_is_left = any(path.endswith("deviceid") for path in left)
seen = id_is_left and left == late and not none
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
