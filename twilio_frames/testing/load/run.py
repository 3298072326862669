"""So many calls at once, for so long, and what came of them."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from twilio_frames.errors.settings import check_settings
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.webhooks import Webhooks, client_session
from twilio_frames.testing.exchange import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN
from twilio_frames.testing.load.call import Account, LoadCall, Outcome
from twilio_frames.testing.load.figures import LoadFigures, LoadProgress, LoadResult, Spread
from twilio_frames.testing.load.phrases import PhraseSet, prepare
from twilio_frames.testing.load.talk import CallerBehaviour
from twilio_frames.testing.load.timer_wheel import TimerWheel
from twilio_frames.testing.streams.upgrade import ringable_scheme

CALLS_PER_SECOND = 2.0
"""How fast calls are made, unless told otherwise."""

SETTLING_SECS = 3.0
"""How long the bot is left alone between setting up and measuring, unless told otherwise."""

_PROGRESS_SECS = 1.0
_RING_AGAIN_AFTER = (0.5, 1.5)
_STAYS = (0.5, 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What a load is to be.

    Parameters:
        url: The bot's TwiML webhook (``http://``, ``https://``) or its stream (``ws://``,
            ``wss://``), which is then opened without TwiML.
        calls: How many at once.
        seconds: How long they are measured, once all are up.
        ramp: Seconds over which they are made; None for two calls a second.
        settling: Seconds from when all are up until measuring begins: to set calls up costs a bot
            more than to have them up.
        call_secs: How long a caller stays, on average, before hanging up and calling again; None
            to the load's end.
        behaviour: How the callers behave.
        parameters: Custom parameters of a stream that is rung without TwiML.
        auth_token: Signs webhooks and upgrades.
        account_sid: The account that calls.
        seed: Draws phrases, pauses, interruptions, phases and sids.
    """

    url: str
    calls: int = 10
    seconds: float = 30.0
    ramp: float | None = None
    settling: float = SETTLING_SECS
    call_secs: float | None = None
    behaviour: CallerBehaviour = field(default_factory=CallerBehaviour)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth_token: str = field(default=DEFAULT_AUTH_TOKEN, repr=False)
    account_sid: str = DEFAULT_ACCOUNT_SID
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self, at_least={"calls": 1}, above_zero=("seconds", "call_secs"), signed=("seed",)
        )

    @property
    def ramp_secs(self) -> float:
        """Seconds over which the calls are made."""
        return self.calls / CALLS_PER_SECOND if self.ramp is None else self.ramp


async def run_load(
    plan: LoadPlan,
    *,
    phrase_set: PhraseSet | None = None,
    on_progress: Callable[[LoadProgress], None] = lambda progress: None,
) -> LoadResult:
    """Makes calls, keeps them up for a while, and hangs up.

    A caller whom the bot hangs up on, or who has hung up, calls again; one whose call fails does
    not.

    Args:
        plan: How many, how long, where.
        phrase_set: What the callers say, from :func:`prepare`; by default a few phrases, which
            need the ``local`` extra.
        on_progress: Is told once a second how the load stands; must not block.

    Raises:
        ConfigurationError: If the plan cannot work.
        MissingExtraError: If words are to be said and the ``local`` extra is not installed.
    """
    ringable_scheme(plan.url)
    phrase_set = phrase_set or await prepare(seed=plan.seed)
    signing = Signing(auth_token=plan.auth_token)
    async with client_session() as session:
        account = Account(
            url=plan.url,
            account_sid=plan.account_sid,
            signing=signing,
            parameters=plan.parameters,
            phrase_set=phrase_set,
            behaviour=plan.behaviour,
            wheel=TimerWheel(seed=plan.seed),
            webhooks=Webhooks(session, signing),
        )
        return await _Load(plan, account, on_progress).run()


