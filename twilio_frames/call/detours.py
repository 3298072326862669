"""A call's ways to other TwiML and back: what is asked of Twilio, and what comes of it.

``<Connect>`` ends when this side closes the stream; Twilio then asks the ``action`` webhook what to
do, is told the verbs of the detour, and behind them to come back to another webhook, which connects
the same call to a new stream. A verb that tells what came of it (``<Dial>``, ``<Gather>``) tells
that webhook, and ends the document it stands in; what was to follow is in the next one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal

from loguru import logger

from twilio_frames.call.plans import LONG_SECS, DetourResult, Legs, Plan, longest_of
from twilio_frames.errors import ConfigurationError, DetourError, RestError
from twilio_frames.frames import CallBackFrame, CallEndReason, DetourFrame
from twilio_frames.protocol import Start
from twilio_frames.protocol.course import CallCourse, CallPhase, CallStep
from twilio_frames.rest import TwilioRest
from twilio_frames.transport import TwilioTransport
from twilio_frames.twiml import (
    Play,
    Redirect,
    Verb,
    respond,
)

__all__ = ["Detours"]

_LOOK_SECS = 10.0
"""How often it is asked whether a call that is away is still up."""
STOP_SECS = 3.0
"""How long Twilio may take to stop a stream, or come back, having done what it gave no answer to.

