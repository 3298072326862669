"""A campaign that runs: it does what its plan says, and keeps what comes of it.

Theory of operation
-------------------
Each step of a call is kept in the state's file before or behind the request that makes it true:

1. "asking" is written, and only then is Twilio asked;
2. the call's sid is written as soon as it is known;
3. the outcome is written when the call is over.

A process that is killed between 1 and 2 leaves an attempt without a sid. So does a request that
comes to nothing known: a time-out, a connection that broke, a 5xx. Twilio has no key by which a
request could be repeated without effect. So the account's calls to that number are looked at, until
one is found, or until none can come any more; only then is the number due again.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger

from twilio_frames.campaign.line import CampaignLine
from twilio_frames.campaign.plan import Attempt, Contact, Finished, Place, Plan, Progress, Wait
from twilio_frames.campaign.policy import CampaignPolicy, Outcome
from twilio_frames.campaign.state import CampaignState
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.rest.client import CallState

__all__ = ["Campaign"]

_T = TypeVar("_T")

_OUTCOMES = {
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.CANCELED,
}
_MOST_MISSING = 3
"""Answers that there is no such call, after which it is believed."""
_TOO_MANY_CALLS = 10004
_NOBODY_IS_CALLED = frozenset({10001, 10003, 20003, 20005, 21205, 21210, 21212})
"""Error codes that are the account's, the webhook's or the caller id's: every number has them."""


