"""Calls at several workers that are killed, replaced and cut off from their register: is one lost?

    python bench/fleet.py [--calls 60] [--seconds 300] [--workers 3] [--kill-every 10] [--kills N]
                          [--register redis] [--no-restart] [--no-stop] [--no-haproxy]

A simulated Twilio rings `twilio-frames serve --workers N` behind HAProxy, at real pace. Each bot
says some minutes of words that each have a sound of their own, so the ear says which were heard,
and how often. Meanwhile a worker is killed (SIGKILL) every few seconds, all are replaced once in
turn (SIGHUP), the register is stopped for 30 s, and HAProxy is reloaded. A kill that is due while
fewer than two workers take calls waits for the second, and is left out, and said so, if the next is
due by then. A call is lost if it ended before its last word. Nothing of this was tried on the real
line.

Each call is judged as soon as it has ended, and said so on stderr. Interrupted (Ctrl-C, SIGTERM)
it tells what it has: of calls that were up then, what was heard until their last word.

One of two workers killed under 30 calls, and nothing else:

    python bench/fleet.py --calls 30 --workers 2 --kills 1 --seconds 30 --no-restart --no-stop

Silence is what the ear had beyond what Twilio takes from the TwiML to the new stream's socket,
0.365 s as measured on the real line, which the simulated one takes as well. How late the loops
were says what the machine had to spare: of a driver that is late by 0.1 s, no figure is finer.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from fleet_bot import sentences_of
from fleet_processes import Fleet, Plan
from loguru import logger
from truth_words import TAIL, bare_word, said

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE
from twilio_frames.fleet.lag import LoopLag
from twilio_frames.testing import CallResult, SimulatedTwilio
from twilio_frames.testing.calls.account import StartDelays

SENTENCE_SECS = 2.6
"""What one takes to say, with the pause behind it."""
STOPPED_SECS = 30.0
FEWEST = 2
"""So many workers take calls when one is killed."""
LOOKS_SECS = 0.25
"""How often it is looked for them."""
TWILIO = StartDelays.measured()
_STREAM_LOST = 31903


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was heard on one call.

    Parameters:
        is_whole: Whether its last word was, or the run was interrupted.
        words: How many there were to hear.
        missing: Words that were not heard.
        twice: Words that were heard more than once.
        unlike: Words by which the memory is not what was heard.
        silences: When each stream ended, and seconds of silence, beyond what Twilio took for it.
        streams: How many it had.
        errors: What Twilio complained of, besides that streams were lost.
        call_sid: Which it was.
        ended_at: When its line ended.
    """

    is_whole: bool
    words: int = 0
    missing: int = 0
    twice: int = 0
    unlike: int = 0
    silences: tuple[tuple[float, float], ...] = ()
    streams: int = 0
    errors: tuple[str, ...] = ()
    call_sid: str = ""
    ended_at: float = 0.0


class Lateness:
    """How late the loops are: the driver's, and those of the workers."""

    def __init__(self, fleet: Fleet):
        self._fleet = fleet
        self._lag = LoopLag()
        self.driver: list[float] = []
        self.workers: list[float] = []

    async def follow(self) -> None:
        """Looks once a second."""
        self._lag.start()
        try:
            while True:
                await asyncio.sleep(1)
                self.driver.append(self._lag.p95_secs)
                self.workers += [lease.lag_secs for lease in await self._fleet.leases()]
        finally:
            self._lag.stop()

    def figures(self) -> dict[str, float]:
        """For a JSON file; the p95 of five seconds, in the middle and at worst."""
        return {
            f"{name}_loop_late_{which}_secs": round(of(each), 3)
            for name, each in (("driver", self.driver), ("worker", self.workers))
            for which, of in (("median", statistics.median), ("worst", max))
            if each
        }


class Trouble:
    """What befalls a fleet while its calls are up."""

    def __init__(self, plan: Plan, fleet: Fleet):
        self.plan = plan
        self._fleet = fleet
        self._random = random.Random(1)
        self.began = time.monotonic()
        self.done: Counter[str] = Counter()
        self.events: list[tuple[float, str]] = []

    async def make(self, after: float) -> None:
        """Makes it once all calls are up, one kind beside the other, for as long as they talk."""
        await asyncio.sleep(after)
        plan, third = self.plan, self.plan.seconds / 3
        async with asyncio.TaskGroup() as troubles:
            if plan.kill_every:
                troubles.create_task(self._kill())
            if plan.restarts:
                troubles.create_task(self._later(third / 2, "replaced", self._fleet.replace_all))
            if plan.stops:
                troubles.create_task(self._stop_register(third))
            if plan.haproxy:
                troubles.create_task(self._reload(1.8 * third))

    async def _kill(self) -> None:
        loop, every = asyncio.get_running_loop(), self.plan.kill_every
        began = loop.time()
        for number in range(1, self.plan.kills_due + 1):
            await asyncio.sleep(began + number * every - loop.time())
            # Register or none: whoever is killed while it is stopped is gone on for as well.
            while len(pids := await self._fleet.taking_calls()) < FEWEST:
                if loop.time() >= began + (number + 1) * every - LOOKS_SECS:
                    self._note("kill left out", f": {len(pids)} took calls")
                    break
                await asyncio.sleep(LOOKS_SECS)
            else:
                self._note("killed")
                os.kill(self._random.choice(pids), signal.SIGKILL)

    def _note(self, what: str, more: str = "") -> None:
        self.done[what] += 1
        self.events.append((round(time.monotonic() - self.began, 1), what + more))

    async def _later(self, seconds: float, name: str, act: Any) -> None:
        await asyncio.sleep(seconds)
        self._note(name)
        act()

    async def _stop_register(self, after: float) -> None:
        await asyncio.sleep(after)
        self._note("register stopped")
        await self._fleet.stop_register(min(STOPPED_SECS, after))
        self._note("register goes on")

    async def _reload(self, after: float) -> None:
        await asyncio.sleep(after)
        self._note("HAProxy reloaded")
        await self._fleet.reload_haproxy()


