"""A call's ways to other TwiML and back: what is asked of Twilio, and what comes of it.

``<Connect>`` ends when this side closes the stream; Twilio then asks the ``action`` webhook what to
do, is told the verbs of the detour, and behind them to come back to another webhook, which connects
the same call to a new stream. A verb that tells what came of it (``<Dial>``, ``<Gather>``) tells
that webhook, and ends the document it stands in; what was to follow is in the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from twilio_frames.errors import ConfigurationError, DetourError, RestError
from twilio_frames.frames import CallBackFrame, CallEndReason, DetourFrame
from twilio_frames.protocol import Start
from twilio_frames.protocol.course import CallCourse, CallPhase, CallStep
from twilio_frames.rest import TwilioRest
from twilio_frames.transport import TwilioTransport
from twilio_frames.twiml import (
    Dial,
    OtherTwiml,
    Pause,
    Play,
    PlayDigits,
    Redirect,
    Verb,
    respond,
    tells_result,
)

__all__ = ["DetourResult", "Detours"]

_SHORT_SECS = 120.0
"""How long verbs may take that end by themselves, with all that Twilio takes for them."""
_LONG_SECS = 4 * 3600.0
"""And those in which people talk: Twilio's longest ``<Dial>``, if nothing else is said."""
_LOOK_SECS = 10.0
"""How often it is asked whether a call that is away is still up."""
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
        ),
        *("Called", "CalledCity", "CalledCountry", "CalledState", "CalledZip"),
        *("Caller", "CallerCity", "CallerCountry", "CallerState", "CallerZip"),
        *("From", "FromCity", "FromCountry", "FromState", "FromZip"),
        *("To", "ToCity", "ToCountry", "ToState", "ToZip"),
        *("CallerName", "ForwardedFrom", "ParentCallSid"),
    }
)
"""What Twilio tells with each request, and is no result of a verb."""


class DetourResult(NamedTuple):
    """What came of a detour.

    Parameters:
        results: What Twilio said of each verb that tells, in order, by Twilio's own names.
        away_secs: How long the call was away.
    """

    results: tuple[Mapping[str, str], ...]
    away_secs: float

    def get(self, name: str) -> str | None:
        """The last value of a name, ``DialCallStatus`` say; None if Twilio has told none."""
        return next((one[name] for one in reversed(self.results) if name in one), None)


@dataclass(slots=True, kw_only=True)
class Legs:
    """Those whom a detour calls.

    Parameters:
        whisper: What whoever answers hears before they are connected.
        on_answered: Called when somebody has answered.
    """

    whisper: tuple[Verb, ...] = ()
    on_answered: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True, kw_only=True)
