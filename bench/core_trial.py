"""One bot on a core of its own, and what so many calls cost it.

The calls come from this process, which is kept on another core: what they say of the bot is worth
nothing where they were late themselves, so each load knows whether to be believed.
"""

import asyncio
import math
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot_process import BenchProcess

from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.load import (
    CallerBehaviour,
    LoadPlan,
    LoadResult,
    QualityLimits,
    run_load,
    search_largest,
)
from twilio_frames.testing.load.figures import LoadProgress
from twilio_frames.testing.load.phrases import PhraseSet
from twilio_frames.testing.load.run import SETTLING_SECS
from twilio_frames.testing.load.search import SearchResult, Step

LIMITS = QualityLimits(gaps_per_minute=0.0)
"""No gap over 60 ms, and 95 % of the answers within twice what a single caller waits for them."""
_INTERRUPTING = 0.5
_HOLD_SECS = 0.5
_WARM_CALLS = 3
_STRAY_GAPS = 2
"""So few gaps may be the machine's: a load that has no more, and no other fault, gets a second
chance."""
_SET_UP_SHARE = 0.3
"""The share of a core that setting calls up may take while others wait to be measured."""
_MOST_A_SECOND = 10.0
_REST_SECS, _MOST_RESTS = 0.5, 40
_AT_REST = 0.1
"""The share of a core that a bot without calls may take."""

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of those that are measured.

    Parameters:
        file: Its bot, in this folder.
        arguments: The bot's.
        package: Another checkout of this package for it; None for this one.
    """

    file: str
    arguments: tuple[str, ...] = ()
    package: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of so many calls.

    Parameters:
        result: At the callers' end.
        bot: At the bot's: ``cpu``, percent of a core for a call; ``loop_cpu``, what of it the event
            loop's thread took; ``tasks`` of a call; ``memory_mb`` of all that is resident;
            ``late_p99`` and ``late_worst`` of its event loop, seconds.
        shortfalls: Where it fell short, in words.
    """

    result: LoadResult
    bot: dict[str, float]
    shortfalls: tuple[str, ...] = ()

    def to_dict(self) -> Figures:
        """The load for a JSON file."""
        is_trusted = LIMITS.trusts(self.result)
        shown = {**self.result.to_dict(), **self.bot, "is_trusted": is_trusted}
        return {**shown, "shortfalls": list(self.shortfalls)}


class Core:
    """Where bots run, and who calls them.

    Args:
        bot_core: The bots' core; None for any.
        phrase_set: What the callers say.
    """

    def __init__(self, bot_core: int | None, phrase_set: PhraseSet):
        self._bot_core = bot_core
        self._phrase_set = phrase_set

    @asynccontextmanager
    async def bot(self, side: Side, *arguments: str, steps: bool = False) -> AsyncIterator["Bot"]:
        """A bot that runs, and has had its first calls: they load what the others share."""
        async with self._process(side, *arguments, steps=steps) as process:
            url = (await process.wait_for("serving"))["url"]
            bot = Bot(process, url, self._phrase_set)
            async with SimulatedTwilio() as line:
                for _ in range(_WARM_CALLS):
                    await ring(line, url)
            await bot.settle()
            yield bot

    def _process(self, side: Side, *arguments: str, steps: bool) -> BenchProcess:
        environment = {"BENCH_STEPS": "1"} if steps else {}
        if side.package is not None:
            environment["PYTHONPATH"] = str(side.package)
        every = (side.file, *side.arguments, *arguments)
        return BenchProcess(*every, core=self._bot_core, environment=environment)


async def ring(line: SimulatedTwilio, url: str, *, secs: float = _HOLD_SECS) -> None:
    """One quiet call."""
    async with line.call(url):
        await asyncio.sleep(secs)


