"""One run: calls, workers, a register, and what befalls them, all by one seed."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from tests.soak.ledger import Ledger, Run, Talk
from tests.soak.line import Disorder, Line
from tests.soak.network import Connector
from tests.soak.processes import SoakLoop, run_soak
from tests.soak.registers import FaultyRegister, open_register
from tests.soak.stand_in import StandIn, utterance
from tests.soak.workers import PUBLIC_URL, Fleet, Worker, seeded
from twilio_frames.call import Call
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import KEEP_SECS, QUICK_SECS

__all__ = ["Outcome", "Plan", "World", "outcome_of", "soak"]

_MOODS = ("slow", "hangs", "refuses", "late", "forgets")
_LONGEST_TROUBLE_SECS = 15.0
_QUICK_SECS = QUICK_SECS + 2.0
"""A little more than that, as a new stream takes a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done in a run; each number of seconds is that between two such events.

    Parameters:
        calls: How many there are.
        workers: How many there are at once.
        most_calls: How many calls a worker has.
        every_secs: From call to call.
        kill_secs: A worker is killed.
        halt_secs: One is halted for some seconds.
        deploy_secs: One is replaced.
        trouble_secs: The register is in trouble for some seconds.
        moods: What kind of trouble.
        is_near: Whether all workers are of one machine.
        break_secs: A stream breaks.
        crash_secs: A bot raises.
        strays: Share of requests that come to another worker than the one named.
        disorder: How webhooks come.
    """

    calls: int = 40
    workers: int = 3
    most_calls: int = 1000
    every_secs: float = 1.0
    kill_secs: float = 0.0
    halt_secs: float = 0.0
    deploy_secs: float = 0.0
    trouble_secs: float = 0.0
    moods: tuple[str, ...] = _MOODS
    is_near: bool = False
    break_secs: float = 0.0
    crash_secs: float = 0.0
    strays: float = 0.0
    disorder: Disorder = field(default_factory=Disorder)

    @classmethod
    def by(cls, choose: random.Random, calls: int = 40) -> "Plan":
        """A mixture: each kind of fault is there or not."""

        def maybe(least: float, most: float) -> float:
            return choose.uniform(least, most) if choose.random() < 0.6 else 0.0

        return cls(
            calls=calls,
            workers=choose.randint(2, 4),
            every_secs=choose.uniform(0.3, 1.5),
            kill_secs=maybe(6, 25),
            halt_secs=maybe(10, 30),
            deploy_secs=maybe(20, 60),
            trouble_secs=maybe(15, 40),
            break_secs=maybe(3, 10),
            crash_secs=maybe(5, 20),
            is_near=choose.random() < 0.4,
            most_calls=choose.choice((1000, 1000, 5)),
            strays=choose.choice((0.0, 0.0, 0.1)),
            disorder=Disorder(
                twice=choose.choice((0.0, 0.1)),
                repeated=choose.choice((0.0, 0.3)),
                late_secs=choose.choice((0.0, 2.0)),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    Parameters:
        wrong: What must never happen, and has.
        events: All that happened, a line each.
        counts: How often which.
        digest: The same wherever the same has happened.
    """

    wrong: tuple[str, ...]
    events: tuple[str, ...]
    counts: Counter[str]
    digest: str