async def ring(twilio: SimulatedTwilio, fleet: Fleet, seed: int, sentences: int) -> Heard:
    """Carries out one call."""
    began_at = time.monotonic()
    url = f"{fleet.url}?seed={seed}&sentences={sentences}"
    async with twilio.call(url) as caller:
        is_cut = False
        try:
            await caller.wait_for_end(seconds=60 + 3 * SENTENCE_SECS * sentences)
        except asyncio.CancelledError:
            is_cut = True
        result = caller.result
    kept = fleet.results / result.call_sid
    texts = json.loads(kept.read_text())["texts"] if kept.exists() else None
    texts_said = sentences_of(seed, sentences)
    return await asyncio.to_thread(judge, result, texts_said, texts, began_at, is_cut=is_cut)


def judge(
    result: CallResult,
    texts_said: Sequence[str],
    texts: Sequence[str] | None,
    began_at: float,
    *,
    is_cut: bool,
) -> Heard:
    """What was heard on a call.

    Args:
        result: The call's.
        texts_said: What its bots were to say.
        texts: What they remembered; None where nobody has written it down.
        began_at: When it began, ``time.monotonic()``.
        is_cut: Whether it was cut off by whoever measures.
    """
    words = [word for text in texts_said for word in said(text)]
    counts = times_heard(without_holes(result), [word.mulaw[-TAIL:] for word in words])
    if is_cut:
        known = max((place for place, count in enumerate(counts, 1) if count), default=0)
        words, counts = words[:known], counts[:known]
    remembered = [bare_word(token) for token in " ".join(texts or ()).split()]
    wrong = Counter(remembered)
    wrong.subtract(word.text for word, count in zip(words, counts, strict=True) if count)
    spans = result.heard_spans
    silences = [
        (
            round(began_at + before.ended_at, 1),
            round(after.began_at - before.ended_at - TWILIO.connect, 3),
        )
        for before, after in pairwise(spans)
        if after.stream != before.stream
    ]
    return Heard(
        is_whole=is_cut or bool(counts and counts[-1]),
        words=len(words),
        missing=sum(count == 0 for count in counts),
        twice=sum(count > 1 for count in counts),
        unlike=sum(map(abs, wrong.values())) if texts is not None else 0,
        silences=tuple(silences),
        streams=1 + max((span.stream for span in spans), default=0),
        errors=tuple(str(alert) for alert in result.errors if alert.code != _STREAM_LOST),
        call_sid=result.call_sid,
        ended_at=began_at + result.seconds,
    )


def without_holes(result: CallResult) -> bytes:
    """What was heard of the bot, each stream's audio as if it had always come in time."""
    heard, stream = bytearray(), 0
    for span in result.heard_spans:
        if span.stream != stream:
            heard += bytes([MULAW_SILENCE]) * TAIL
            stream = span.stream
        begin = round(span.began_at * SAMPLE_RATE)
        heard += result.heard_bot[begin : begin + span.end - span.begin]
    return bytes(heard)


def times_heard(ear: bytes, tails: Sequence[bytes]) -> list[int]:
    """How often the end of each word is in what was heard; in one pass, however many they are."""
    begins = np.zeros(1 << 16, dtype=bool)
    begins[[int.from_bytes(tail[:2], "little") for tail in tails]] = True
    pairs = np.ndarray((max(0, len(ear) - 1),), "<u2", ear or b"\0\0", strides=(1,))
    counts = Counter(ear[place : place + TAIL] for place in np.flatnonzero(begins[pairs]))
    return [counts[tail] for tail in tails]


