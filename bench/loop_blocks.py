"""Looks for what blocks the event loop in the calls of the vendors' tests, faults and all.

    python bench/loop_blocks.py [--limit 0.02] [PYTEST ARGUMENTS]

Each test's loop is watched (``twilio_frames.testing.LoopWatch``): the bot's, and the simulated
Twilio's and vendor's, which run on the same one. The process is warmed up, as servers are. The
worst block of each test is printed, and where the worst stood. A busy machine blocks everybody for
longer, so the order is that of the CPU which a block took. What the tests before have left is out
of the garbage collector's way, as in a server that has just begun.
"""

import argparse
import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twilio_frames.fleet.loop_watch import LoopBlock
from twilio_frames.processors.warming import warm_up
from twilio_frames.testing import LoopWatch

_VENDORS = tuple(
    f"twilio_frames.services.{vendor}" for vendor in ("cartesia", "deepgram", "openai", "realtime")
)
_STACKS = 5
# This script imports the package before pytest could rewrite its assertions; it has none.
_QUIETLY = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
_TESTS = Path(__file__).parents[1] / "tests" / "vendors"


class Watcher:
    """A pytest plugin that watches each test's event loop.

    Args:
        limit: Seconds from which on a block counts.
    """

    def __init__(self, limit: float):
        self._limit = limit
        self.worst: dict[str, LoopBlock] = {}

    @pytest.fixture(autouse=True)
    async def watch_loop(self, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        """Watches one test."""
        await warm_up(*_VENDORS, freeze=False)
        gc.collect()
        gc.freeze()
        async with LoopWatch(limit=self._limit) as watch:
            yield
        if watch.blocks:
            worst = max(watch.blocks, key=lambda block: block.cpu_secs)
            self.worst[request.node.nodeid] = worst


def main() -> int:
    """Reads the command line, and runs the tests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=0.02, help="seconds that count (0.02)")
    options, rest = parser.parse_known_args()
    watcher = Watcher(options.limit)
    arguments = ["-q", "-n", "0", *_QUIETLY, "-k", "calls", *(rest or [str(_TESTS)])]
    status = pytest.main(arguments, [watcher])
    found = sorted(watcher.worst.items(), key=lambda item: -item[1].cpu_secs)
    for test, block in found:
        print(
            f"{1000 * block.seconds:6.0f} ms ({1000 * block.cpu_secs:4.0f} of CPU, "
            f"{1000 * block.collecting_secs:4.0f} of garbage collection)  {test}"
        )
    for test, block in found[:_STACKS]:
        print(f"\n{test}: {block}")
    if not found:
        print(f"no block of {1000 * options.limit:.0f} ms and more")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
