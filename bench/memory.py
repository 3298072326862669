"""Whether memory stays flat: over thousands of short calls, and in one that lasts an hour.

    python bench/memory.py --picture memory.png              # 10,000 calls, eleven minutes
    python bench/memory.py --calls 1000
    python bench/memory.py --hour --picture hour.png         # in virtual time, some minutes

Many callers ring the bot of this package at once, hear some of its greeting, hang up, and ring
again; the bot has a process and a core of its own. At the end nobody calls any more: what tasks,
open files and threads are left over is said, and by how much memory has grown over the second half
of the calls. The hour is one call with somebody who talks, in this process, in which the caller is
as well.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from twilio_frames.testing.virtual_time import VirtualEventLoop, take_over_time

if "--hour" in sys.argv:
    take_over_time()  # before anybody has kept a clock
import our_bot
from aiohttp import web
from bot_process import resident_mb
from core_trial import Bot, Core, Side
from loguru import logger
from picture import draw_line

from twilio_frames.processors.warming import warm_up
from twilio_frames.testing.load import LoadPlan, run_load
from twilio_frames.testing.load.figures import LoadProgress
from twilio_frames.testing.load.phrases import prepare

_PAUSE_SECS = 1.0
"""What passes between a caller's calls, on average."""
_AT_REST_SECS = 5.0
_HOUR_SECS = 3600.0

Points = list[tuple[float, float]]


async def many_calls(calls: int, at_once: int, call_secs: float) -> tuple[Points, dict[str, Any]]:
    """Memory by the calls that were made, and what is left over when all have ended."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    core = Core(cores[0] if len(cores) > 1 else None, await prepare())
    async with core.bot(Side(file="our_bot.py", arguments=("--greet",))) as bot:
        before = await _at_rest(bot)
        points: Points = [(0.0, bot.process.memory)]

        def see(progress: LoadProgress) -> None:
            points.append((progress.made, bot.process.memory))

        plan = LoadPlan(
            url=bot.url,
            calls=at_once,
            call_secs=call_secs,
            settling=0.1,
            seconds=calls / at_once * (call_secs + _PAUSE_SECS),
        )
        result = await run_load(plan, on_progress=see)
        after = await _at_rest(bot)
    left = {name: after[name] - before[name] for name in before}
    return points, {"made": result.made, "failed": result.failed, "left": left}


async def _at_rest(bot: Bot) -> dict[str, int]:
    await asyncio.sleep(_AT_REST_SECS)
    tasks = (await bot.loop())["tasks"]
    return {"tasks": tasks, "files": bot.process.open_files, "threads": bot.process.threads}


async def one_call(seconds: float) -> tuple[Points, dict[str, Any]]:
    """Memory by the minutes of one call."""
    await warm_up()
    phrase_set = await prepare()
    app = web.Application()
    app.router.add_get("/stream", our_bot.talk)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    points: Points = []

    def see(progress: LoadProgress) -> None:
        if progress.stage == "measuring" and progress.seconds >= 60 * len(points):
            gc.collect()
            points.append((progress.seconds / 60, resident_mb(os.getpid())))

    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/stream"
    plan = LoadPlan(url=url, calls=1, seconds=seconds)
    result = await run_load(plan, phrase_set=phrase_set, on_progress=see)
    await runner.cleanup()
    answers = result.figures.first_audio.count
    return points, {"made": result.made, "failed": result.failed, "answers": answers}


def growth(points: Points) -> float:
    """By how much memory has grown over the second half, MB: between the means of its ends."""
    half = [memory for _, memory in points[len(points) // 2 :]]
    part = max(1, len(half) // 5)
    return sum(half[-part:]) / part - sum(half[:part]) / part


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000, help="to be made (10000)")
    parser.add_argument("--at-once", type=int, default=30, help="callers (30)")
    parser.add_argument("--call-secs", type=float, default=1.0, help="of a call, on average (1)")
    parser.add_argument("--hour", action="store_true", help="one call of an hour")
    parser.add_argument("--secs", type=float, default=_HOUR_SECS, help="of that call (3600)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the points to a file")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw memory")
    options = parser.parse_args()
    logger.remove()
    if options.hour:
        # What bots tell the processes that measure them is nobody's business here.
        quiet = redirect_stdout(StringIO())
        with quiet, asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            points, told = runner.run(one_call(options.secs))
        title = "Memory of a bot and its caller in one call, MB by minutes"
    else:
        points, told = asyncio.run(many_calls(options.calls, options.at_once, options.call_secs))
        title = "Memory of a bot, MB by calls that were made"
    print(f"{told['made']} calls, {told['failed']} of them failed", *_left(told), sep="\n")
    print(
        f"{points[0][1]:.0f} MB at first, {points[len(points) // 2][1]:.0f} MB half-way, "
        f"{points[-1][1]:.0f} MB at last; over the second half {growth(points):+.1f} MB"
    )
    if options.json:
        options.json.write_text(json.dumps({"points": points, **told}) + "\n")
    if options.picture:
        draw_line(title, points, options.picture)


def _left(told: dict[str, Any]) -> list[str]:
    left: dict[str, int] = told.get("left", {})
    return [f"left over: {', '.join(f'{count} {name}' for name, count in left.items())}"][
        : len(left)
    ]


if __name__ == "__main__":
    main()
