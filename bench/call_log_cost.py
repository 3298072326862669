"""What a call log costs: a bot's processor time a call, without logs and with them.

Two bots that differ in nothing else carry the same calls in turn, each on a core of its own::

    python bench/call_log_cost.py --calls 8 --seconds 15 --rounds 2
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bot_process import BenchProcess


async def measure(calls: int, seconds: float, rounds: int, folder: Path) -> dict[str, float]:
    """Processor time a call, percent of a core, by side; median of the rounds."""
    cores = sorted(os.sched_getaffinity(0))
    used: dict[str, list[float]] = {"without": [], "with": []}
    async with AsyncExitStack() as stack:
        bots = {
            side: await stack.enter_async_context(
                BenchProcess("our_bot.py", *arguments, core=cores[0])
            )
            for side, arguments in (("without", []), ("with", [str(folder)]))
        }
        urls = {side: (await bot.wait_for("serving"))["url"] for side, bot in bots.items()}
        for number in range(rounds + 1):
            for side, bot in list(bots.items())[:: -1 if number % 2 else 1]:
                share = await _share(bot, urls[side], calls, seconds if number else 2.0, cores[-1])
                # The first round loads what all calls share.
                if number:
                    used[side].append(share)
    return {side: statistics.median(shares) for side, shares in used.items()}


async def _share(bot: BenchProcess, url: str, calls: int, seconds: float, core: int) -> float:
    arguments = ("talk", url, "--calls", str(calls), "--seconds", str(seconds))
    async with BenchProcess("callers.py", *arguments, core=core) as callers:
        up = await callers.wait_for("up")
        before = bot.cpu_secs
        over = await callers.wait_for("over", seconds=seconds + 60)
        used = bot.cpu_secs - before
        await callers.wait_for("done")
    return 100 * used / (over["time"] - up["time"]) / calls


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        figures = asyncio.run(measure(options.calls, options.seconds, options.rounds, Path(made)))
        logs = [path.stat().st_size for path in Path(made).glob("*.jsonl")]
    for side, share in figures.items():
        print(f"{side + ' logs':<16}{share:.3f} % of a core a call")
    print(f"{'difference':<16}{figures['with'] - figures['without']:.3f} % of a core a call")
    print(f"{len(logs)} logs, {max(logs)} bytes the longest")


if __name__ == "__main__":
    main()
