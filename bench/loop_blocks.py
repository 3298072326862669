"""Looks for what blocks the event loop in the calls of the vendors' tests, faults and all.

    python bench/loop_blocks.py [--limit 0.02] [PYTEST ARGUMENTS]

Each test's loop is watched (``twilio_frames.testing.LoopWatch``): the bot's, and the simulated
Twilio's and vendor's, which run on the same one. The worst block of each is printed, and the stack
of the worst of all. A busy machine blocks everybody: look at the CPU as well.
"""

import argparse
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twilio_frames.testing import LoopBlock, LoopWatch

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
        async with LoopWatch(limit=self._limit) as watch:
            yield
        if watch.worst is not None:
            self.worst[request.node.nodeid] = watch.worst


def main() -> int:
    """Reads the command line, and runs the tests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=0.02, help="seconds that count (0.02)")
    options, rest = parser.parse_known_args()
    watcher = Watcher(options.limit)
    status = pytest.main(["-q", "-n", "0", "-k", "calls", *(rest or [str(_TESTS)])], [watcher])
    found = sorted(watcher.worst.items(), key=lambda item: -item[1].seconds)
    for test, block in found:
        print(f"{1000 * block.seconds:6.0f} ms ({1000 * block.cpu_seconds:4.0f} of CPU)  {test}")
    if found:
        print(f"\nthe worst of all:\n{found[0][1].stack}")
    else:
        print(f"no block of {1000 * options.limit:.0f} ms and more")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
