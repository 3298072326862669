"""A Twilio that makes calls or does not, answers or does not; and processes that are killed."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any

from twilio_frames.campaign import Campaign, CampaignLine, CampaignPolicy, Contact, Outcome, Retry
from twilio_frames.campaign.hours import CallingHours
from twilio_frames.campaign.state import CampaignState
from twilio_frames.errors import RestError
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.rest.client import CallState

ALWAYS = CallingHours(begin=time(0), end=time(23, 59, 59), days=tuple(range(7)), zone="UTC")
POLICY = CampaignPolicy(
    calls_per_second=2,
    at_once=3,
    hours=ALWAYS,
    retries={
        Outcome.BUSY: Retry(times=2, after_secs=60),
        Outcome.NO_ANSWER: Retry(times=1, after_secs=60),
    },
    settle_secs=6,
)
EPOCH = 1_796_040_000.0


class KilledError(Exception):
    """The process is gone."""


class Process:
    """Counts what it does, and is killed before or behind one of these.

    Args:
        lives: How many deeds it may do; None for all.
    """

    def __init__(self, lives: int | None = None):
        self.lives = lives
        self.deeds = 0

    def deed(self) -> None:
        """Dies for good once it has done as many as it may."""
        self.deeds += 1
        if self.lives is not None and self.deeds > self.lives:
            raise KilledError


def timed_out(*, is_made: bool) -> tuple[bool, RestError]:
    return is_made, RestError("no answer")


def failed(
    status: int, code: int | None = None, *, is_made: bool = False
) -> tuple[bool, RestError]:
    return is_made, RestError("refused", status=status, code=code, retryable=status == 429)


@dataclass
class MadeCall:
    call_sid: str
    number: str
    created_at: float
    status: str
    answered_by: str | None = None
    over_at: float = 0.0


@dataclass
class Exchange:
    """What Twilio knows.

    Parameters:
        outcomes: By number, how its calls end, one after another; the last one again and again.
        faults: By number, what becomes of requests for calls, one after another; then all is well.
        call_secs: How long calls take.
        queue_secs: How long they wait before they ring.
    """

    outcomes: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, list[tuple[bool, RestError]]] = field(default_factory=dict)
    call_secs: float = 5.0
    queue_secs: float = 0.0
    most_at_once: int = 1000
    calls: list[MadeCall] = field(default_factory=list)
    is_down: bool = False

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    def request(self, number: str) -> str:
        faults = self.faults.get(number)
        is_made, error = faults.pop(0) if faults else (True, None)
        if is_made and self.up() >= self.most_at_once:
            raise RestError("too many", status=429, code=10004)
        if is_made:
            made = [call for call in self.calls if call.number == number]
            endings = self.outcomes.get(number, ["completed"])
            ending, _, answered_by = endings[min(len(made), len(endings) - 1)].partition(" ")
            sid, now = f"CA{len(self.calls)}", self.now()
            self.calls.append(
                MadeCall(
                    sid,
                    number,
                    float(int(now)),
                    ending,
                    answered_by or None,
                    now + self.queue_secs + self.call_secs,
                )
            )
            if error is None:
                return sid
        assert error is not None
        raise error

    def up(self) -> int:
        return sum(call.over_at > self.now() for call in self.calls)

    def state(self, call: MadeCall) -> CallState:
        is_over = call.over_at <= self.now()
        is_waiting = call.over_at - self.call_secs > self.now()
        return CallState(
            call_sid=call.call_sid,
            status=call.status if is_over else "queued" if is_waiting else "in-progress",
            direction="outbound-api",
            duration=5 if is_over else None,
            answered_by=call.answered_by,
            created_at=call.created_at,
        )

    def calls_of(self, number: str) -> int:
        return sum(call.number == number for call in self.calls)


class Line(CampaignLine):
    """The campaign's way to that Twilio."""

    def __init__(self, exchange: Exchange, process: Process):
        rest = TwilioRest(Credentials(account_sid="AC1", auth_token="never asked"))
        super().__init__(rest, caller="+12125550199", webhook="https://bot.example.com/twiml")
        self.exchange, self.process = exchange, process
        self.hung_up: list[str] = []

    async def now(self) -> float:
        if self.exchange.is_down:
            raise RestError("no connection", retryable=True)
        return self.exchange.now()

    async def place(self, contact: Contact) -> str:
        self.process.deed()
        await asyncio.sleep(0.1)
        try:
            return self.exchange.request(contact.number)
        finally:
            # Killed with the call made, and its sid never seen.
            self.process.deed()

    async def made_since(self, number: str, since: float) -> Sequence[CallState]:
        await self.now()
        made = (call for call in self.exchange.calls if call.number == number)
        return [self.exchange.state(call) for call in made if call.created_at >= since - 5]

    async def look(self, call_sid: str) -> CallState:
        await self.now()
        for call in self.exchange.calls:
            if call.call_sid == call_sid:
                return self.exchange.state(call)
        raise RestError("no such call", status=404)

    async def wait(self, call_sid: str, *, is_urgent: bool) -> None:
        await asyncio.sleep(2.0 if is_urgent else 5.0)

    async def hang_up(self, call_sid: str) -> None:
        self.hung_up.append(call_sid)
        for call in self.exchange.calls:
            if call.call_sid == call_sid:
                if self.exchange.state(call).status == "queued":
                    call.status = "canceled"
                call.over_at = self.exchange.now()


class MortalState(CampaignState):
    """A state whose process may be killed before or behind each change."""

    process = Process()

    def _open(self) -> None:
        super()._open()
        # Nobody pulls the plug here, and a disk takes its time.
        self._file.execute("PRAGMA synchronous = OFF")

    def _mortal(self, change: Callable[..., Any], *arguments: Any) -> Any:
        self.process.deed()
        changed = change(*arguments)
        self.process.deed()
        return changed

    def ask(self, number: str, asked_at: float) -> Any:
        return self._mortal(super().ask, number, asked_at)

    def name(self, attempt: Any, call_sid: str) -> None:
        self._mortal(super().name, attempt, call_sid)

    def end(self, attempt: Any) -> None:
        self._mortal(super().end, attempt)

    def forget(self, attempt: Any) -> None:
        self._mortal(super().forget, attempt)


async def campaign_on(
    exchange: Exchange,
    numbers: Sequence[str],
    path: Path,
    *,
    lives: int | None = None,
    policy: CampaignPolicy = POLICY,
    **more: Any,
) -> tuple[Campaign, bool]:
    """Runs a process until it is done, or killed; gives its campaign, and whether it was done."""
    process = MortalState.process = Process(lives)
    contacts = [Contact(number=number) for number in numbers]
    campaign = Campaign(contacts, Line(exchange, process), policy, state=path, **more)
    try:
        return campaign, await campaign.run()
    except KilledError:
        return campaign, False
    finally:
        campaign.close()


class Disk(Executor):
    """A disk that takes no thread."""

    def __init__(self, *_: object):
        pass

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*arguments, **more))
        except Exception as error:
            done.set_exception(error)
        return done