async def run(plan: Plan) -> tuple[dict[str, Any], str]:
    """Rings, and makes trouble; gives what was found, and the workers' log."""
    sentences = max(1, round(plan.seconds / SENTENCE_SECS))
    if (own := asyncio.current_task()) is not None:
        # What was started ends, too, if it is interrupted before its calls.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(plan, Path(folder))
        async with SimulatedTwilio(delays=TWILIO) as twilio:
            account = {
                "TWILIO_ACCOUNT_SID": twilio.account_sid,
                "TWILIO_AUTH_TOKEN": twilio.auth_token,
                "TWILIO_FRAMES_API_URL": twilio.rest_url,
                "TWILIO_FRAMES_TRUST_PROXIES": "1",
            }
            async with fleet.running(account):
                trouble, late = Trouble(plan, fleet), Lateness(fleet)
                beside = [asyncio.create_task(late.follow())]
                calls = [
                    asyncio.create_task(_begin(twilio, fleet, seed, sentences, seed / 4))
                    for seed in range(plan.calls)
                ]
                beside.append(asyncio.create_task(trouble.make(plan.calls / 4 + 2)))
                heard = await all_heard(calls)
                for task in beside:
                    task.cancel()
                await asyncio.wait(beside)
        figures = figures_of(heard, trouble) | late.figures()
        return figures, fleet.log.read_text(errors="replace")


async def all_heard(calls: Sequence["asyncio.Task[Heard]"]) -> list[Heard]:
    """What was heard on all of them, told as they end; of what there is, if interrupted."""
    stopped, heard = asyncio.Event(), list[Heard]()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    stopping = asyncio.create_task(_when(stopped, calls))
    for ended in asyncio.as_completed(calls):
        with contextlib.suppress(asyncio.CancelledError):
            heard.append(await ended)
            lost = sum(not one.is_whole for one in heard)
            print(f"{len(heard)} of {len(calls)} calls, {lost} lost", file=sys.stderr, flush=True)
    stopping.cancel()
    return heard


async def _when(stopped: asyncio.Event, calls: Sequence["asyncio.Task[Heard]"]) -> None:
    await stopped.wait()
    for call in calls:
        call.cancel()


async def _begin(
    twilio: SimulatedTwilio, fleet: Fleet, seed: int, sentences: int, after: float
) -> Heard:
    await asyncio.sleep(after)
    try:
        return await ring(twilio, fleet, seed, sentences)
    except Exception as error:
        logger.error(f"call {seed}: {type(error).__name__}: {error}")
        return Heard(is_whole=False)


def figures_of(heard: Sequence[Heard], trouble: Trouble) -> dict[str, Any]:
    """What was found, for a JSON file."""
    silences = sorted(secs for one in heard for _, secs in one.silences)
    p95 = silences[min(len(silences) - 1, len(silences) * 95 // 100)] if silences else 0.0
    return {
        "calls": len(heard),
        "kills_due": trouble.plan.kills_due,
        **{name.replace(" ", "_"): count for name, count in trouble.done.items()},
        "calls_lost": sum(not one.is_whole for one in heard),
        "streams": sum(one.streams for one in heard),
        "words": sum(one.words for one in heard),
        "words_missing": sum(one.missing for one in heard),
        "words_heard_twice": sum(one.twice for one in heard),
        "words_wrong_in_memory": sum(one.unlike for one in heard),
        "silence_median_secs": round(statistics.median(silences), 2) if silences else 0.0,
        "silence_p95_secs": round(p95, 2),
        "silence_worst_secs": round(silences[-1], 2) if silences else 0.0,
        "load_of_machine": round(os.getloadavg()[1], 1),
        "course": course_of(heard, trouble),
    }


def course_of(heard: Sequence[Heard], trouble: Trouble) -> list[tuple[float, str]]:
    """What befell the fleet, and the longest silences: seconds of the run, and what was."""
    silences = sorted((one for each in heard for one in each.silences), key=lambda one: -one[1])
    longest = [(round(at - trouble.began, 1), f"{secs} s") for at, secs in silences[:20]]
    errors = [(math.inf, error) for one in heard for error in one.errors]
    lost = [
        (round(one.ended_at - trouble.began, 1), f"{one.call_sid} is lost")
        for one in heard
        if not one.is_whole
    ]
    return sorted([*trouble.events, *longest, *lost, *errors])


def main() -> None:
    """Measures, and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=10.0)
    parser.add_argument("--kills", type=int, help="no more than so many")
    parser.add_argument("--register", choices=("redis", "sqlite"), default="redis")
    parser.add_argument("--no-restart", action="store_true", help="do not replace all workers")
    parser.add_argument("--no-stop", action="store_true", help="do not stop the register")
    parser.add_argument("--no-haproxy", action="store_true", help="nothing in front")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where the workers' log goes")
    given = parser.parse_args()
    plan = Plan(
        calls=given.calls,
        seconds=given.seconds,
        workers=given.workers,
        kill_every=given.kill_every,
        kills=given.kills,
        register=given.register,
        restarts=not given.no_restart,
        stops=not given.no_stop and given.register == "redis",
        haproxy=not given.no_haproxy,
    )
    for program in ("redis-server",) * (plan.register == "redis") + ("haproxy",) * plan.haproxy:
        if shutil.which(program) is None:
            raise SystemExit(
                f"expected {program} to be installed: see --help for what to leave out"
            )
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    figures, log = asyncio.run(run(plan))
    if given.log:
        given.log.write_text(log)
    if given.json:
        given.json.write_text(json.dumps(figures))
    for name, value in figures.items():
        if name == "course":
            continue
        print(f"{name.replace('_', ' '):28}{value!s:>8}")


if __name__ == "__main__":
    main()