About a second was seen on live calls.
"""
_ABOUT_THE_CALL = frozenset(
    {
        *(
            "call",
            "AccountSid",
            "ApiVersion",
            "CallSid",
            "CallStatus",
            "CallToken",
            "Direction",
            "detour",
            "done",
        ),
        *("Called", "CalledCity", "CalledCountry", "CalledState", "CalledZip"),
        *("Caller", "CallerCity", "CallerCountry", "CallerState", "CallerZip"),
        *("From", "FromCity", "FromCountry", "FromState", "FromZip"),
        *("To", "ToCity", "ToCountry", "ToState", "ToZip"),
        *("CallerName", "ForwardedFrom", "ParentCallSid"),
    }
)
"""What Twilio tells with each request, and is no result of a verb."""


class Detours:
    """One call's detours, one at a time.

    Args:
        transport: The call's.
        call_sid: The call.
        rest: The account's REST API; None where there is none.
    """

    def __init__(self, transport: TwilioTransport, call_sid: str, rest: TwilioRest | None):
        self._transport = transport
        self._call_sid = call_sid
        self._rest = rest
        self._course = CallCourse()
        self._course.take(CallStep.STREAM)
        self._one_at_a_time = asyncio.Lock()
        self._plans: dict[int, Plan] = {}
        self._current: Plan | None = None
        self._on_stream = asyncio.Event()
        self._on_stream.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.base_url: str | None = None
        """Where Twilio reaches the server that sees to this call; None if there is none."""

    def begin(self, base_url: str) -> None:
        """Sees to the call's detours from now on.

        Args:
            base_url: Where Twilio reaches this server, without a slash at the end.
        """
        self.base_url = base_url
        self._transport.see_to_detours(self._leave)

    @property
    def is_away(self) -> bool:
        """Whether the caller is elsewhere, or on the way."""
        return self._course.is_away

    async def take(
        self,
        verbs: tuple[Verb, ...],
        queue: Callable[[DetourFrame], Awaitable[None]],
        *,
        at_once: bool = False,
        by_rest: bool = False,
        within_secs: float | None = None,
        when_busy: Literal["wait", "refuse"] = "wait",
        legs: Legs | None = None,
    ) -> DetourResult:
        """Carries a detour out; see :meth:`twilio_frames.call.Call.detour`."""
        self._check(verbs, by_rest=by_rest)
        if when_busy == "refuse" and (self._one_at_a_time.locked() or self.is_away):
            raise DetourError(
                "expected a call that makes no detour, got one that does: wait for its end, or "
                'pass when_busy="wait"'
            )
        within_secs = within_secs or longest_of(verbs)
        frame = DetourFrame(verbs=verbs, by_rest=by_rest, within_secs=within_secs)
        plan = Plan(frame=frame, call_sid=self._call_sid, legs=legs or Legs())
        # A pipeline that is not up yet can be told of nothing but behind its start.
        at_once = at_once and self._transport.pipeline_is_up
        return await self._carry_out(plan, self._leave_at_once if at_once else queue)

    async def _carry_out(
        self, plan: Plan, leave: Callable[[DetourFrame], Awaitable[None]]
    ) -> DetourResult:
        async with self._one_at_a_time:
            self._plans[plan.frame.id] = plan
            try:
                if self._course.phase is CallPhase.ENDED:
                    raise _ended()
                await leave(plan.frame)
                return await plan.done
            finally:
                self._plans.pop(plan.frame.id, None)
                if plan is not self._current:
                    # Nobody waits for one that has not begun.
                    plan.frame.verbs = ()

    @asynccontextmanager
    async def playing(
        self, url: str, queue: Callable[[DetourFrame], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Has Twilio play a file again and again, until the end of this."""
        verbs = (Play(url=url, loop=0),)
        self._check(verbs, by_rest=True)
        frame = DetourFrame(verbs=verbs, within_secs=LONG_SECS)
        plan = Plan(frame=frame, call_sid=self._call_sid)
        taken = asyncio.create_task(self._carry_out(plan, queue), name="hold")
        begun = asyncio.create_task(plan.begun.wait(), name="hold")
        try:
            await asyncio.wait({taken, begun}, return_when=asyncio.FIRST_COMPLETED)
            if taken.done():
                taken.result()
            yield
        finally:
            begun.cancel()
            await self._take_back(plan, taken)

    async def _take_back(self, plan: Plan, taken: "asyncio.Task[DetourResult]") -> None:
        """Ends a detour that ends by nothing else."""
        if self._current is plan:
            try:
                await self.recall()
            except RestError:
                await self._look()
                if self._current is plan:
                    await _cancelled(taken)
                    raise
        elif not taken.done():
            # It has not begun.
            await _cancelled(taken)
            return
        await taken

    async def _leave_at_once(self, frame: DetourFrame) -> None:
        # One that came through the pipeline may be under way.
        await self._on_stream.wait()
        if not await self._transport.leave_at_once(frame) and frame.id in self._plans:
            self._plans[frame.id].fail(_not_on_stream())

    def _check(self, verbs: tuple[Verb, ...], *, by_rest: bool) -> None:
        if not verbs:
            raise ConfigurationError("expected at least one verb for a detour, got none")
        # What Twilio would refuse is refused here, where the caller is still there.
        respond(*verbs)
        if self.base_url is None:
            raise ConfigurationError(
                "expected a call that twilio_frames.server answered, got another: a detour needs "
                "the webhooks that tell Twilio what to do and lead it back (create_app, or `serve`)"
            )
        if by_rest and self._rest is None:
            raise ConfigurationError(
                "expected Twilio credentials for a detour by REST, got none: set "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or leave by_rest out"
            )

    def _leave(self, frame: DetourFrame) -> bool:
        """A detour is due: the stream is left if the call is on one."""
        plan = self._plans.get(frame.id)
        if plan is None:
            plan = Plan(frame=frame, call_sid=self._call_sid)
            frame.within_secs = frame.within_secs or longest_of(frame.verbs)
            try:
                self._check(frame.verbs, by_rest=frame.by_rest)
            except ConfigurationError as error:
                logger.error(f"{self._call_sid}: a DetourFrame is left out: {error}")
                return False
        return self._begin(plan)

    def _begin(self, plan: Plan) -> bool:
        if not plan.frame.verbs or not self._course.take(CallStep.LEAVE):
            plan.fail(_not_on_stream())
            return False
        plan.number = self._course.detours
        plan.left = list(plan.frame.verbs)
        self._current = plan
        plan.begun.set()
        self._on_stream.clear()
        work = [self._watch(plan)] if self._rest is not None else []
        if plan.frame.by_rest:
            work.append(self._order(plan))
        for each in work:
            task = asyncio.create_task(each, name="detour")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _watch(self, plan: Plan) -> None:
        """Finds out about a caller who hangs up meanwhile, where no status callback tells."""
        assert self._rest is not None  # noqa: S101 - it was checked
        while self._current is plan:
            await asyncio.sleep(_LOOK_SECS)
            if self._current is not plan:
                return
            await self._look()

    async def _look(self) -> None:
        """Asks Twilio whether the call is still up; that it did not say is no reason to end it."""
        assert self._rest is not None  # noqa: S101 - it was checked
        with contextlib.suppress(RestError):
            if (await self._rest.fetch(self._call_sid)).is_over:
                await self.hung_up()

    async def hung_up(self) -> None:
        """Twilio says that the call is over; nothing is to be done where it is on a stream."""
        if self.is_away:
            await self._transport.close(
                CallEndReason.CALLER_HUNG_UP, "Twilio says that the call is over"
            )

    async def _order(self, plan: Plan) -> None:
        """Asks Twilio's REST API for it; the stream goes on if that refuses."""
        assert self._rest is not None  # noqa: S101 - it was checked
        try:
            await self._rest.update(self._call_sid, twiml=plan.document(0, self.base_url or ""))
        except RestError as error:
            if error.may_be_done:
                # Its answer alone may be lost; the stream's end tells.
                await self._transport.is_left(within_secs=STOP_SECS)
            if self._current is plan and not self._transport.stay():
                # Its stream was over when Twilio was asked, or is over for it all the same.
                await self._look()
                return
            if self._current is plan:
                self._current = None
                self._course.take(CallStep.RETURNING)
                self._course.take(CallStep.STREAM)
                self._on_stream.set()
            plan.fail(error)

    def asked(self) -> str | None:
        """Twilio asks what to do, the stream being over: the TwiML; None if there is no detour."""
        plan = self._current
        if plan is None or not self._course.take(CallStep.ASKED):
            return None
        is_returning = self._course.phase is CallPhase.RETURNING
        written = None if is_returning else plan.document(0, self.base_url or "")
        # Where it was returning, the stream that was to follow could not be opened.
        return written or respond(Redirect(url=plan.last_url(self.base_url or "")))

    def came_back(self, asked: Mapping[str, str], told: Mapping[str, str]) -> str | None:
        """Twilio is done with some of the verbs.

        Args:
            asked: What stands in the URL: which detour it comes from, and how far that is.
            told: What it says.

        Returns:
            The TwiML that goes on with it; None if all is done, and a stream is to follow.

        Raises:
            DetourError: If the call is not away for this one: it came late, or twice.
        """
        plan = self._current
        if plan is None or asked.get("detour") != str(plan.number):
            raise DetourError("expected a call that is away, got one that is not")
        done = next((n for n in range(len(plan.documents)) if asked.get("done") == str(n)), None)
        if done is None:
            done = len(plan.documents)
        result = {name: value for name, value in told.items() if _is_result(name)}
        if result:
            plan.results.setdefault(done, result)
        if (more := plan.document(done, self.base_url or "")) is not None:
            return more
        if not self._course.take(CallStep.RETURNING):
            raise DetourError("expected a call that is away, got one that is not")
        return None

    def whisper(self, number: str) -> tuple[Verb, ...]:
        """What somebody hears who was called by a detour, and has answered."""
        plan = self._current
        return plan.legs.whisper if plan is not None and number == str(plan.number) else ()

    async def answered(self, number: str) -> None:
        """Somebody who was called by a detour has answered."""
        plan = self._current
        if plan is not None and number == str(plan.number) and plan.legs.on_answered is not None:
            await plan.legs.on_answered()

    async def recall(self) -> None:
        """Has a call that is away come back before its verbs are done; by REST, if it is there yet.

        Raises:
            RestError: Twilio refused, or did not answer.
        """
        plan = self._current
        if plan is None or self._course.phase not in (CallPhase.LEAVING, CallPhase.AWAY):
            return
        plan.left.clear()
        if not plan.documents or self._rest is None:
            return
        try:
            await self._rest.update(self._call_sid, url=plan.last_url(self.base_url or ""))
        except RestError as error:
            if error.may_be_done:
                # Its answer alone may be lost; the next stream tells.
                await asyncio.wait({plan.done}, timeout=STOP_SECS)
            if not plan.done.done():
                raise

    def refused(self, code: int) -> bool:
        """Twilio could not do what it was told, for a reason that its error code says.

        Returns:
            Whether the call comes back for it, its detour having failed.
        """
        plan = self._current
        if plan is None or not self._course.take(CallStep.RETURNING):
            return False
        plan.left.clear()
        plan.error = DetourError(
            f"expected Twilio to do the verbs of a detour, got its error {code}: see "
            f"https://www.twilio.com/docs/api/errors/{code}",
            code=code,
        )
        return True

    async def stream_began(self, websocket: object, start: Start) -> CallBackFrame | None:
        """The call is on a stream again; None if it was not awaited."""
        plan = self._current
        if plan is None or not self._course.take(CallStep.STREAM):
            return None
        self._current = None
        self._on_stream.set()
        back = await self._transport.come_back(websocket, start, [*plan.results.values()])
        if back is None:
            return None
        if plan.error is not None:
            plan.fail(plan.error)
        plan.finish(DetourResult(back.results, back.away_secs))
        return back

    async def _give_back(self, rest: TwilioRest, url: str) -> None:
        with contextlib.suppress(RestError):
            await rest.update(self._call_sid, url=url)

    def ended(self) -> None:
        """The call is over."""
        self._course.take(CallStep.ENDED)
        left, self._current = self._current, None
        self._on_stream.set()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        if left is not None and self._rest is not None and left.is_endless:
            # Nobody takes its caller back any more; the webhook that it comes to ends the call.
            url = left.last_url(self.base_url or "")
            task = asyncio.create_task(self._give_back(self._rest, url), name="detour")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for plan in self._plans.values():
            plan.fail(_ended())


def _is_result(name: str) -> bool:
    return name not in _ABOUT_THE_CALL and not name.startswith(("Stir", "Sip"))


async def _cancelled(task: "asyncio.Task[DetourResult]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _not_on_stream() -> DetourError:
    return DetourError("expected a call on a stream, got one that is away, or has ended")


def _ended() -> DetourError:
    return DetourError(
        "expected the call to come back from its detour, got its end: the caller may have hung up "
        "(Call.end_reason says why)",
        has_ended=True,
    )