class Bot:
    """A bot that runs.

    Args:
        process: It.
        url: Its stream.
        phrase_set: What its callers say.
    """

    def __init__(self, process: BenchProcess, url: str, phrase_set: PhraseSet):
        self.process = process
        self.url = url
        self.reference: LoadResult | None = None
        """What a single caller noticed."""
        self.set_up_secs = 0.25
        """Of its processor, for a call."""
        self._phrase_set = phrase_set
        self._idle: Figures = {"tasks": 0}
        self._idle_memory = 0.0

    async def settle(self) -> None:
        """Takes note of what it has and uses while nobody calls."""
        await asyncio.sleep(1.0)
        self._idle = await self.loop()
        self._idle_memory = self.process.memory

    async def loop(self) -> Figures:
        """What its event loop has, and has done since it was last asked."""
        return await self.process.next("loop", signal.SIGUSR1)

    async def load(self, calls: int, seconds: float, *, call_secs: float | None = None) -> Load:
        """So many calls, for so long once they are all up."""
        await self._rest()
        plan = LoadPlan(
            url=self.url,
            calls=calls,
            seconds=seconds,
            ramp=self._ramp(calls),
            call_secs=call_secs,
            behaviour=CallerBehaviour(interrupting=_INTERRUPTING),
        )
        watch = _Watch(self.process, seconds)
        result = await run_load(plan, phrase_set=self._phrase_set, on_progress=watch.see)
        loop = await watch.last_told()
        bot = {
            **watch.cost(),
            "tasks": (loop["tasks"] - self._idle["tasks"]) / calls,
            "memory_mb": watch.memory,
            "memory_call_mb": (watch.memory - self._idle_memory) / calls,
            "late_p99": loop["late_p99"],
            "late_worst": loop["late_worst"],
        }
        return Load(result=result, bot=bot, shortfalls=self._shortfalls(result))

    def _shortfalls(self, result: LoadResult) -> tuple[str, ...]:
        return tuple(LIMITS.shortfalls(result, self.reference))

    async def _rest(self) -> None:
        """Waits until the bot is done with the calls before: too many of them keep it busy."""
        for _ in range(_MOST_RESTS):
            began = self.process.cpu_secs
            await asyncio.sleep(_REST_SECS)
            if self.process.cpu_secs - began < _AT_REST * _REST_SECS:
                return

    async def burst(self, calls: int, seconds: float, newcomers: int) -> tuple[Load, LoadResult]:
        """What so many calls notice while others arrive within a second, and what those do."""
        steady = asyncio.create_task(self.load(calls, seconds))
        await asyncio.sleep(self._ramp(calls) + SETTLING_SECS + 1.0)
        plan = LoadPlan(
            url=self.url,
            calls=newcomers,
            seconds=max(1.0, seconds - 5.0),
            ramp=1.0,
            settling=0.1,
            behaviour=CallerBehaviour(interrupting=_INTERRUPTING),
            seed=1,
        )
        came = await run_load(plan, phrase_set=self._phrase_set)
        return await steady, came

    def _ramp(self, calls: int) -> float:
        return calls / min(_MOST_A_SECOND, _SET_UP_SHARE / self.set_up_secs)

    async def fair_load(self, calls: int, seconds: float) -> Load:
        """A load that gets a second chance where the callers, or the machine, may be to blame."""
        load = await self.load(calls, seconds)
        others = [text for text in load.shortfalls if not text.startswith("gaps")]
        is_stray = not others and 0 < load.result.figures.gaps.count <= _STRAY_GAPS
        if is_stray or not LIMITS.trusts(load.result):
            load = await self.load(calls, seconds)
        return load

    async def search(
        self, first: int, *, seconds: float, exactness: float, tell: Callable[[Load], None]
    ) -> tuple[SearchResult, list[Load]]:
        """The largest number of calls that holds its quality, and all loads that led there."""
        loads: list[Load] = []

        async def load(calls: int) -> LoadResult:
            loads.append(await self.fair_load(calls, seconds))
            return loads[-1].result

        def told(_: Step) -> None:
            tell(loads[-1])

        found = await search_largest(
            load,
            LIMITS,
            first=first,
            most=8 * first,
            exactness=exactness,
            reference=self.reference,
            on_step=told,
        )
        return found, loads


class _Watch:
    """Looks at a bot while its callers are measured.

    Args:
        process: The bot.
        seconds: How long that takes.
    """

    def __init__(self, process: BenchProcess, seconds: float):
        self._process = process
        self._seconds = seconds
        self._seen: list[tuple[float, float, float, int]] = []
        self._told_before = len(process.of("loop"))
        self._asked = 0
        self.memory = 0.0

    def see(self, progress: LoadProgress) -> None:
        """Takes note, once a second."""
        if progress.stage != "measuring":
            return
        process = self._process
        now = time.monotonic()
        self._seen.append((now, process.cpu_secs, process.loop_cpu_secs, progress.up))
        self.memory = process.memory
        # The first makes the event loop count anew, the second is what counts.
        is_last = progress.seconds >= self._seconds - 0.02
        if self._asked == 0 or (is_last and self._asked == 1):
            self._ask()

    def _ask(self) -> None:
        self._asked += 1
        self._process.signal(signal.SIGUSR1)

    async def last_told(self) -> Figures:
        """What the event loop told at the end."""
        while self._asked < 2:
            self._ask()
        async with asyncio.timeout(10.0):
            while len(self._process.of("loop")) < self._told_before + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return self._process.of("loop")[self._told_before + 1]

    def cost(self) -> dict[str, float]:
        """Percent of a core for a call."""
        if len(self._seen) < 2:
            return {"cpu": math.nan, "loop_cpu": math.nan}
        began, ended = self._seen[0], self._seen[-1]
        up = sum(seen[3] for seen in self._seen) / len(self._seen)
        call_secs = max(1e-9, (ended[0] - began[0]) * up)
        return {
            "cpu": 100 * (ended[1] - began[1]) / call_secs,
            "loop_cpu": 100 * (ended[2] - began[2]) / call_secs,
        }


async def set_up_cost(core: Core, side: Side, *, calls: int) -> dict[str, float]:
    """What a call of half a second costs: hardly more than to set it up, and to end it.

    So many of them, one after the other. Nothing is taken off for the audio in them: a bot that is
    up late has less of it to work off, and what half a second costs later would be too much.
    """
    async with core.bot(side) as bot, SimulatedTwilio() as line:
        began = bot.process.cpu_secs
        for _ in range(calls):
            await ring(line, bot.url)
        short = (bot.process.cpu_secs - began) / calls
    async with core.bot(side, steps=True) as bot, SimulatedTwilio() as line:
        await bot.loop()
        await ring(line, bot.url)
        longest = (await bot.loop())["longest_step"]
    return {"short_call_ms": 1000 * short, "longest_step_ms": 1000 * longest}
