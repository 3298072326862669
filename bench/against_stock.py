"""Measures this package beside stock Pipecat, in one run on one machine.

    python bench/against_stock.py [--quick] [--json FILE]

Both bots are pipelines with the same stand-ins for STT, LLM and TTS, each in a process of its own
on the same core, and the same simulated callers ring them in turn. Machines differ and are busy, so
look at the ratios, and at processor time rather than at the clock. All figures are medians of
several rounds; the sides take turns in going first.

Each side has its own defaults: stock Pipecat waits 0.2 s (VAD) and 0.6 s (turn) for the end of a
turn, this package 0.6 s in the VAD.
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
from message_costs import OURS, STOCK, one_round
from report import Figures, print_table

_SIDES = {OURS: "our_bot.py", STOCK: "stock_bot.py"}
_SETTLING = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    step_rounds: int = 3
    rounds: int = 3
    calls: int = 8
    seconds: float = 30.0
    stalls: int = 2


QUICK = Plan(step_rounds=1, rounds=1, seconds=15.0, stalls=1)


@dataclass
class Side:
    """One bot, and what was found about it."""

    bot: BenchProcess
    url: str
    memory_before: float = 0.0
    memory_up: float = 0.0
    memory_after: float = 0.0
    cpu: list[float] = field(default_factory=list)
    calls: list[Note] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    survived: dict[str, bool] = field(default_factory=dict)


class Measurement:
    """All of one run.

    Args:
        plan: How much is measured.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        cores = sorted(os.sched_getaffinity(0))
        apart = len(cores) > 1
        self._bot_core = cores[0] if apart else None
        self._caller_core = cores[1] if apart else None

    async def run(self) -> Figures:
        """Measures everything, and gives the figures by name and side."""
        steps = await self._steps()
        async with AsyncExitStack() as stack:
            sides = {name: await self._serve(file, stack) for name, file in _SIDES.items()}
            for number in range(self._plan.rounds):
                for name in _in_turn(sides, number):
                    _say(f"round {number + 1}: {self._plan.calls} calls to {name}")
                    await self._load(sides[name], is_first=number == 0)
            for name, side in sides.items():
                _say(f"stalls and malformed messages: {name}")
                await self._stall(side)
                await self._malformed(side)
        return steps | figures_of(sides, self._plan.calls)

    async def _steps(self) -> Figures:
        rounds: list[Figures] = []
        for number in range(self._plan.step_rounds):
            _say(f"single steps, round {number + 1}")
            rounds.append(await one_round(ours_first=number % 2 == 0))
        return {
            name: {
                side: statistics.median([found[name][side] for found in rounds]) for side in _SIDES
            }
            for name in rounds[0]
        }

    async def _serve(self, file: str, stack: AsyncExitStack) -> Side:
        bot = await stack.enter_async_context(BenchProcess(file, core=self._bot_core))
        side = Side(bot=bot, url=(await bot.wait_for("serving"))["url"])
        # The first call loads what the others share.
        async with self._callers("talk", side, "--seconds", "3") as callers:
            await callers.wait_for("done")
        await asyncio.sleep(_SETTLING)
        side.memory_before = bot.memory
        return side

    def _callers(self, what: str, side: Side, *arguments: str) -> BenchProcess:
        return BenchProcess("callers.py", what, side.url, *arguments, core=self._caller_core)

    async def _load(self, side: Side, *, is_first: bool) -> None:
        plan = self._plan
        arguments = ("--calls", str(plan.calls), "--seconds", str(plan.seconds))
        async with self._callers("talk", side, *arguments) as callers:
            up = await callers.wait_for("up")
            cpu = side.bot.cpu_secs
            over = await callers.wait_for("over", seconds=plan.seconds + 30)
            used = side.bot.cpu_secs - cpu
            if is_first:
                side.memory_up = side.bot.memory
            await callers.wait_for("done")
            side.calls += callers.of("call")
        side.cpu.append(100 * used / (over["time"] - up["time"]) / plan.calls)
        await asyncio.sleep(_SETTLING)
        side.memory_after = side.bot.memory

    async def _stall(self, side: Side) -> None:
        async with self._callers("stall", side, "--times", str(self._plan.stalls)) as callers:
            side.stalls.append((await callers.wait_for("stall"))["gap"])

    async def _malformed(self, side: Side) -> None:
        async with self._callers("malformed", side) as callers:
            await callers.wait_for("done")
            side.survived = {note["kind"]: note["goes_on"] for note in callers.of("malformed")}


def _in_turn(sides: dict[str, Side], number: int) -> Sequence[str]:
    names = list(sides)
    return names if number % 2 == 0 else names[::-1]


def figures_of(sides: dict[str, Side], calls: int) -> Figures:
    """The figures of the calls, by name and side."""
    found: Figures = {}
    for name, side in sides.items():
        answers = _pooled(side.calls, "answer_times")
        silences = _pooled(side.calls, "silence_times")
        early = _after_the_ear(side)
        values = {
            "cpu": statistics.median(side.cpu),
            "memory_call": (side.memory_up - side.memory_before) / calls,
            "memory_kept": side.memory_after - side.memory_before,
            "answer_p50": 1000 * _percentile(answers, 0.5),
            "answer_p95": 1000 * _percentile(answers, 0.95),
            "silence_p50": 1000 * _percentile(silences, 0.5),
            "silence_p95": 1000 * _percentile(silences, 0.95),
            "gaps": len(_pooled(side.calls, "gaps")) / max(1e-9, _bot_minutes(side.calls)),
            "stall_gap": 1000 * max(side.stalls),
            "stopped_p50": 1000 * _percentile(early, 0.5),
            "stopped_low": 1000 * _percentile(early, 0.05),
            "stopped_high": 1000 * _percentile(early, 0.95),
            "malformed": sum(not goes_on for goes_on in side.survived.values()),
            "turns": len(answers),
            "barge_ins": len(silences),
            "clock_late": 1000 * max(call["clock_late"] for call in side.calls),
        }
        for figure, value in values.items():
            found.setdefault(figure, {})[name] = value
    return found


def _pooled(calls: Sequence[Note], key: str) -> list[float]:
    return [value for call in calls for value in call[key]]


def _bot_minutes(calls: Sequence[Note]) -> float:
    return sum(call["bot_secs"] for call in calls) / 60


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _after_the_ear(side: Side) -> list[float]:
    """Seconds by which the pipeline's end of the bot's speech followed the end at the ear."""
    stopped = side.bot.of("stopped")
    found: list[float] = []
    for call in side.calls:
        times = [note["time"] for note in stopped if note["call_sid"] == call["call_sid"]]
        ends = call["heard_out"] if times else []
        found += [min((time - end for time in times), key=abs) for end in ends]
    return found


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round, about a minute")
    parser.add_argument("--calls", type=int, help="calls at once (8)")
    parser.add_argument("--rounds", type=int, help="rounds of calls (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else Plan()
    wanted = {"calls": arguments.calls, "rounds": arguments.rounds}
    given = {name: value for name, value in wanted.items() if value}
    plan = Plan(**{slot: getattr(plan, slot) for slot in Plan.__slots__} | given)
    logger.remove()
    figures = asyncio.run(Measurement(plan).run())
    print_table(figures, calls=plan.calls)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
