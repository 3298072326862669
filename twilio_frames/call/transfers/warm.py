"""A caller put through to somebody who was asked first: consult first, move last.

The caller stays with the bot until somebody has accepted and waits in the room. Only then does the
caller leave the stream; and the bot, not before both are in the room. Whoever hangs up on the way
leaves nobody behind: a caller who is alone is fetched back, somebody who is alone is hung up on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call.detours import Detours
from twilio_frames.call.plans import LONG_SECS, DetourResult
from twilio_frames.call.transfers import (
    TransferOutcome,
    TransferResult,
    objection_to,
    tell_result,
)
from twilio_frames.call.transfers.consulting import Consult, Consults
from twilio_frames.errors import DetourError, RestError, TwilioFramesError
from twilio_frames.pipecat_internals import tool_options
from twilio_frames.twiml import Verb

__all__ = ["WarmTransfer", "warm_transfer_function"]


@dataclass(frozen=True, slots=True)
class _Waits:
    """How long each part of it may take; seconds."""

    # Twilio lets it ring for up to five seconds longer, and takes a moment to say so.
    beyond_rings: float = 15.0
    # With all that is thought about it.
    briefing: float = 300.0
    # Of whoever has accepted.
    to_room: float = 15.0


_WAITS = _Waits()

_LONGEST_SECS = LONG_SECS + 1800.0
"""How long a function of the model may take: several people may be asked, and one talked to."""


class MovableCall(Protocol):
    """What a warm transfer asks of the caller's call."""

    detours: Detours
    """Its ways elsewhere."""

    async def say(self, text: str) -> None:
        """Has a text said, behind what is being said."""
        ...

    async def detour(self, *verbs: Verb) -> DetourResult:
        """Has Twilio do something else, and comes back."""
        ...

    def on_hold(self, music: str | bytes) -> AbstractAsyncContextManager[None]:
        """Has the caller wait with music."""
        ...

    async def leave(self) -> None:
        """Ends the bot's part of a call that is away."""
        ...

    async def line_ended(self) -> None:
        """Returns when the call is over."""
        ...

    def see_to(self, work: Coroutine[Any, Any, None]) -> None:
        """Has something finished, even if the pipeline ends meanwhile."""
        ...


