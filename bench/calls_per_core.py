"""How many calls one core bears, and what a call costs: ours, as a drop-in, and stock Pipecat's.

    python bench/calls_per_core.py                   # a quarter of an hour
    python bench/calls_per_core.py --quick           # three minutes: a few parts, not exact
    python bench/calls_per_core.py --only search --seconds 30
    python bench/calls_per_core.py --smart           # with Smart Turn on every side, throughout
    python bench/calls_per_core.py --vendors         # with the vendors' clients, beside Pipecat's
    python bench/calls_per_core.py --long            # five minutes more of each side
    python bench/calls_per_core.py --before FOLDER   # beside another checkout of this package
    python bench/calls_per_core.py --json FILE --write README.md --picture docs/calls-per-core.png
    python bench/calls_per_core.py --from FILE --write README.md ...       # from figures there are

The bots have a core, all callers the other; the sides take turns. They have the same stand-ins for
STT, LLM and TTS (``our_bot.py``, ``drop_in_bot.py``, ``stock_bot.py`` tell how they are built), the
same event loop, and 8 kHz. The largest number of calls is looked for at which no gap is longer than
60 ms, and 95 % of the answers come within twice what a single caller waits for them; a load with
one or two gaps and no other fault, or with callers who were late themselves, is repeated once.
Where they are late again there is no verdict. Parts, for ``--only``:

- ``driver``: the callers themselves, at a bot that costs next to nothing;
- ``setup``: what a call costs before anything is said;
- ``steady``: the same few calls to each side, in rounds;
- ``search``: the largest number of calls;
- ``churn``: callers who hang up after some 20 s and call again;
- ``burst``: the few calls, while 20 others arrive within a second;
- ``smart``: with Smart Turn on every side, which is off elsewhere;
- ``logs``: ours with a call log and without, in turn;
- ``profile``: what ours spends its time on (py-spy, if it is installed).
"""

import argparse
import asyncio
import datetime
import gc
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import bot_loop
import core_page
import core_profile
from bot_process import BenchProcess
from core_trial import Bot, Core, Figures, Load, Side, set_up_cost
from loguru import logger

from twilio_frames.testing.load import LoadPlan, run_load
from twilio_frames.testing.load.phrases import PhraseSet, prepare

OURS = "ours"
SIDES = {
    OURS: Side(file="our_bot.py"),
    "ours as a drop-in": Side(file="drop_in_bot.py"),
    "stock Pipecat": Side(file="stock_bot.py"),
}
VENDOR_SIDES = {
    OURS: Side(file="vendor_bot.py", arguments=("ours",)),
    "stock Pipecat": Side(file="vendor_bot.py", arguments=("stock",)),
}
VENDOR_PARTS = ("steady", "search", "churn", "burst", "profile")
PARTS = ("driver", "setup", "steady", "search", "churn", "burst", "smart", "logs", "profile")
_ADDRESSES = ("DEEPGRAM_BASE_URL", "OPENAI_BASE_URL", "CARTESIA_BASE_URL")
CHURN_SECS = 20.0
LONG_SECS = 300.0
NEWCOMERS = 20
_FIRST_SECS = 6.0
"""Of a first caller, whose end of a turn has Smart Turn's model loaded."""
_FULL = 0.7
"""The share of a core that the calls may take with which a search begins, by what a few cost."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured.

    Parameters:
        seconds: How long each load is.
        calls: At once, where it is not the number of them that is looked for.
        rounds: Of those.
        set_ups: Calls of which the set-up is measured.
        driver_calls: To the cheap bot.
        exactness: The share of the largest number by which it may be too small.
    """

    seconds: float = 15.0
    calls: int = 8
    rounds: int = 2
    set_ups: int = 15
    driver_calls: int = 150
    exactness: float = 0.12


QUICK = Plan(seconds=6.0, calls=4, rounds=1, set_ups=6, driver_calls=50, exactness=1.0)
QUICK_PARTS = ("driver", "setup", "steady", "search", "profile")