class _Plan:
    """One detour, as far as it has come."""

    frame: DetourFrame
    call_sid: str
    legs: Legs = field(default_factory=Legs)
    number: int = 0
    left: list[Verb] = field(default_factory=list[Verb])
    results: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    is_told: bool = False
    error: DetourError | None = None
    done: asyncio.Future[DetourResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, result: DetourResult) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: DetourError | RestError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            # Nobody need wait for it: a frame's detour has no caller.
            self.done.exception()

    def next_document(self, base_url: str) -> str:
        """What Twilio does next, to the first verb that tells what came of it."""
        back_url = self.url(base_url, "back")
        taken: list[Verb] = []
        while self.left:
            verb = self.left.pop(0)
            taken.append(self._with_legs(verb, base_url) if isinstance(verb, Dial) else verb)
            if tells_result(verb):
                return respond(*taken, action=back_url)
        return respond(*taken, Redirect(url=back_url))

    def _with_legs(self, dial: Dial, base_url: str) -> Dial:
        if self.legs.whisper:
            dial = replace(dial, whisper_url=self.url(base_url, "whisper"))
        if self.legs.on_answered is not None:
            dial = replace(dial, answered_url=self.url(base_url, "leg"))
        return dial

    def url(self, base_url: str, path: str) -> str:
        return f"{base_url}/{path}?call={self.call_sid}&detour={self.number}"


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
        self._plans: dict[int, _Plan] = {}
        self._current: _Plan | None = None
        self._away = asyncio.Event()
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
        if when_busy == "refuse" and self._one_at_a_time.locked():
            raise DetourError(
                "expected a call that makes no detour, got one that does: wait for its end, or "
                'pass when_busy="wait"'
            )
        async with self._one_at_a_time:
            within_secs = within_secs or _longest(verbs)
            frame = DetourFrame(verbs=verbs, by_rest=by_rest, within_secs=within_secs)
            plan = _Plan(frame=frame, call_sid=self._call_sid, legs=legs or Legs())
            self._plans[plan.frame.id] = plan
            try:
                if self._course.phase is CallPhase.ENDED:
                    raise _ended()
                if at_once:
                    await self._transport.leave_at_once(plan.frame)
                else:
                    await queue(plan.frame)
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
        taken = asyncio.create_task(self.take(verbs, queue, within_secs=_LONG_SECS))
        away = asyncio.create_task(self._away.wait())
        await asyncio.wait({taken, away}, return_when=asyncio.FIRST_COMPLETED)
        away.cancel()
        if taken.done():
            taken.result()
        try:
            yield
        finally:
            await self.recall()
            await taken

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
            plan = _Plan(frame=frame, call_sid=self._call_sid)
            frame.within_secs = frame.within_secs or _longest(frame.verbs)
        return self._begin(plan)

    def _begin(self, plan: _Plan) -> bool:
        if not plan.frame.verbs or not self._course.take(CallStep.LEAVE):
            plan.fail(
                DetourError("expected a call on a stream, got one that is away, or has ended")
            )
            return False
        plan.number = self._course.detours
        plan.left = list(plan.frame.verbs)
        self._current = plan
        self._away.set()
        work = [self._watch(plan)] if self._rest is not None else []
        if plan.frame.by_rest:
            work.append(self._order(plan))
        for each in work:
            task = asyncio.create_task(each, name="detour")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _watch(self, plan: _Plan) -> None:
        """Finds out about a caller who hangs up meanwhile, where no status callback tells."""
        assert self._rest is not None  # noqa: S101 - it was checked
        while self._current is plan:
            await asyncio.sleep(_LOOK_SECS)
            if self._current is not plan:
                return
            try:
                state = await self._rest.fetch(self._call_sid)
            except RestError:
                continue
            if state.is_over:
                await self.hung_up()

    async def hung_up(self) -> None:
        """Twilio says that the call is over; nothing is to be done where it is on a stream."""
        if self.is_away:
            await self._transport.close(
                CallEndReason.CALLER_HUNG_UP, "Twilio says that the call is over"
            )

    async def _order(self, plan: _Plan) -> None:
        """Asks Twilio's REST API for it; the stream goes on if that refuses."""
        assert self._rest is not None  # noqa: S101 - it was checked
        written = plan.next_document(self.base_url or "")
        plan.is_told = True
        try:
            await self._rest.update(self._call_sid, twiml=written)
        except RestError as error:
            if self._current is plan and self._course.phase is CallPhase.LEAVING:
                self._current = None
                self._course.take(CallStep.RETURNING)
                self._course.take(CallStep.STREAM)
                self._transport.stay()
            plan.fail(error)

    def asked(self) -> str | None:
        """Twilio asks what to do, the stream being over: the TwiML; None if there is no detour."""
        plan = self._current
        if plan is None or not self._course.take(CallStep.ASKED):
            return None
        if plan.is_told:
            # It has been there: the stream that was to follow could not be opened.
            return respond(Redirect(url=plan.url(self.base_url or "", "back")))
        written = plan.next_document(self.base_url or "")
        plan.is_told = True
        return written

    def came_back(self, number: str, told: Mapping[str, str]) -> str | None:
        """Twilio is done with some of the verbs.

        Args:
            number: Which detour it comes from.
            told: What it says.

        Returns:
            The TwiML that goes on with it; None if all is done, and a stream is to follow.

        Raises:
            DetourError: If the call is not away for this one: it came late, or twice.
        """
        plan = self._current
        if plan is None or number != str(plan.number):
            raise DetourError("expected a call that is away, got one that is not")
        result = {name: value for name, value in told.items() if _is_result(name)}
        if result and result not in plan.results:
            plan.results.append(result)
        if plan.left:
            return plan.next_document(self.base_url or "")
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
        if plan.is_told and self._rest is not None:
            await self._rest.update(self._call_sid, url=plan.url(self.base_url or "", "back"))

    def refused(self, code: int) -> bool:
        """Twilio could not do what it was told, for a reason that its error code says.

        Returns:
            Whether the call comes back for it, its detour having failed.
        """
        plan = self._current
        if plan is None or not self._course.take(CallStep.RETURNING):
            return False
        plan.left.clear()
        plan.is_told = True
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
        self._away.clear()
        back = await self._transport.come_back(websocket, start, plan.results)
        if back is None:
            return None
        if plan.error is not None:
            plan.fail(plan.error)
        plan.finish(DetourResult(back.results, back.away_secs))
        return back

    def ended(self) -> None:
        """The call is over."""
        self._course.take(CallStep.ENDED)
        self._current = None
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        for plan in self._plans.values():
            plan.fail(_ended())


def _is_result(name: str) -> bool:
    return name not in _ABOUT_THE_CALL and not name.startswith(("Stir", "Sip"))


def _ended() -> DetourError:
    return DetourError(
        "expected the call to come back from its detour, got its end: the caller may have hung up "
        "(Call.end_reason says why)",
        has_ended=True,
    )


def _longest(verbs: tuple[Verb, ...]) -> float:
    """How long a detour may take, by what is done in it."""
    longest = 0.0
    for verb in verbs:
        match verb:
            case Dial(time_limit_secs=limit, ring_secs=ring):
                calls = max(1, len(verb.targets)) if verb.is_sequential else 1
                longest += (limit or _LONG_SECS) + ring * calls + _SHORT_SECS
            case OtherTwiml():
                longest += _LONG_SECS
            case Pause(seconds=seconds):
                longest += seconds
            case PlayDigits(digits=digits):
                longest += len(digits)
            case _:
                pass
    return longest + _SHORT_SECS
