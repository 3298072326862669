"""The calls that are up: each carried by its own task, counted, ended together."""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable

from loguru import logger

from twilio_frames.call import Call
from twilio_frames.errors import BotFailedError, CallFailedError, TwilioFramesError
from twilio_frames.frames import CallEndReason
from twilio_frames.rest import without_numbers
from twilio_frames.server.records import CallRecord
from twilio_frames.transport.attending import tell_failed

__all__ = ["Bot", "Switchboard", "describe"]

Bot = Callable[[Call], Awaitable[None]]
"""What answers calls: one coroutine per call."""

_WIND_UP_SECONDS = 20.0
_CANCEL_SECONDS = 5.0

_LONGEST_CALL_SECONDS = 25 * 3600.0
"""A little more than Twilio's longest call, https://www.twilio.com/docs/voice/api/call-resource."""


class Switchboard:
    """Carries calls: one bot coroutine each, none in the way of another.

    Args:
        bot: What answers each call.
    """

    def __init__(self, bot: Bot):
        self._bot = bot
        self._calls: dict[asyncio.Task[None], asyncio.Task[None]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    def __len__(self) -> int:
        """How many calls are up."""
        return len(self._calls)

    async def carry(self, call: Call, record: CallRecord) -> None:
        """Run the bot for a call until both have ended; what fails stays in this call.

        A cancellation of the caller, as some servers do when a socket is lost, leaves the call to
        its own end: its transport notices, and says why.
        """
        bot = asyncio.create_task(self._answer(call))
        carrier = asyncio.create_task(self._carry(call, record, bot))
        self._calls[carrier] = bot
        self._idle.clear()
        record.begin_stream(call)
        carrier.add_done_callback(self._forget)
        await asyncio.shield(carrier)

    async def _answer(self, call: Call) -> None:
        try:
            await self._bot(call)
        except BaseException as error:
            tell_failed(call.transport, error)
            if not isinstance(error, SystemExit):
                raise
            # An event loop ends by it, and every call with it.
            raise BotFailedError("expected a bot that returns, got one that exits") from error

    def _forget(self, carrier: asyncio.Task[None]) -> None:
        del self._calls[carrier]
        if not self._calls:
            self._idle.set()

    async def _carry(self, call: Call, record: CallRecord, bot: asyncio.Task[None]) -> None:
        log = logger.bind(call_sid=call.call_sid)
        reason = CallEndReason.ERROR
        try:
            await self._follow(bot, call)
            reason = call.end_reason or CallEndReason.BOT_HUNG_UP
        except asyncio.CancelledError:
            log.warning(f"{call.call_sid}: the bot was cancelled")
        except Exception as error:
            log.error(f"{call.call_sid}: the bot failed: {describe(error)}")
        # Before the line is closed: Twilio asks at once how it ended.
        record.end_stream(call, reason)
        await call.transport.close(reason, "the bot is done")
        log.info(f"{call.call_sid}: ended ({reason}), {len(self) - 1} other calls up")

    async def _follow(self, bot: asyncio.Task[None], call: Call) -> None:
        """Wait for a bot; one that outlives its line for long is cancelled."""
        ended = asyncio.create_task(call.line_ended())
        await asyncio.wait(
            {bot, ended}, timeout=_LONGEST_CALL_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        ended.cancel()
        for patience, stop in ((_WIND_UP_SECONDS, True), (_CANCEL_SECONDS, False)):
            if not bot.done():
                await asyncio.wait({bot}, timeout=patience)
            if not bot.done() and stop:
                bot.cancel()
        if not bot.done():
            raise CallFailedError(
                f"expected the bot to end within {_CANCEL_SECONDS:g} s of its cancellation, "
                "got a bot that goes on: let CancelledError pass"
            )
        await bot

    async def drain(self, seconds: float) -> int:
        """Take no new calls, let those that are up end, and return how many did not."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        return len(self)

    async def cancel(self) -> None:
        """End every bot at once, without hanging up by REST."""
        self.draining = True
        calls = dict(self._calls)
        for bot in calls.values():
            bot.cancel()
        if calls:
            await asyncio.wait(calls, timeout=2 * _CANCEL_SECONDS)


def describe(error: Exception) -> str:
    """Where and what kind; the text of what a bot raised may hold anything a caller said.

    This package's own errors are written to be logged.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    text = f": {without_numbers(str(error))}" if isinstance(error, TwilioFramesError) else ""
    return f"{type(error).__name__}{text}{where}"