class WarmTransfer:
    """One caller's way to one person who is asked first.

    Args:
        call: The caller's call.
        consult: The person.
        consults: Where the webhooks find them.
        announce: What the caller hears when they are moved.
        hold: Music until somebody decides.
        end_leg: Ends the person's call.
    """

    def __init__(
        self,
        call: MovableCall,
        consult: Consult,
        consults: Consults,
        *,
        announce: str | None,
        hold: str | bytes | None,
        end_leg: Callable[[str], Awaitable[None]],
    ):
        self._call = call
        self._consult = consult
        self._consults = consults
        self._announce = announce
        self._hold = hold
        self._end_leg = end_leg
        self._began_at = self._talked_secs = 0.0

    async def run(self, place: Coroutine[Any, Any, str], ring_secs: int) -> TransferResult:
        """Asks them, and puts the caller through if they accept.

        Raises:
            RestError: Twilio would not call them.
        """
        self._consults.begin(self._consult)
        placing = asyncio.create_task(place)
        over = asyncio.create_task(self._call.line_ended())
        is_connected = False
        try:
            try:
                async with self._call.on_hold(self._hold) if self._hold else nullcontext():
                    outcome = await self._decided(placing, over, ring_secs)
            except DetourError as error:
                if not error.has_ended:
                    raise
                outcome = TransferOutcome.CALLER_HUNG_UP
            is_back = not over.done()
            if outcome is TransferOutcome.ANSWERED:
                outcome, is_back = await self._move(over)
            is_connected = outcome is TransferOutcome.ANSWERED
            return TransferResult(outcome=outcome, is_back=is_back, talked_secs=self._talked_secs)
        finally:
            over.cancel()
            if self._consult.silent is not None:
                self._consult.silent.over.set()
            if not is_connected:
                self._consult.settle(TransferOutcome.FAILED)
                self._call.see_to(self._hang_up_on(placing))
            self._call.see_to(self._forget())

    async def _decided(
        self, placing: asyncio.Task[str], over: asyncio.Task[None], ring_secs: int
    ) -> TransferOutcome:
        await self._first(placing, over)
        if over.done():
            return TransferOutcome.CALLER_HUNG_UP
        error = placing.exception()
        if error is not None and not (isinstance(error, RestError) and error.may_be_done):
            raise error
        consult = self._consult
        answered = asyncio.create_task(consult.has_answered.wait())
        try:
            await self._first(consult.decided, answered, over, secs=ring_secs + _WAITS.beyond_rings)
            if consult.has_answered.is_set():
                await self._first(consult.decided, over, secs=_WAITS.briefing)
        finally:
            answered.cancel()
        if over.done():
            return TransferOutcome.CALLER_HUNG_UP
        if consult.decided.done():
            return consult.decided.result()
        if consult.has_answered.is_set():
            return TransferOutcome.NOT_ACCEPTED
        return TransferOutcome.NO_ANSWER

    async def _move(self, over: asyncio.Task[None]) -> tuple[TransferOutcome, bool]:
        """Moves the caller behind whoever has accepted; what came of it, and if they are back."""
        consult = self._consult
        there = asyncio.create_task(consult.is_in_room.wait())
        gone = asyncio.create_task(consult.is_gone.wait())
        both = asyncio.create_task(consult.caller_is_in_room.wait())
        moving: asyncio.Task[DetourResult] | None = None
        try:
            await self._first(there, gone, over, secs=_WAITS.to_room)
            if over.done():
                return TransferOutcome.CALLER_HUNG_UP, False
            if gone.done() or not there.done():
                return TransferOutcome.AGENT_HUNG_UP, True
            if self._announce:
                await self._call.say(self._announce)
            moving = asyncio.create_task(self._call.detour(*consult.caller_to_room))
            await self._first(moving, both, gone)
            if both.done() and not gone.done():
                self._began_at = asyncio.get_running_loop().time()
                if consult.silent is None:
                    await self._call.leave()
                    return TransferOutcome.ANSWERED, False
                return TransferOutcome.ANSWERED, await self._stay(moving)
            return await self._come_back(moving, is_alone=gone.done())
        finally:
            for task in (there, gone, both, moving):
                if task is not None:
                    task.cancel()

    async def _stay(self, moving: asyncio.Task[DetourResult]) -> bool:
        """Listens until either of them hangs up; whether it was not the caller."""
        try:
            await moving
        except DetourError as error:
            if not error.has_ended:
                raise
        self._talked_secs = asyncio.get_running_loop().time() - self._began_at
        return moving.exception() is None

    async def _come_back(
        self, moving: asyncio.Task[DetourResult], *, is_alone: bool
    ) -> tuple[TransferOutcome, bool]:
        """Waits for a caller who is alone in the room, or has been there unnoticed."""
        if is_alone:
            if not self._call.detours.is_away:
                return TransferOutcome.AGENT_HUNG_UP, True
            await self._call.detours.recall()
        try:
            await moving
        except DetourError as error:
            if not error.has_ended:
                raise
            return TransferOutcome.CALLER_HUNG_UP, False
        return (TransferOutcome.AGENT_HUNG_UP if is_alone else TransferOutcome.ANSWERED), True

    @staticmethod
    async def _first(*waited: "asyncio.Future[Any]", secs: float | None = None) -> None:
        await asyncio.wait(waited, timeout=secs, return_when=asyncio.FIRST_COMPLETED)

    async def _hang_up_on(self, placing: asyncio.Task[str]) -> None:
        """Ends their call, be it that it is being placed still."""
        try:
            call_sid = self._consult.call_sid or await placing
            if not self._consult.is_gone.is_set():
                await self._end_leg(call_sid)
        except TwilioFramesError:
            # There is no call, or Twilio ends it when nobody decides.
            return

    async def _forget(self) -> None:
        self._consults.end(self._consult)


def warm_transfer_function(
    people: Mapping[str, str],
    put_through: Callable[[str, str], Coroutine[Any, Any, TransferResult]],
    *,
    asks_first: bool,
) -> Any:
    """Makes the function by which a model has somebody asked, and puts its caller through."""

    # The caller goes on talking with the model meanwhile.
    @tool_options(cancel_on_interruption=False, timeout_secs=_LONGEST_SECS)
    async def warm_transfer(
        params: FunctionCallParams, to: str, summary: str, caller_agreed: bool
    ) -> None:
        objection = objection_to(to, people, agreed=caller_agreed or not asks_first)
        if objection is not None:
            await params.result_callback(objection)
            return
        await tell_result(params, await put_through(people[to], summary))

    # The docstring is what the model gets to read.
    warm_transfer.__doc__ = f"""Ask a person whether they take the caller, and put them through.

    Say so to the caller before you call this. It takes a while, in which you go on talking with
    the caller. If nobody takes the call, you are told why.

    Args:
        params: The call of the function.
        to: To whom, one of: {", ".join(people)}.
        summary: What the person is told: who calls, what they want, what was found out so far.
        caller_agreed: Whether the caller has said that they want to be put through.
    """
    return warm_transfer