class Measurement:
    """All of one run.

    Args:
        plan: How much is measured.
        parts: What of it.
        sides: Whom.
        phrase_set: What callers say.
    """

    def __init__(
        self,
        plan: Plan,
        parts: tuple[str, ...],
        sides: Mapping[str, Side],
        phrase_set: PhraseSet,
    ):
        self._plan = plan
        self._parts = parts
        self._sides = sides
        self._phrase_set = phrase_set
        cores = sorted(os.sched_getaffinity(0))
        self._bot_core = cores[0] if len(cores) > 1 else None
        self._own_core = cores[-1]
        os.sched_setaffinity(0, {self._own_core})
        self._core = Core(self._bot_core, phrase_set)
        self.found: dict[str, Figures] = {name: {} for name in sides}

    async def run(self) -> Figures:
        """Measures everything, and gives it for a JSON file."""
        whole: Figures = {"about": self._about(), "sides": self.found}
        if "driver" in self._parts:
            whole["driver"] = await self._driver()
        if "setup" in self._parts:
            for name, side in self._sides.items():
                self.found[name]["set_up"] = await set_up_cost(
                    self._core, side, calls=self._plan.set_ups
                )
                _say(f"set-up, {name}: {self.found[name]['set_up']}")
        async with AsyncExitStack() as stack:
            bots = {
                name: await stack.enter_async_context(self._core.bot(side))
                for name, side in self._sides.items()
            }
            await self._plain(bots)
            if "profile" in self._parts:
                whole["profile"] = await self._profile(bots[OURS])
        if "smart" in self._parts:
            await self._smart()
        if "logs" in self._parts:
            await self._logs()
        return whole

    def _about(self) -> Figures:
        return {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "cores": os.cpu_count(),
            "own_core": self._bot_core is not None,
            "python": sys.version.split()[0],
            "loop": "uvloop" if bot_loop.has_uvloop() else "asyncio's own loop",
            "seconds": self._plan.seconds,
            "calls": self._plan.calls,
            "churn_secs": CHURN_SECS,
            "py_spy": core_profile.py_spy() is not None,
        }

    async def _driver(self) -> Figures:
        calls = self._plan.driver_calls
        async with BenchProcess("talker_bot.py", core=self._bot_core) as bot:
            url = (await bot.wait_for("serving"))["url"]
            plan = LoadPlan(url=url, calls=calls, seconds=self._plan.seconds, ramp=calls / 30)
            result = await run_load(plan, phrase_set=self._phrase_set)
        _say(f"the callers themselves, {calls}: {result.timekeeping}")
        return result.to_dict()

    async def _plain(self, bots: dict[str, Bot]) -> None:
        """What is asked of the same bots: a single caller, a few, the most, those who come and go.

        Which side goes first changes from round to round.
        """
        if {"steady", "search", "churn", "burst"} & {*self._parts}:
            for name, bot in bots.items():
                set_up = self.found[name].get("set_up")
                if set_up is not None:
                    bot.set_up_secs = max(0.01, set_up["short_call_ms"] / 1000)
                await self._one(name, bot)
            for number in range(self._plan.rounds):
                for name in list(bots)[:: -1 if number % 2 else 1]:
                    await self._load(name, "steady", bots[name], self._plan.calls)
        if "search" in self._parts:
            for name, bot in bots.items():
                await self._search(name, bot)
        if "churn" in self._parts:
            for name, bot in bots.items():
                await self._load(name, "churn", bot, self._plan.calls, call_secs=CHURN_SECS)
        if "burst" in self._parts:
            for name, bot in bots.items():
                load, came = await bot.burst(self._plan.calls, self._plan.seconds, NEWCOMERS)
                self._keep(name, "burst", load)
                self.found[name]["newcomers"] = came.to_dict()
        if "long" in self._parts:
            for name, bot in bots.items():
                calls = self._largest(name) or self._plan.calls
                await self._load(name, "long", bot, calls, seconds=LONG_SECS)

    async def _one(self, name: str, bot: Bot) -> None:
        # Half a dozen answers are what twice is the limit of.
        load = await bot.fair_load(1, min(20.0, 1.5 * self._plan.seconds))
        bot.reference = load.result
        # What it has loaded for its first caller is not what a further one takes.
        await bot.settle()
        self._keep(name, "one", load)

    async def _load(
        self,
        name: str,
        part: str,
        bot: Bot,
        calls: int,
        *,
        seconds: float | None = None,
        call_secs: float | None = None,
    ) -> None:
        self._keep(
            name, part, await bot.load(calls, seconds or self._plan.seconds, call_secs=call_secs)
        )

    def _keep(self, name: str, part: str, load: Load) -> None:
        self.found[name].setdefault(part, []).append(load.to_dict())
        _say(f"{part}, {name}: {_line(load)}")

    async def _search(self, name: str, bot: Bot) -> None:
        costs = [load["cpu"] for load in self.found[name]["steady"]]
        first = max(1, round(_FULL * 100 / statistics.median(costs)))
        found, loads = await bot.search(
            first,
            seconds=self._plan.seconds,
            exactness=self._plan.exactness,
            tell=lambda load: _say(f"search, {name}: {_line(load)}"),
        )
        self.found[name]["search"] = {
            "largest": found.largest,
            "broke_at": found.broke_at,
            "is_bot_at_fault": found.is_bot_at_fault,
            "steps": [load.to_dict() for load in loads],
        }

    def _largest(self, name: str) -> int:
        return int(self.found[name].get("search", {}).get("largest", 0))

    async def _profile(self, bot: Bot) -> Figures:
        if core_profile.py_spy() is None:
            _say("profile: py-spy is not installed, so there is none (pip install py-spy)")
            return {}
        calls = max(self._plan.calls, round(0.8 * self._largest(OURS)))
        seconds = max(8.0, self._plan.seconds)
        loading = asyncio.create_task(bot.load(calls, seconds + 4))
        # What setting them up costs is not what having them up costs.
        await asyncio.sleep(calls / 10 + 4)
        shares = await core_profile.profile(bot.process.pid, seconds, self._own_core)
        load = await loading
        return {"calls": calls, "shares": shares, **load.bot}

    async def _smart(self) -> None:
        async with AsyncExitStack() as stack:
            for name, side in self._sides.items():
                bot = await stack.enter_async_context(self._core.bot(side, "--smart"))
                await bot.load(1, _FIRST_SECS)
                await bot.settle()
                await self._load(name, "smart", bot, self._plan.calls)

    async def _logs(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncExitStack() as stack:
                side = self._sides[OURS]
                bots = {
                    "without_logs": await stack.enter_async_context(self._core.bot(side)),
                    "with_logs": await stack.enter_async_context(
                        self._core.bot(side, "--logs", folder)
                    ),
                }
                for number in range(self._plan.rounds):
                    for part in list(bots)[:: -1 if number % 2 else 1]:
                        await self._load(OURS, part, bots[part], self._plan.calls)


def _line(load: Load) -> str:
    """One load in a line."""
    figures, result = load.result.figures, load.result
    first, silence = figures.first_audio, figures.barge_in
    late = f", CALLERS LATE (p99 {1000 * result.timekeeping.p99:.1f} ms): no verdict"
    verdict = "" if load.to_dict()["is_trusted"] else late
    return (
        f"{result.calls} calls, {load.bot['cpu']:.2f} % of the core each, first audio p50/p95 "
        f"{_ms(first.p50)}/{_ms(first.p95)} ms, silence {_ms(silence.p50)}/{_ms(silence.p95)} ms, "
        f"{figures.gaps.count} gaps, loop {_ms(load.bot['late_worst'])} ms late at worst{verdict}"
        + "".join(f"; {text}" for text in load.shortfalls)
    )


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.0f}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@asynccontextmanager
async def vendors() -> AsyncIterator[None]:
    """Deepgram, OpenAI and Cartesia on the callers' core, over sockets; bots learn where."""
    (core,) = os.sched_getaffinity(0)
    async with BenchProcess("vendor_servers.py", core=core) as servers:
        serving = await servers.wait_for("serving")
        os.environ.update({name: serving[name] for name in _ADDRESSES})
        yield


