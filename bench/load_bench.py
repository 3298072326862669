"""Measures what drives loads, and drives stock Pipecat and this package with it, in one run.

    python bench/load_bench.py [--calls 100] [--few 4] [--search] [--json FILE]

First the callers themselves: so many calls to a bot that costs next to nothing, all driven from one
core while the bot has another. What matters is how late the simulator's 20 ms turns came, and how
much of the core it used. Then a few calls to each of two real pipelines with the same stand-ins for
STT, LLM and TTS (``against_stock.py`` tells how they are built), or with ``--search`` the largest
number of calls that each of them bears.

A busy machine spoils this: what it prints says whether the simulator kept time.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from bot_process import BenchProcess

from twilio_frames.cli.shown.console import Console
from twilio_frames.cli.shown.load_view import show_result, show_step, show_verdict
from twilio_frames.testing.load import LoadPlan, LoadResult, QualityLimits, run_load, search_largest
from twilio_frames.testing.load.phrases import PhraseSet, prepare

_BOTS = {"ours": "our_bot.py", "stock": "stock_bot.py"}


class Bench:
    """All of one run.

    Args:
        options: The command line's.
        phrase_set: What the callers say.
    """

    def __init__(self, options: argparse.Namespace, phrase_set: PhraseSet):
        self._options = options
        self._phrase_set = phrase_set
        self._console = Console()
        cores = sorted(os.sched_getaffinity(0))
        self._bot_core = cores[0] if len(cores) > 1 else None
        os.sched_setaffinity(0, {cores[-1]})

    async def run(self) -> dict[str, object]:
        """Measures everything."""
        found: dict[str, object] = {"driver": await self._measure_driver()}
        for name, file in _BOTS.items():
            self._console.say(f"\n== {name}")
            found[name] = await self._measure_bot(file)
        return found

    async def _measure_driver(self) -> dict[str, object]:
        options = self._options
        self._console.say(f"== the callers themselves: {options.calls} calls from one core")
        async with BenchProcess("talker_bot.py", core=self._bot_core) as bot:
            url = (await bot.wait_for("serving"))["url"]
            cpu = bot.cpu_secs
            result = await self._load(url, options.calls, ramp=options.calls / 20)
            show_result(self._console, result, QualityLimits())
            self._console.fact("the bot's whole CPU", f"{bot.cpu_secs - cpu:.1f} s")
        return result.to_dict()

    async def _measure_bot(self, file: str) -> dict[str, object]:
        limits = QualityLimits()
        async with BenchProcess(file, core=self._bot_core) as bot:
            url = (await bot.wait_for("serving"))["url"]
            # The first call loads what the others share.
            await self._load(url, 1, seconds=6.0)
            if not self._options.search:
                result = await self._load(url, self._options.few)
                show_result(self._console, result, limits)
                return result.to_dict()
            found = await search_largest(
                lambda calls: self._load(url, calls),
                limits,
                on_step=lambda step: show_step(self._console, step),
            )
            show_verdict(self._console, url, found)
            return found.to_dict()

    async def _load(
        self, url: str, calls: int, *, seconds: float | None = None, ramp: float | None = None
    ) -> LoadResult:
        plan = LoadPlan(
            url=url, calls=calls, seconds=seconds or float(self._options.seconds), ramp=ramp
        )
        return await run_load(plan, phrase_set=self._phrase_set)


async def measure(options: argparse.Namespace) -> None:
    """Measures, and writes down what was found."""
    phrase_set = await prepare()
    gc.collect()
    gc.freeze()
    found = await Bench(options, phrase_set).run()
    if options.json:
        await asyncio.to_thread(options.json.write_text, json.dumps(found, indent=2) + "\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100, help="to the cheap bot (100)")
    parser.add_argument("--few", type=int, default=4, help="to each of the others (4)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load (20)")
    parser.add_argument("--search", action="store_true", help="how many each bears")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
