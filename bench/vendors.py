"""Measures this package's vendor services beside Pipecat's, on the same local vendors, in one run.

    python bench/vendors.py [--rounds 3] [--calls 8] [--seconds 25] [--json FILE]

Deepgram, OpenAI and Cartesia are stood in for by servers that speak their protocols
(``vendor_servers.py`` says how fast); both bots use the vendors' real clients, each in a process of
its own on the same core, and the same simulated callers ring them in turn. Look at the ratios: all
figures are medians of several rounds, and the sides take turns in going first.

Each side has its own defaults, as in ``against_stock.py``.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bot_process import BenchProcess, Note
from loguru import logger

SIDES = ("ours", "stock")
_ADDRESSES = ("DEEPGRAM_BASE_URL", "OPENAI_BASE_URL", "CARTESIA_BASE_URL")
_ROWS = (
    ("answer_p50", "caller's turn to first audio, p50, ms"),
    ("answer_p95", "caller's turn to first audio, p95, ms"),
    ("cpu", "CPU per call, % of a core"),
    ("memory_call", "memory per further call, MB"),
    ("blocks", "event-loop blocks of 20 ms and more"),
    ("worst_block", "the worst of them, ms"),
)


@dataclass
class Side:
    """One bot, and what was found about it."""

    bot: BenchProcess
    url: str
    memory_before: float = 0.0
    memory_up: float = 0.0
    cpu: list[float] = field(default_factory=list)
    answers: list[list[float]] = field(default_factory=list)
    clock_late: float = 0.0


class Comparison:
    """All of one run.

    Args:
        rounds: How often each side is rung.
        calls: How many calls at once.
        seconds: How long a round is.
    """

    def __init__(self, *, rounds: int, calls: int, seconds: float):
        self._rounds = rounds
        self._calls = calls
        self._seconds = seconds
        cores = sorted(os.sched_getaffinity(0))
        self._bot_core = cores[0] if len(cores) > 1 else None
        self._other_core = cores[1] if len(cores) > 1 else None

    async def run(self) -> dict[str, dict[str, float]]:
        """Measures both sides; gives figure to side to value."""
        async with AsyncExitStack() as stack:
            vendors = BenchProcess("vendor_servers.py", core=self._other_core)
            await stack.enter_async_context(vendors)
            serving = await vendors.wait_for("serving")
            os.environ.update({name: serving[name] for name in _ADDRESSES})
            sides = {name: await self._serve(name, stack) for name in SIDES}
            for number in range(self._rounds):
                for name in SIDES if number % 2 == 0 else SIDES[::-1]:
                    _say(f"round {number + 1}: {self._calls} calls to {name}")
                    await self._ring(sides[name])
            return self._figures(sides)

    async def _serve(self, name: str, stack: AsyncExitStack) -> Side:
        process = BenchProcess("vendor_bot.py", name, core=self._bot_core)
        bot = await stack.enter_async_context(process)
        side = Side(bot=bot, url=(await bot.wait_for("serving"))["url"])
        # The first call loads what the others share.
        async with self._callers(side, calls=1, seconds=6.0) as callers:
            await callers.wait_for("done")
        side.memory_before = bot.memory
        return side

    def _callers(self, side: Side, *, calls: int, seconds: float) -> BenchProcess:
        arguments = ("--calls", str(calls), "--seconds", str(seconds))
        return BenchProcess("callers.py", "talk", side.url, *arguments, core=self._other_core)

    async def _ring(self, side: Side) -> None:
        async with self._callers(side, calls=self._calls, seconds=self._seconds) as callers:
            up = await callers.wait_for("up")
            cpu = side.bot.cpu_secs
            over = await callers.wait_for("over", seconds=self._seconds + 30)
            used = side.bot.cpu_secs - cpu
            side.memory_up = side.memory_up or side.bot.memory
            await callers.wait_for("done")
            reports = callers.of("call")
        side.cpu.append(100 * used / (over["time"] - up["time"]) / self._calls)
        side.answers.append([time for report in reports for time in report["answer_times"]])
        side.clock_late = max(side.clock_late, *(report["clock_late"] for report in reports))

    def _figures(self, sides: dict[str, Side]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for name, side in sides.items():
            blocks = side.bot.of("block")
            values = {
                "answer_p50": 1000 * _median_of_rounds(side.answers, 0.5),
                "answer_p95": 1000 * _median_of_rounds(side.answers, 0.95),
                "cpu": statistics.median(side.cpu),
                "memory_call": (side.memory_up - side.memory_before) / self._calls,
                "blocks": len(blocks),
                "worst_block": max((block["ms"] for block in blocks), default=0.0),
                "turns": sum(map(len, side.answers)),
                "clock_late": 1000 * side.clock_late,
            }
            for figure, value in values.items():
                found.setdefault(figure, {})[name] = value
            _show_worst(name, blocks)
        return found


def _median_of_rounds(rounds: list[list[float]], share: float) -> float:
    return statistics.median(
        sorted(answers)[min(len(answers) - 1, int(share * len(answers)))] for answers in rounds
    )


def _show_worst(name: str, blocks: Sequence[Note]) -> None:
    if blocks:
        worst = max(blocks, key=lambda block: block["ms"])
        _say(f"\n{name}: worst block, {worst['ms']:.0f} ms ({worst['cpu']:.0f} of CPU)")
        _say(worst["stack"])


def show(figures: dict[str, dict[str, float]]) -> None:
    """Prints the figures as a table."""
    print("| | ours | stock | stock/ours |\n|---|---|---|---|")
    for figure, label in _ROWS:
        ours, stock = figures[figure]["ours"], figures[figure]["stock"]
        ratio = f"{stock / ours:.1f}" if ours else "-"
        print(f"| {label} | {ours:.3g} | {stock:.3g} | {ratio} |")
    turns, late = figures["turns"], max(figures["clock_late"].values())
    print(
        f"\n{turns['ours']:.0f} and {turns['stock']:.0f} turns; 99 % of the callers' own clock "
        f"ticks were late by at most {late:.0f} ms."
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of calls (3)")
    parser.add_argument("--calls", type=int, default=8, help="calls at once (8)")
    parser.add_argument("--seconds", type=float, default=25.0, help="length of a round (25)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    options = parser.parse_args()
    logger.remove()
    comparison = Comparison(rounds=options.rounds, calls=options.calls, seconds=options.seconds)
    figures = asyncio.run(comparison.run())
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