async def measure(options: argparse.Namespace) -> Figures:
    """Measures what is asked for."""
    phrase_set = await prepare()
    gc.collect()
    gc.freeze()
    sides = dict(VENDOR_SIDES if options.vendors else SIDES)
    if options.before:
        sides["ours before"] = replace(SIDES[OURS], package=options.before.resolve())
    if options.smart:
        sides = {name: replace(side, arguments=("--smart",)) for name, side in sides.items()}
    parts = tuple(options.only or (QUICK_PARTS if options.quick else PARTS))
    if options.vendors:
        parts = tuple(part for part in parts if part in VENDOR_PARTS)
    parts += ("long",) if options.long else ()
    plan = QUICK if options.quick else Plan()
    given = {name: getattr(options, name) for name in ("seconds", "calls", "rounds")}
    plan = replace(plan, **{name: value for name, value in given.items() if value})
    measurement = Measurement(plan, parts, sides, phrase_set)
    async with vendors() if options.vendors else AsyncExitStack():
        found = await measurement.run()
    found["about"] |= {"smart": options.smart, "vendors": options.vendors}
    return found


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three minutes, and less exact")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    parser.add_argument("--vendors", action="store_true", help="the vendors' clients")
    parser.add_argument("--smart", action="store_true", help="Smart Turn everywhere")
    parser.add_argument("--long", action="store_true", help="and five minutes at the largest")
    parser.add_argument("--seconds", type=float, help="length of each load (15)")
    parser.add_argument("--calls", type=int, help="where it is not the most (8)")
    parser.add_argument("--rounds", type=int, help="of those (2)")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="read them")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--write", type=Path, nargs="+", metavar="PAGE", help="pages to fill")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the bars")
    options = parser.parse_args()
    logger.remove()
    found = json.loads(options.source.read_text()) if options.source else None
    if found is None:
        found = asyncio.run(measure(options))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.picture:
        core_page.draw(found, options.picture)
    for page in options.write or ():
        core_page.fill(page, found, options.picture)
    print(core_page.markdown(found) if options.markdown else core_page.text(found))


if __name__ == "__main__":
    main()
