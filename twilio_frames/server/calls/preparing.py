"""What a bot makes ready between a call's webhook and its stream.

Twilio asks what to do with a call, and some tenths of a second later its stream is there. A bot may
use that time: look up who calls, open its services' connections.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from twilio_frames.bulkhead import Compartment
from twilio_frames.server.calls.switchboard import describe

__all__ = ["ComingCall", "Preparations", "Prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingCall:
    """A call whose stream is about to begin.

    Parameters:
        call_sid: The call (``CA...``).
        parameters: What its ``call.parameters`` will be.
    """

    call_sid: str
    parameters: Mapping[str, str] = field(repr=False)


Prepare = Callable[[ComingCall], Awaitable[Any]]
"""Makes something ready for a call that is about to begin: what ``call.prepared()`` gives."""


class Preparations:
    """What is being made ready, by call.

    Args:
        prepare: Makes it; None for nothing.
        lifetime: Seconds after which a call whose stream did not come is given up.
    """

    CLOSE_SECS = 5.0
    """How long what was being made ready may take to end, and what came of it to close."""

    def __init__(self, prepare: Prepare | None, *, lifetime: float):
        self._prepare = prepare
        self._lifetime = lifetime
        self._tasks: dict[str, tuple[asyncio.Task[Any], asyncio.TimerHandle]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many calls something is ready for, or being made ready."""
        return len(self._tasks)

    def begin(self, coming: ComingCall) -> None:
        """Begins for a call; what was made ready for it before is dropped."""
        if self._prepare is None:
            return
        self.drop(coming.call_sid)
        task = asyncio.create_task(self._run(coming), name="prepare-call")
        timer = asyncio.get_running_loop().call_later(self._lifetime, self.drop, coming.call_sid)
        self._tasks[coming.call_sid] = task, timer

    async def _run(self, coming: ComingCall) -> Any:
        def failed(error: BaseException) -> None:
            log = logger.bind(call_sid=coming.call_sid)
            log.error(f"{coming.call_sid}: the preparation failed: {describe(error)}")

        # Whatever the bot's code raises ends here: its call is answered all the same.
        compartment = Compartment(failed)
        try:
            return await compartment.run(self._made(coming))
        except Exception as error:
            failed(error)
            return None
        except asyncio.CancelledError:
            if compartment.breach is None:
                raise
            return None

    async def _made(self, coming: ComingCall) -> Any:
        assert self._prepare is not None  # noqa: S101 - begin() checked it
        return await self._prepare(coming)

    def take(self, call_sid: str) -> "asyncio.Task[Any] | None":
        """What is ready for a call, or being made ready; it belongs to whoever takes it."""
        task, timer = self._tasks.pop(call_sid, (None, None))
        if timer is not None:
            timer.cancel()
        return task

    def drop(self, call_sid: str) -> None:
        """Ends what is being made ready for a call whose stream does not come."""
        if (task := self.take(call_sid)) is not None:
            self.give_back(task)

    def give_back(self, task: "asyncio.Task[Any]") -> None:
        """Ends what nobody needs: cancels it, or closes what came of it (its ``aclose()``)."""
        closing = asyncio.create_task(_end(task), name="prepare-drop")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Ends everything, in bounded time."""
        for call_sid in list(self._tasks):
            self.drop(call_sid)
        if self._closing:
            await asyncio.wait(self._closing, timeout=2 * self.CLOSE_SECS)


async def _end(task: "asyncio.Task[Any]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=Preparations.CLOSE_SECS)
    made = None if not task.done() or task.cancelled() else task.result()
    close = getattr(made, "aclose", None)
    if close is None:
        return
    # The bot's code; whatever it raises, nobody is left to whom it would matter.
    try:
        async with asyncio.timeout(Preparations.CLOSE_SECS):
            closed = close()
            if inspect.isawaitable(closed):
                await closed
    except Exception as error:
        logger.warning(f"what was prepared for a call did not close: {describe(error)}")
