#!/usr/bin/env bash
# In Pipecat's direct mode a frame may come before StartFrame, and before the processor is set up.
#
# Seen with pipecat-ai 1.14.0: what a processor pushes in its setup() waits, in the next one's queue,
# until that one is set up and StartFrame has passed. With enable_direct_mode=True there is no queue
# in which it could wait: process_frame() of the next processor is called at once, whose own setup()
# comes later. It has no clock, no task manager and no StartFrame by then, and get_clock() raises.
#
# For a phone bot: direct mode saves two tasks for each processor and call, and it is a switch that
# anybody may turn; it is safe for a processor only if nobody ahead of it speaks up in its setup.
# Here: what is in direct mode asks for nothing that a setup brings, or stands behind a processor of
# this package that says nothing in its own.
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
from importlib.metadata import version

from loguru import logger

logger.remove()

from pipecat.frames.frames import StartFrame, TextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.tests.utils import run_test


class TellsInSetup(IdentityFilter):
    async def setup(self, setup):
        await super().setup(setup)
        await self.push_frame(TextFrame("what is known from the beginning"))


class Listens(IdentityFilter):
    def __init__(self, **options):
        super().__init__(**options)
        self.seen = []

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame | TextFrame):
            try:
                self.get_clock()
                self.seen.append((type(frame).__name__, "set up"))
            except Exception as error:
                self.seen.append((type(frame).__name__, type(error).__name__))


async def order(is_direct: bool) -> list[tuple[str, str]]:
    listens = Listens(enable_direct_mode=is_direct)
    await run_test(Pipeline([TellsInSetup(), listens]), frames_to_send=[])
    print(f"direct mode {is_direct}: {listens.seen}")
    return listens.seen


async def main() -> None:
    queued, direct = await order(False), await order(True)
    seen = queued == [("StartFrame", "set up"), ("TextFrame", "set up")] and direct == [
        ("TextFrame", "Exception"),
        ("StartFrame", "set up"),
    ]
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("pipecat-ai", version("pipecat-ai"))
asyncio.run(main())
PYTHON
