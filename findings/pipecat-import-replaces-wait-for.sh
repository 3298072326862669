#!/usr/bin/env bash
# What is taken from a queue just as the taker is cancelled is lost, once Pipecat is imported.
#
# Seen with pipecat-ai 1.14.0 and its wait_for2 0.4.1, on Python 3.11: `import pipecat` puts
# wait_for2's function in the place of asyncio.wait_for, for all code of the process. Where an item
# arrives and the waiter is cancelled in the same turn of the loop, Python 3.11's own gives the item
# and drops the cancellation; the other raises a CancelledError that has the item in it, which
# nobody looks into. From Python 3.12 on nothing is replaced, and nothing is lost.
#
# For a phone bot: an order, a key or a piece of audio that came in the very moment in which an
# interruption cancels the task that waits for it is gone, on one version of Python alone.
# Here: wait_for waits for events and the like, of which nothing is lost, never for an item.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pipecat-ai==1.14.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

from loguru import logger

logger.remove()
OWN = asyncio.wait_for

import pipecat  # noqa: F401

ALL = asyncio.wait_for


async def taken(wait_for) -> tuple[list[str], int, bool]:
    """What a task has got, what the queue still has, and whether the task was cancelled."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    got: list[str] = []

    async def take() -> None:
        got.append(await wait_for(queue.get(), 5.0))

    task = asyncio.create_task(take())
    await asyncio.sleep(0.01)
    queue.put_nowait("an order")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    seen = got, queue.qsize(), task.cancelled()
    print(f"{wait_for.__module__}: got {got}, {seen[1]} left, cancelled: {seen[2]}")
    return seen


async def main() -> None:
    own, of_all = await taken(OWN), await taken(ALL)
    if sys.version_info < (3, 12):
        seen = own == (["an order"], 0, False) and of_all == ([], 0, True)
    else:
        seen = ALL is OWN and len(of_all[0]) + of_all[1] == 1
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"), "on Python", sys.version.split()[0])
asyncio.run(main())
PYTHON
