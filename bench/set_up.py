"""What a call costs before anything is said: ours, as a drop-in, and stock Pipecat's, in one run.

    python bench/set_up.py                      # three minutes
    python bench/set_up.py --before FOLDER      # beside another checkout of this package

Each bot is a process of its own on one core, rung by a simulated Twilio in this one, in turns: so
many calls of half a second, one after the other. Given are the processor time of one, by the least
of all turns; what of it is left without what half a second of a quiet call takes; how many tasks a
call has; the longest time for which it blocks the event loop; and the memory of each further call.
A busy machine makes all of them longer: compare them within one run.
"""

import argparse
import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bot_process import BenchProcess
from loguru import logger

from twilio_frames.testing import SimulatedTwilio

BOTS = {
    "ours": "our_bot.py",
    "ours as a drop-in": "drop_in_bot.py",
    "stock Pipecat": "stock_bot.py",
}
_HOLD_SECS = 0.5
_QUIET_SECS = 6.0
_TOGETHER = 20


@dataclass
class Cost:
    """What a call costs one bot.

    Parameters:
        short_ms: Processor time of a call of half a second.
        set_up_ms: The same without what such a call takes once it is up.
        tasks: Of asyncio.
        longest_ms: The longest step, in processor time.
        memory_mb: Of each further call.
    """

    short_ms: float = float("inf")
    set_up_ms: float = float("inf")
    tasks: float = 0.0
    longest_ms: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True)
class Side:
    """One of those that are measured.

    Parameters:
        name: What it is called.
        file: Its bot, in this folder or the same of another checkout.
        folder: That checkout; None for this one.
    """

    name: str
    file: str
    folder: Path | None = None

    def process(self, *, core: int | None, noted: bool = False) -> BenchProcess:
        """The bot, to be run; noted if it is to tell of its event loop."""
        environment = {"PYTHONPATH": str(self.folder)} if self.folder else {}
        file = str(self.folder / "bench" / self.file) if self.folder else self.file
        arguments = ("loop_notes.py", file) if noted else (file,)
        return BenchProcess(*arguments, core=core, environment=environment)


async def ring(line: SimulatedTwilio, url: str, *, secs: float = _HOLD_SECS) -> None:
    """One quiet call."""
    async with line.call(url):
        await asyncio.sleep(secs)


async def measure_time(side: Side, cost: Cost, *, calls: int, core: int | None) -> None:
    """Takes note of the processor time, where it is the least so far."""
    async with side.process(core=core) as bot, SimulatedTwilio() as line:
        url = (await bot.wait_for("serving"))["url"]
        for _ in range(3):
            await ring(line, url)
        began = bot.cpu_secs
        for _ in range(calls):
            await ring(line, url)
        short = (bot.cpu_secs - began) / calls
        async with line.call(url):
            await asyncio.sleep(1.0)
            began = bot.cpu_secs
            await asyncio.sleep(_QUIET_SECS)
            second = (bot.cpu_secs - began) / _QUIET_SECS
    cost.short_ms = min(cost.short_ms, 1000 * short)
    cost.set_up_ms = min(cost.set_up_ms, 1000 * (short - _HOLD_SECS * second))


async def measure_rest(side: Side, cost: Cost, *, core: int | None) -> None:
    """Takes note of tasks, memory, and how long the loop is blocked."""
    async with side.process(core=core, noted=True) as bot, SimulatedTwilio() as line:
        url = (await bot.wait_for("serving"))["url"]
        for _ in range(3):
            await ring(line, url)
        idle, _ = await _loop(bot)
        await ring(line, url)
        _, cost.longest_ms = await _loop(bot)
        async with AsyncExitStack() as calls:
            await calls.enter_async_context(line.call(url))
            await asyncio.sleep(1.0)
            memory = bot.memory
            for _ in range(_TOGETHER):
                await calls.enter_async_context(line.call(url))
            await asyncio.sleep(2.0)
            cost.memory_mb = (bot.memory - memory) / _TOGETHER
            busy, _ = await _loop(bot)
            cost.tasks = (busy - idle) / (_TOGETHER + 1)


async def _loop(bot: BenchProcess) -> tuple[int, float]:
    told = len(bot.of("loop"))
    bot.signal(signal.SIGUSR1)
    async with asyncio.timeout(10):
        while len(bot.of("loop")) == told:  # noqa: ASYNC110 - the note comes from a process
            await asyncio.sleep(0.05)
    last = bot.of("loop")[-1]
    return last["tasks"], last["longest_ms"]


async def main(arguments: argparse.Namespace) -> None:
    """Measures everything, and prints it."""
    sides = [Side(name, file) for name, file in BOTS.items()]
    if arguments.before:
        sides.insert(1, Side("ours before", "our_bot.py", arguments.before))
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    os.sched_setaffinity(0, {cores[-1]})
    costs = {side.name: Cost() for side in sides}
    for _ in range(arguments.rounds):
        for side in sides:
            await measure_time(side, costs[side.name], calls=arguments.calls, core=core)
    for side in sides:
        await measure_rest(side, costs[side.name], core=core)
    print(f"{'':20}{'0.5 s, ms':>12}{'set-up, ms':>12}{'tasks':>8}{'longest, ms':>13}{'MB':>7}")
    for name, cost in costs.items():
        print(
            f"{name:20}{cost.short_ms:12.1f}{cost.set_up_ms:12.1f}{cost.tasks:8.1f}"
            f"{cost.longest_ms:13.1f}{cost.memory_mb:7.2f}"
        )
    for name in [name for name in costs if name != "ours"]:
        ratio = costs[name].set_up_ms / costs["ours"].set_up_ms
        print(f"{name}: {ratio:.1f} times ours to set up")
    if arguments.json:
        found = {name: asdict(cost) for name, cost in costs.items()}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=30, help="of each bot in each turn (30)")
    parser.add_argument("--rounds", type=int, default=2, help="turns (2)")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    logger.remove()
    asyncio.run(main(parser.parse_args()))
