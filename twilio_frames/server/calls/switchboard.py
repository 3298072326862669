"""The calls that are up: each carried by its own task, counted, ended together.

A bot counts for as long as it runs. One that does not end is given up in the end: its line is
closed and its record with it, but it holds memory and takes time, so that it still counts, and is
asked to end again and again.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from twilio_frames import bulkhead
from twilio_frames.bulkhead import Compartment
from twilio_frames.call import Call
from twilio_frames.errors import CallFailedError, TwilioFramesError
from twilio_frames.frames import CallEndReason
from twilio_frames.rest.numbers import without_numbers
from twilio_frames.server.calls.records import CallRecord
from twilio_frames.transport.attending import tell_failed

__all__ = ["Bot", "Switchboard", "describe"]

Bot = Callable[[Call], Awaitable[None]]
"""What answers calls: one coroutine per call."""
Told = Callable[[CallEndReason, bool], Awaitable[None]]
"""Is told why a call's bot has ended, and whether it has failed."""


class Switchboard:
    """Carries calls: one bot coroutine each, none in the way of another.

    Args:
        bot: What answers each call.
    """

    _SET_UP_SECS = 1.0
    """How long a call keeps a worker busier than it does later."""
    _WIND_UP_SECS = 20.0
    """How long a bot may go on behind the end of its line."""
    CANCEL_SECS = 8.0
    """And behind its cancellation. A pipeline that has to be ended by force takes seven."""
    _NO_PIPELINE_SECS = 5.0
    """Behind the end of a line that never had a pipeline: there is nothing to wind up."""
    _LONGEST_CALL_SECS = 25 * 3600.0
    """A little more than Twilio's longest call,
    https://www.twilio.com/docs/voice/api/call-resource."""

    def __init__(self, bot: Bot):
        self._bot = bot
        self._calls: dict[asyncio.Task[None], _Carried] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    def __len__(self) -> int:
        """How many calls are up."""
        return len(self._calls)

    @property
    def beginning(self) -> int:
        """How many of them came a moment ago, and are being set up."""
        lately = asyncio.get_running_loop().time() - self._SET_UP_SECS
        return sum(carried.began_at > lately for carried in self._calls.values())

    async def carry(self, call: Call, record: CallRecord, told: "Told | None" = None) -> None:
        """Run the bot for a call until both have ended; what fails stays in this call.

        A cancellation of the caller, as some servers do when a socket is lost, leaves the call to
        its own end: its transport notices, and says why.

        Args:
            call: The call.
            record: What is remembered of it.
            told: Is told how it ended, before its line is closed.
        """
        carried = _Carried(call, record, told)
        carried.bot = asyncio.create_task(
            carried.compartment.run(self._answer(call, record)), name="bot"
        )
        carrier = asyncio.create_task(self._carry(carried), name="carrier")
        self._calls[carrier] = carried
        self._idle.clear()
        record.begin_stream(call)
        carrier.add_done_callback(self._forget)
        await carried.over.wait()

    async def _answer(self, call: Call, record: CallRecord) -> None:
        try:
            await (record.bot or self._bot)(call)
        except Exception as error:
            tell_failed(call.transport, error)
            raise
        if not call.was_answered:
            logger.bind(call_sid=call.call_sid).warning(
                f"{call.call_sid}: the bot returned without `await call.run(pipeline)`, which ends "
                "the call: nobody has heard or said anything"
            )

    def _forget(self, carrier: asyncio.Task[None]) -> None:
        del self._calls[carrier]
        if not self._calls:
            self._idle.set()

    async def _carry(self, carried: "_Carried") -> None:
        try:
            await self._follow(carried)
            await self._close(carried)
        finally:
            carried.over.set()
        await _let_go({carried.bot, *carried.call.tasks_left})

    async def _follow(self, carried: "_Carried") -> None:
        """Wait for a bot; one that outlives its line for long, or broke out, is cancelled."""
        bot, call = carried.bot, carried.call
        ended = asyncio.create_task(call.line_ended())
        waited = {bot, ended, carried.broken}
        await asyncio.wait(
            waited, timeout=self._LONGEST_CALL_SECS, return_when=asyncio.FIRST_COMPLETED
        )
        if not bot.done() and not carried.broken.done():
            has_piped = call.transport.pipeline_is_up
            patience = self._WIND_UP_SECS if has_piped else self._NO_PIPELINE_SECS
            waited = {bot, carried.broken}
            await asyncio.wait(waited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not bot.done():
            bot.cancel()
            await asyncio.wait({bot}, timeout=self.CANCEL_SECS)

    async def _close(self, carried: "_Carried") -> None:
        call, log = carried.call, logger.bind(call_sid=carried.call.call_sid)
        reason = CallEndReason.ERROR
        if (error := carried.error) is not None:
            log.error(f"{call.call_sid}: the bot failed: {describe(error)}")
        elif carried.bot.cancelled():
            log.warning(f"{call.call_sid}: the bot was cancelled")
            if call.end_reason is CallEndReason.HANDED_OVER:
                reason = call.end_reason
        elif carried.is_given_up:
            # It has ended all the same, for a library may swallow that: it has not hung up.
            reason = call.end_reason or CallEndReason.ERROR
        else:
            reason = call.end_reason or CallEndReason.BOT_HUNG_UP
        # Before the line is closed: Twilio asks at once how it ended.
        if carried.told is not None:
            await carried.told(reason, carried.error is not None)
        carried.record.end_stream(call, reason)
        await call.transport.close(reason, "the bot is done")
        log.info(f"{call.call_sid}: ended ({reason}), {len(self) - 1} other calls up")

    async def drain(self, seconds: float) -> int:
        """Take no new calls, let those that are up end, and return how many did not."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return len(self)

    async def cancel(self) -> None:
        """End every bot at once, without hanging up by REST."""
        self.draining = True
        calls = dict(self._calls)
        for carried in calls.values():
            carried.is_given_up |= carried.bot.cancel()
        if calls:
            await asyncio.wait(calls, timeout=self.CANCEL_SECS + 2.0)


class _Carried:
    """One call with its bot."""

    def __init__(self, call: Call, record: CallRecord, told: "Told | None"):
        self.call = call
        self.record = record
        self.told = told
        self.began_at = asyncio.get_running_loop().time()
        self.bot: asyncio.Task[None]
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_given_up = False
        """Whether its bot was cut off, however it takes that."""
        self.over = asyncio.Event()
        self.compartment = Compartment(self._break_out)

    def _break_out(self, error: BaseException) -> None:
        tell_failed(self.call.transport, error)
        if not self.broken.done():
            self.broken.set_result(None)

    @property
    def error(self) -> BaseException | None:
        """What the bot failed by."""
        if self.compartment.breach is not None:
            return self.compartment.breach
        if not self.bot.done():
            return CallFailedError(
                f"expected the bot to end within {Switchboard.CANCEL_SECS:g} s of its "
                "cancellation, got a bot that goes on: let CancelledError pass"
            )
        return None if self.bot.cancelled() else self.bot.exception()


async def _let_go(tasks: set[asyncio.Task[Any]]) -> None:
    """Wait for what has been given up, and ask it to end now and then."""
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=Switchboard.CANCEL_SECS)


def describe(error: BaseException) -> str:
    """Where and what kind; the text of what a bot raised may hold anything a caller said.

    This package's own errors are written to be logged.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(
        f"\n  {frame.filename}:{frame.lineno} in {frame.name}"
        for frame in frames
        if frame.filename != bulkhead.__file__
    )
    text = f": {without_numbers(str(error))}" if isinstance(error, TwilioFramesError) else ""
    return f"{type(error).__name__}{text}{where}"