class _Load:
    """One load, while it goes on."""

    def __init__(
        self, plan: LoadPlan, account: Account, on_progress: Callable[[LoadProgress], None]
    ):
        self._plan = plan
        self._account = account
        self._wheel = account.wheel
        self._on_progress = on_progress
        self._calls: dict[int, LoadCall] = {}
        self._ended: list[LoadCall] = []
        self._is_over = asyncio.Event()
        self._settled: set[int] = set()
        self._made = self._failed = 0
        self._failures: Counter[str] = Counter()
        self._setup: list[float] = []
        self._stage, self._stage_began = "calling", time.monotonic()

    async def run(self) -> LoadResult:
        """Carries it out."""
        wheel = asyncio.create_task(self._wheel.run())
        callers = [
            asyncio.create_task(self._keep_calling(number)) for number in range(self._plan.calls)
        ]
        try:
            await self._wait_until_up()
            if self._up:
                await self._settle()
            result = await self._measure(callers)
        finally:
            self._enter("hanging up")
            self._is_over.set()
            for call in self._calls.values():
                call.hang_up()
            await asyncio.wait(callers, timeout=10.0)
            for task in (*callers, wheel):
                task.cancel()
            ends = await asyncio.gather(*callers, wheel, return_exceptions=True)
        broken = [end for end in ends if isinstance(end, Exception)]
        if broken:
            raise ExceptionGroup("the load driver itself broke", broken)
        # Who never heard the bot says so when hanging up.
        return replace(result, failed=self._failed, failures=dict(self._failures))

    async def _keep_calling(self, number: int) -> None:
        """One caller, who calls again when the bot hangs up."""
        plan = self._plan
        source = random.Random(plan.seed * 1_000_003 + number)  # noqa: S311  # protects nothing
        await self._pause(number * plan.ramp_secs / plan.calls)
        while not self._is_over.is_set():
            outcome = await self._call(number, source.getrandbits(32))
            self._settled.add(number)
            if outcome.has_failed:
                self._failed += 1
                self._failures[outcome.reason] += 1
                return
            await self._pause(source.uniform(*_RING_AGAIN_AFTER))

    async def _call(self, number: int, seed: int) -> Outcome:
        began = time.monotonic()

        def on_up() -> None:
            self._setup.append(time.monotonic() - began)
            self._settled.add(number)

        self._made += 1
        call = self._calls[number] = LoadCall(self._account, seed=seed, on_up=on_up)
        hanging_up = self._hang_up_later(call, seed)
        try:
            return await call.run()
        finally:
            if hanging_up is not None:
                hanging_up.cancel()
            del self._calls[number]
            self._ended.append(call)

    def _hang_up_later(self, call: LoadCall, seed: int) -> asyncio.TimerHandle | None:
        if self._plan.call_secs is None:
            return None
        share = random.Random(seed).uniform(*_STAYS)  # noqa: S311  # protects nothing
        return asyncio.get_running_loop().call_later(share * self._plan.call_secs, call.hang_up)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_over.wait()

    async def _wait_until_up(self) -> None:
        """Until each caller's first call is up, or has failed."""
        ramp = self._plan.ramp_secs
        limit = time.monotonic() + ramp + 30.0
        told = 0.0
        while len(self._settled) < self._plan.calls and time.monotonic() < limit:
            await asyncio.sleep(0.1)
            if time.monotonic() - told >= _PROGRESS_SECS:
                told = time.monotonic()
                self._tell(ramp)

    async def _settle(self) -> None:
        self._enter("settling")
        end = self._stage_began + self._plan.settling
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _PROGRESS_SECS))
            self._tell(self._plan.settling)

    async def _measure(self, callers: Sequence[asyncio.Task[None]]) -> LoadResult:
        self._enter("measuring")
        self._ended.clear()
        for call in self._calls.values():
            call.start_counting()
        self._wheel.start_counting()
        up, seconds = self._up, self._plan.seconds
        cpu = time.process_time()
        end = self._stage_began + seconds
        while (left := end - time.monotonic()) > 0 and not all(caller.done() for caller in callers):
            await asyncio.sleep(min(left, _PROGRESS_SECS))
            self._tell(seconds)
        measured = time.monotonic() - self._stage_began
        # Of less, a share of time says nothing.
        cpu = (time.process_time() - cpu) / measured if measured >= 0.5 else math.nan
        return LoadResult(
            url=self._plan.url,
            calls=self._plan.calls,
            seconds=measured,
            up=up,
            made=self._made,
            failed=self._failed,
            failures=dict(self._failures),
            setup=Spread.of(self._setup),
            figures=self._figures(),
            timekeeping=self._wheel.lateness.timekeeping,
            driver_cpu=cpu,
        )

    @property
    def _up(self) -> int:
        return sum(call.is_up for call in self._calls.values())

    def _figures(self) -> LoadFigures:
        calls = [*self._ended, *self._calls.values()]
        talks = [call.talk.figures for call in calls if call.talk is not None]
        return LoadFigures(
            first_audio=Spread.of([time for talk in talks for time in talk.answer_times]),
            barge_in=Spread.of([time for talk in talks for time in talk.silence_times]),
            gaps=Spread.of([gap for call in calls for gap in call.ear.gaps]),
            bot_minutes=sum(call.ear.heard_secs for call in calls) / 60,
            unanswered=sum(talk.unanswered for talk in talks),
            talked_over=sum(talk.talked_over for talk in talks),
            violations=sum(call.violations for call in calls),
            lost_frames=sum(call.lost_frames for call in calls),
        )

    def _enter(self, stage: str) -> None:
        self._stage, self._stage_began = stage, time.monotonic()

    def _tell(self, of_secs: float) -> None:
        progress = LoadProgress(
            stage=self._stage,
            seconds=time.monotonic() - self._stage_began,
            of_secs=of_secs,
            up=self._up,
            calls=self._plan.calls,
            made=self._made,
            failed=self._failed,
            figures=self._figures(),
            timekeeping=self._wheel.lateness.timekeeping,
        )
        self._on_progress(progress)