class Campaign:
    """Calls contacts by a policy, each as often as the policy says, whatever happens meanwhile.

    ::

        campaign = Campaign(contacts, line, policy, state=Path("calls.campaign"))
        await campaign.run()

    A campaign that was killed goes on where it was, with another one on the same state.

    Args:
        contacts: Whom to call.
        line: Asks Twilio.
        policy: How fast, when, how often.
        state: The file that says what was done, made if there is none.
        barred: Numbers that are not called, and why.
        tell: Called with how far it is, whenever that changes.

    Raises:
        ConfigurationError: A contact cannot be called like this, or the state cannot be opened.
    """

    _LOOK_SECS = 2.0
    """Between two looks for a call that may have been made."""
    _LONGEST_SLEEP_SECS = 60.0
    """After which the time is looked at anew."""
    _LONGEST_CALL_SECS = 25 * 3600.0
    """What Twilio does not know to be over by then is given up; it ends calls after 24 hours, and
    keeps them in its queue as long."""

    def __init__(
        self,
        contacts: Iterable[Contact],
        line: CampaignLine,
        policy: CampaignPolicy | None = None,
        *,
        state: Path,
        barred: Mapping[str, Outcome] | None = None,
        tell: Callable[[Progress], None] = lambda progress: None,
    ):
        self._line = line
        self._policy = policy or CampaignPolicy()
        contacts = list(contacts)
        for contact in contacts:
            line.request(contact)
        self._state = CampaignState(state)
        self._tell = tell
        attempts = self._state.attempts()
        blocked = dict.fromkeys(self._state.barred(), Outcome.DO_NOT_CALL)
        self.plan = Plan(
            contacts, self._policy, barred={**(barred or {}), **blocked}, attempts=attempts
        )
        self._known = {attempt.call_sid for attempt in attempts if attempt.call_sid}
        self._disk = ThreadPoolExecutor(1, "campaign")
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_stopping = False

    async def run(self) -> bool:
        """Calls until every number has its outcome; False if it was stopped before.

        Raises:
            RestError: Nobody can be called by this account, from this number, or with this webhook.
            ConfigurationError: The state cannot be written. Nothing is called that is not written.
        """
        try:
            for attempt in self.plan.open_attempts:
                self._carry_on(attempt)
            while not self._failure:
                now = await self._now()
                step = self.plan.next(now)
                self._tell(self.plan.progress(now))
                if isinstance(step, Finished):
                    return True
                if self._is_stopping and not self.plan.open_attempts:
                    return False
                await self._take(step, now)
            raise self._failure
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """Places no more calls; ``run()`` returns when those that are up are over."""
        self._is_stopping = True
        self._news.set()

    async def do_not_call(self, number: str) -> None:
        """Calls a number no more, in this campaign and in those that go on from its state."""
        await self._kept(self._state.do_not_call, number)
        self.plan.bar(number, Outcome.DO_NOT_CALL)
        self._news.set()

    def close(self) -> None:
        """Closes the state."""
        self._disk.submit(self._state.close).result()
        self._disk.shutdown()

    async def _take(self, step: Place | Wait, now: float) -> None:
        if isinstance(step, Place) and not self._is_stopping:
            attempt = await self._kept(self._state.ask, step.contact.number, now)
            self.plan.asked(attempt)
            self._carry_on(attempt, step.contact)
            return
        until = step.until if isinstance(step, Wait) and not self._is_stopping else None
        patience = self._LONGEST_SLEEP_SECS if until is None else until - now
        self._news.clear()
        try:
            async with asyncio.timeout(min(max(patience, 0.001), self._LONGEST_SLEEP_SECS)):
                await self._news.wait()
        except TimeoutError:
            return

    async def _kept(self, write: Callable[..., _T], *arguments: Any) -> _T:
        """Writes to the state; a change that is begun is not left in the middle."""
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self._disk, write, *arguments))
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"expected to write the campaign's state, got {error}: make room on its disk, or "
                "name a file elsewhere; nothing was called that is not written"
            ) from error

    def _carry_on(self, attempt: Attempt, contact: Contact | None = None) -> None:
        task = asyncio.create_task(self._carry(attempt, contact), name="campaign call")
        self._tasks.add(task)
        task.add_done_callback(self._note_done)

    def _note_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failure = self._failure or error
        self._news.set()

    async def _carry(self, attempt: Attempt, contact: Contact | None) -> None:
        """Carries an attempt to its end; without a contact, one of an earlier process."""
        if attempt.call_sid is None:
            call_sid = (
                await self._asked(attempt, contact)
                if contact
                else await self._searched(attempt, attempt.asked_at + self._policy.settle_secs)
            )
            if call_sid is None:
                return
            attempt = replace(attempt, call_sid=call_sid)
            self._known.add(call_sid)
            await self._kept(self._state.name, attempt, call_sid)
        ended = await self._followed(attempt)
        if ended is not None:
            await self._end(ended)

    async def _asked(self, attempt: Attempt, contact: Contact) -> str | None:
        """Asks for a call; None if there is none, and the plan knows."""
        try:
            return await self._line.place(contact)
        except RestError as error:
            if _may_be_made(error):
                log = "no answer" if error.status is None else f"HTTP {error.status}"
                logger.warning(f"{log} to a call that was asked for: looking whether it was made")
                return await self._searched(attempt, await self._now() + self._policy.settle_secs)
            await self._refused(attempt, error)
        return None

    async def _refused(self, attempt: Attempt, error: RestError) -> None:
        """No call was made."""
        is_crowded = error.code == _TOO_MANY_CALLS
        if is_crowded or error.retryable or _concerns_all(error):
            await self._kept(self._state.forget, attempt)
            self.plan.not_made(attempt, await self._now(), is_crowded=is_crowded)
            if _concerns_all(error):
                raise error
            logger.warning(f"no call was made for now: {error}")
            return
        ended = replace(attempt, outcome=Outcome.REFUSED, code=error.code)
        await self._end(replace(ended, ended_at=await self._now()))

    async def _searched(self, attempt: Attempt, until: float) -> str | None:
        """Finds the call that an attempt may have made; None once none can come any more."""
        while True:
            now = await self._now()
            try:
                calls = await self._line.made_since(attempt.number, attempt.asked_at)
            except RestError as error:
                self._bear(error)
                now, calls = attempt.asked_at, []
            if new := [call for call in calls if call.call_sid not in self._known]:
                return new[0].call_sid
            if now >= until:
                await self._kept(self._state.forget, attempt)
                self.plan.not_made(attempt, now)
                return None
            await asyncio.sleep(self._LOOK_SECS)

    async def _followed(self, attempt: Attempt) -> Attempt | None:
        """Follows a call to its end; None if it was called off before it rang."""
        call_sid = attempt.call_sid or ""
        missing, is_hung_up, is_called_off = 0, False, False
        while True:
            call = None
            try:
                call = await self._line.look(call_sid)
                missing = 0
                if call.status == "canceled" and is_called_off:
                    await self._kept(self._state.forget, attempt)
                    self.plan.not_made(attempt, await self._now())
                    return None
                if call.is_over:
                    return replace(_outcome(attempt, call), ended_at=await self._now())
                if await self._is_late(attempt, call):
                    is_called_off = True
                    await self._line.hang_up(call_sid)
                elif not is_hung_up and self._is_unwanted(call):
                    await self._line.hang_up(call_sid)
                    is_hung_up = True
            except RestError as error:
                missing += error.status == HTTPStatus.NOT_FOUND
                if error.status != HTTPStatus.NOT_FOUND:
                    self._bear(error)
            now = await self._now()
            if missing >= _MOST_MISSING or now - attempt.asked_at > self._LONGEST_CALL_SECS:
                return replace(attempt, outcome=Outcome.FAILED, ended_at=now)
            awaits_verdict = self._policy.on_machine == "hang-up" and not (
                call and call.answered_by
            )
            await self._line.wait(call_sid, is_urgent=awaits_verdict)

    async def _is_late(self, attempt: Attempt, call: CallState) -> bool:
        """Whether a call waits at Twilio still, and the calling hours are over meanwhile."""
        is_waiting = call.status == "queued"
        return is_waiting and not self.plan.may_ring(attempt.number, await self._now())

    def _is_unwanted(self, call: CallState) -> bool:
        is_machine = (call.answered_by or "").startswith(("machine", "fax"))
        return self._policy.on_machine == "hang-up" and is_machine

    def _bear(self, error: RestError) -> None:
        """Goes on in spite of an error, unless it will not get better."""
        if _concerns_all(error):
            raise error
        logger.warning(f"asking again in a moment: {error}")

    async def _now(self) -> float:
        while True:
            try:
                return await self._line.now()
            except RestError as error:
                self._bear(error)
                await asyncio.sleep(self._LOOK_SECS)

    async def _end(self, attempt: Attempt) -> None:
        await self._kept(self._state.end, attempt)
        self.plan.ended(attempt)


def _may_be_made(error: RestError) -> bool:
    """Whether a call may have come of a request that failed so."""
    has_reason = error.status is not None and 300 <= error.status < 500
    return not error.retryable and not has_reason


def _concerns_all(error: RestError) -> bool:
    return error.status == 401 or error.code in _NOBODY_IS_CALLED


def _outcome(attempt: Attempt, call: CallState) -> Attempt:
    """The attempt with what came of its call."""
    answered_by = call.answered_by or ""
    outcome = _OUTCOMES.get(call.status, Outcome.ANSWERED)
    if outcome is Outcome.ANSWERED and answered_by.startswith("machine"):
        outcome = Outcome.MACHINE
    elif outcome is Outcome.ANSWERED and answered_by == "fax":
        outcome = Outcome.FAX
    return replace(
        attempt, outcome=outcome, seconds=call.duration, answered_by=call.answered_by or None
    )