class World:
    """See the top of the module."""

    def __init__(self, loop: SoakLoop, seed: int, plan: Plan | None, kind: str, folder: Path):
        self._loop = loop
        self._choose = random.Random(seed)
        self._plan = plan or Plan.by(self._choose)
        opened = partial(open_register, kind, folder)
        self._register = FaultyRegister(opened, loop, self._part())
        near = FaultyRegister(MemoryRegister, loop, self._part()) if self._plan.is_near else None
        self._fleet = Fleet(
            loop,
            self._register,
            near,
            self._answer,
            self._part(),
            most_calls=self._plan.most_calls,
        )
        self._fleet.strays = self._plan.strays
        self.ledger = Ledger()

    def _part(self) -> random.Random:
        return random.Random(self._choose.random())

    def connector(self) -> Connector:
        """Leads to the balancer."""
        return Connector(self._fleet.network, self._fleet.by_balancer, keeps=False)

    async def run(self) -> None:
        """Does all of it."""
        ledger, plan = self.ledger, self._plan
        ledger.note("plan", plan)
        self._loop.set_exception_handler(
            lambda _, told: ledger.is_wrong(
                f"nobody saw {told.get('exception') or told['message']!r}"
            )
        )
        for _ in range(plan.workers):
            await self._fleet.begin()
        await asyncio.sleep(2.0)
        async with aiohttp.ClientSession(connector=self.connector()) as session:
            faults = [asyncio.create_task(work) for work in self._faults()]
            looking = asyncio.create_task(self._look())
            calls: list[asyncio.Task[None]] = []
            for number in range(plan.calls):
                calls.append(asyncio.create_task(self._call(f"CA{number}", session)))
                await asyncio.sleep(self._choose.uniform(0.0, 2 * plan.every_secs))
            await asyncio.wait(calls)
            for task in (*faults, looking):
                task.cancel()
            await asyncio.wait((*faults, looking))
            for task in (*calls, *faults, looking):
                if not task.cancelled() and task.exception() is not None:
                    ledger.is_wrong(f"the soak itself: {task.exception()!r}")
            self._register.be("")
            for worker in self._fleet.workers:
                self._halt(worker, False)
            await asyncio.sleep(90.0)
            await self._see_what_is_left()
            self._register.let_go()

    async def _call(self, sid: str, session: aiohttp.ClientSession) -> None:
        choose = self._part()
        line = Line(sid, session, choose, self._plan.disorder, self.ledger.note)
        talk = self.ledger.talks[sid] = Talk(line=line)
        living = asyncio.create_task(self._live(talk, choose))
        try:
            async with asyncio.timeout(600):
                await line.run()
        except TimeoutError:
            self.ledger.is_wrong(f"{sid} never ends")
        living.cancel()
        await asyncio.wait({living})
        if not living.cancelled() and living.exception() is not None:
            self.ledger.is_wrong(f"the soak itself: {living.exception()!r}")
        self._note_end(talk)
        self.ledger.judge(talk)

    def _note_end(self, talk: Talk) -> None:
        line = talk.line
        if line.outcome == "Hangup" and talk.runs and talk.runs[-1].bot.leave.is_set():
            line.outcome = "bot hung up"
        if not talk.runs and line.outcome == "Reject" and self._plan.most_calls < self._plan.calls:
            talk.excuse = "all lines were busy"
        if talk.crashes > 1:
            talk.excuse = "its bot raised twice"
        starts = [run.began_at for run in talk.runs]
        quick = [later - before < _QUICK_SECS for before, later in pairwise(starts)]
        if any(all(quick[at : at + 3]) for at in range(len(quick) - 2)):
            talk.excuse = "it was lost three times at once"

    async def _live(self, talk: Talk, choose: random.Random) -> None:
        """What the caller does, and what their call is told."""
        loop = asyncio.get_running_loop()
        until = loop.time() + choose.uniform(5.0, 45.0)
        bot_leaves = choose.random() < 0.4
        number = 0
        while loop.time() < until:
            await asyncio.sleep(choose.uniform(0.5, 5.0))
            run = talk.run
            if run is None or run.stream_sid != talk.line.stream_sid:
                continue
            if choose.random() < 0.2:
                talk.recordings.append(talk.line.record())
            elif choose.random() < 0.8 and not run.bot.pending:
                number += 1
                text = utterance(number)
                if run.bot.is_idle and talk.said and talk.said[-1][1] > run.began_at:
                    talk.whole.add(f"r{number - 1}")
                talk.said.append((text, self.ledger.now))
                self.ledger.note("caller says", talk.line.call_sid, text)
                run.bot.caller_says(text)
        run = talk.run
        if bot_leaves and run is not None:
            run.bot.leave.set()
            await asyncio.sleep(10.0)
        talk.line.hang_up()

    async def _answer(self, worker: Worker, call: Call) -> None:
        talk = self.ledger.talks[call.call_sid]
        run = Run(
            worker,
            StandIn(call, lambda word: self._heard(run, talk, word)),
            call.stream_sid,
            self.ledger.now,
        )
        for other in talk.runs:
            if other.stream_sid == run.stream_sid:
                self.ledger.is_wrong(f"{call.call_sid}: two bots on {run.stream_sid}")
        if "replay" in run.stream_sid:
            self.ledger.is_wrong(f"{call.call_sid}: a token has worked twice")
        talk.runs.append(run)
        self.ledger.note("bot begins", call.call_sid, worker.name, call.resumed is not None)
        try:
            await run.bot.run()
        finally:
            run.ended_at = self.ledger.now
            talk.losses.append(run.ended_at)
            if worker.is_ending and call.end_reason is None and self._register.mood:
                talk.excuse = "nobody could go on with it before its worker's time was up"
            self.ledger.note("bot ends", call.call_sid, worker.name, call.end_reason)

    def _heard(self, run: Run, talk: Talk, word: str) -> None:
        if talk.line.stream_sid == run.stream_sid and not talk.line.has_hung_up:
            talk.ear.append((word, self.ledger.now))
            self.ledger.note("heard", talk.line.call_sid, word)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            # What strays is taken where it comes, full or not.
            self.ledger.look(None if self._plan.strays else self._plan.most_calls)
            for talk in self.ledger.talks.values():
                run = talk.runs[-1] if talk.runs else None
                if (
                    run is not None
                    and not run.lives
                    and (not talk.losses or talk.losses[-1] < run.began_at)
                ):
                    talk.losses.append(self.ledger.now)

    def _faults(self) -> list[Any]:
        plan = self._plan
        kinds = [
            (plan.kill_secs, self._kill),
            (plan.halt_secs, self._halt_one),
            (plan.deploy_secs, self._deploy),
            (plan.trouble_secs, self._trouble),
            (plan.break_secs, self._break),
            (plan.crash_secs, self._crash),
            (5.0, self._replay),
        ]
        return [self._again(secs, act, self._part()) for secs, act in kinds if secs]

    async def _again(self, secs: float, act: Any, choose: random.Random) -> None:
        while True:
            await asyncio.sleep(choose.uniform(0.2 * secs, 1.8 * secs))
            await act(choose)

    async def _kill(self, choose: random.Random) -> None:
        ready = self._fleet.ready
        if len(ready) < 2:
            return
        worker = choose.choice(self._fleet.living)
        if ready == [worker]:
            return
        self.ledger.note("killed", worker.name)
        self._fleet.kill(worker)
        for talk in self.ledger.talks.values():
            if talk.runs and talk.runs[-1].worker is worker and not talk.line.outcome:
                talk.losses.append(self.ledger.now)
                if not self._plan.is_near and self._is_known_here_alone(talk.runs[-1]):
                    talk.excuse = "nobody else could know of it"
            is_coming = not talk.runs and f"/w/{worker.name}-" in talk.line.last_url
            if is_coming and not self._plan.is_near and self._register.mood:
                talk.excuse = "nobody else could know of it"
        await asyncio.sleep(choose.uniform(0.5, 4.0))
        await self._fleet.begin()

    def _is_known_here_alone(self, run: Run) -> bool:
        now, began_at = self.ledger.now, run.began_at
        has_forgotten = any(begin <= now <= end for begin, end in self.ledger.emptied)
        return has_forgotten or self.ledger.is_one_trouble(began_at, now)

    def _halt(self, worker: Worker, is_halted: bool) -> None:
        if is_halted:
            worker.process.is_halted = True
        elif worker.process.is_halted and not worker.process.is_killed:
            worker.process.go_on()

    async def _halt_one(self, choose: random.Random) -> None:
        if len(self._fleet.ready) < 2:
            return
        worker = choose.choice(self._fleet.ready)
        secs = choose.choice((0.5, 2.0, 6.0))
        self.ledger.note("halted", worker.name, secs)
        self.ledger.troubles.append((self.ledger.now, self.ledger.now + secs + 2))
        self.ledger.halts.append((self.ledger.now, self.ledger.now + secs))
        self._halt(worker, True)
        await asyncio.sleep(secs)
        self._halt(worker, False)

    async def _deploy(self, choose: random.Random) -> None:
        ready = self._fleet.ready
        if not ready:
            return
        old = choose.choice(ready)
        new = await self._fleet.begin()
        if old in self._fleet.ready:
            self.ledger.note("replaced", old.name, new.name)
            old.is_ending = True
            old.process.start(old.end())

    async def _trouble(self, choose: random.Random) -> None:
        mood, secs = choose.choice(self._plan.moods), choose.uniform(0.5, _LONGEST_TROUBLE_SECS)
        self.ledger.note("register", mood, f"{secs:.1f}")
        # What hung or was late comes behind.
        self.ledger.troubles.append((self.ledger.now, self.ledger.now + secs + 4))
        if mood == "forgets":
            # A little behind it the owners have told it again.
            self.ledger.emptied.append((self.ledger.now, self.ledger.now + secs + 3.0))
        self._register.be(mood)
        await asyncio.sleep(secs)
        self._register.be("")
        self.ledger.note("register", "well")

    def _up(self) -> list[Talk]:
        return [talk for talk in self.ledger.talks.values() if talk.run and talk.line.stream_sid]

    async def _break(self, choose: random.Random) -> None:
        if up := self._up():
            talk = choose.choice(up)
            self.ledger.note("breaks", talk.line.call_sid)
            talk.losses.append(self.ledger.now)
            talk.line.break_off()

    async def _crash(self, choose: random.Random) -> None:
        if up := self._up():
            talk = choose.choice(up)
            run = talk.run
            assert run is not None
            self.ledger.note("bot raises", talk.line.call_sid)
            talk.crashes += 1
            run.bot.crash.set()

    async def _replay(self, choose: random.Random) -> None:
        """Somebody shows a token again."""
        if not (up := self._up()) or not self._fleet.ready:
            return
        line = choose.choice(up).line
        name = choose.choice(self._fleet.ready).state.fleet.name
        url = f"{PUBLIC_URL.replace('http', 'ws')}/w/{name}/stream"
        shown = dict(line.last_parameters)
        await line.stream(url, f"MZ{line.call_sid}replay", shown)

    async def _see_what_is_left(self) -> None:
        for worker in self._fleet.living:
            state = worker.state
            left = {
                "lines": await state.lines_taken(),
                "owned": len(state.fleet._owned),  # type: ignore[reportPrivateUsage]
                "bots": sum(record.call is not None for record in state.records.latest()),
                "prepared": len(state.preparations),
            }
            if any(left.values()):
                self.ledger.is_wrong(f"{worker.name} still holds {left}")
        for worker in self._fleet.living[1:]:
            self._fleet.kill(worker)
        await asyncio.sleep(KEEP_SECS)
        held = self._register.held()
        if any(held[name] for name in held if name != "workers"):
            self.ledger.is_wrong(f"the register still holds {held}")
        if held["workers"] != len(self._fleet.living):
            self.ledger.is_wrong(f"of {len(self._fleet.living)} workers it knows {held}")


def soak(seed: int, folder: Path, *, kind: str = "memory", plan: Plan | None = None) -> Outcome:
    """Does one run."""
    return outcome_of(lambda loop: World(loop, seed, plan, kind, folder), seed)


def outcome_of(
    make: Callable[[SoakLoop], World], seed: int, *, has_threads: bool = False
) -> Outcome:
    """What comes of a run."""

    async def work(loop: SoakLoop) -> Outcome:
        world = make(loop)
        with seeded(random.Random(seed)):
            await world.run()
        ledger = world.ledger
        text = "\n".join(ledger.events)
        return Outcome(
            wrong=tuple(ledger.wrong),
            events=tuple(ledger.events),
            counts=ledger.counts,
            digest=hashlib.sha256(text.encode()).hexdigest()[:12],
        )

    return run_soak(work, has_threads=has_threads)
