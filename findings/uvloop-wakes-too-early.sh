#!/usr/bin/env bash
# A sleeper is woken before its time, and of two timers the later one may be first.
#
# Seen with uvloop 0.23.0: times are rounded to whole milliseconds, so a sleep of 20.4 ms ends after
# 20, one of 0.4 ms at once, and timers of one millisecond go off in the order in which they were
# set. asyncio's own loop never wakes anybody early, and has them go off in the order of their
# times.
#
# For a phone bot, which sends 20 ms of audio each 20 ms: a loop that sleeps until a frame is due,
# and looks again whether it is, spins through the last half millisecond of each; one that does not
# look sends ahead of time. A word and the audio that it belongs to change places, if their timers
# do.
# Here: whoever is woken looks at the clock, and sends what is due by it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check uvloop==0.23.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import time
from importlib.metadata import version

import uvloop


async def early(secs: float) -> int:
    """How many of thirty sleeps are over too early."""
    count = 0
    for _ in range(30):
        begin = time.monotonic()
        await asyncio.sleep(secs)
        count += time.monotonic() - begin < secs - 1e-4
    return count


async def order() -> list[float]:
    """In which order three timers go off, by their milliseconds."""
    loop, gone = asyncio.get_running_loop(), []
    now = loop.time()
    for ms in (10.2, 10.0, 9.9):
        loop.call_at(now + ms / 1000, gone.append, ms)
    await asyncio.sleep(0.05)
    return gone


async def seen_by(loop: str) -> tuple[int, int, list[float]]:
    """What sleeps and timers do."""
    seen = await early(0.0204), await early(0.0004), await order()
    print(f"{loop}: {seen[0]} of 30 sleeps of 20.4 ms too early, {seen[1]} of 0.4; {seen[2]}")
    return seen


print("uvloop", version("uvloop"))
own = asyncio.run(seen_by("asyncio"))
other = uvloop.run(seen_by("uvloop"))
seen = own == (0, 0, [9.9, 10.0, 10.2]) and min(other[:2]) >= 1
seen = seen and other[2] == [10.2, 10.0, 9.9]
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
