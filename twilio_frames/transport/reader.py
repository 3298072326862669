"""Reads a line from its start to its end, whoever is there to listen.

A call has phases in which its pipeline hears nothing: before it is up, behind its end, where it
hangs. The line is read in all of them. So marks come in, the ledger of what was heard goes on, a
hang-up is noticed at once, and a line that is dead, or a call that gets nowhere, ends. What was
heard before the pipeline is up is kept for it, within a bound.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from loguru import logger

from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.frames import CallEndReason
from twilio_frames.protocol import INBOUND, Event, MarkEcho, Media, Start
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.transport.connection import MediaConnection

__all__ = ["LineListener", "LineReader"]

_CHECK_INTERVAL = 0.5
_GOODBYE_SECS = 1.0
# 30 s of audio: longer than a pipeline may take to be up. Twilio sends 50 messages a second.
_MOST_KEPT = 1500
_MOST_KEPT_BYTES = 30 * 8000


class LineListener:
    """Who hears a line once its pipeline is up."""

    async def heard(self, event: Event | MarkEcho) -> None:
        """Something came."""

    async def line_ended(self, reason: CallEndReason) -> None:
        """The line is over."""


class LineReader:
    """Reads one line.

    Args:
        connection: The media connection.
        on_ended: Called once when the stream is over, with the reason.
    """

    def __init__(
        self,
        connection: MediaConnection,
        *,
        on_ended: Callable[[CallEndReason], Awaitable[None]],
    ):
        self._connection = connection
        self._on_ended = on_ended
        self._listener: LineListener | None = None
        self._kept: deque[Event | MarkEcho] = deque()
        self._kept_bytes = 0
        self._has_dropped = False
        self._reading: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._next_check: asyncio.TimerHandle | None = None
        self._checked_at = 0.0
        self._has_ended = False

    async def wait_for_start(self) -> Start:
        """Reads up to ``start``, and from then on all that comes; at once if it has been read.

        Raises:
            StreamTimeoutError: If it did not come in time.
            CallFailedError: If the socket closed first, or the audio is of no known format.
        """
        try:
            start = await self._connection.wait_for_start()
        except (StreamTimeoutError, CallFailedError):
            await self._end()
            raise
        if self._reading is None and not self._has_ended:
            self._reading = asyncio.create_task(self._read(), name="media-reader")
            self._check_soon()
        return start

    async def tell(self, listener: LineListener) -> None:
        """Hands what was heard so far to a listener, and from now on all that comes."""
        while self._kept:
            event = self._kept.popleft()
            self._kept_bytes -= _size(event)
            try:
                await listener.heard(event)
            except Exception as error:
                self._report(error)
        self._listener = listener
        if self._has_ended:
            await self._tell_end(listener)

    async def _read(self) -> None:
        while (events := await self._connection.receive()) is not None:
            for event in events:
                if self._listener is None:
                    self._keep(event)
                    continue
                # The outermost of what a message leads to: whatever befell it, the next is read.
                try:
                    await self._listener.heard(event)
                except Exception as error:
                    self._report(error)
            if self._connection.end_reason is not None:
                break
        await self._end()

    def _report(self, error: Exception) -> None:
        report_unforeseen(error, f"call {self._connection.call_sid}: a message of the line")

    def _keep(self, event: Event | MarkEcho) -> None:
        self._kept.append(event)
        self._kept_bytes += _size(event)
        while len(self._kept) > _MOST_KEPT or self._kept_bytes > _MOST_KEPT_BYTES:
            dropped = self._kept.popleft()
            self._kept_bytes -= _size(dropped)
            if isinstance(dropped, Media) and dropped.track == INBOUND:
                # Recorded all the same.
                self._connection.taps.caller_heard(dropped.payload, dropped.timestamp)
            if not self._has_dropped:
                self._has_dropped = True
                logger.warning(
                    f"call {self._connection.call_sid}: the pipeline is not up yet, and forgets "
                    "what the caller said first"
                )

    def _check_soon(self) -> None:
        self._checked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_later(_CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        """Ends a call that does not go on; looks again soon at one that does."""
        was_stalled = time.monotonic() - self._checked_at >= 2 * _CHECK_INTERVAL
        # After a stall of the event loop what arrived meanwhile has not been read yet.
        if was_stalled or self._connection.check_line():
            self._check_soon()
        else:
            # The reader finishes by itself where the socket wakes it; a half-open one does not.
            self._ending = asyncio.create_task(self._end(), name="media-end")

    async def _end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._check_no_more()
        reason = self._connection.end_reason or CallEndReason.ERROR
        await self._connection.close(reason, self._connection.end_detail)
        await self._on_ended(self._connection.end_reason or reason)
        if self._listener is not None:
            await self._tell_end(self._listener)
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()

    def _check_no_more(self) -> None:
        if self._next_check is not None:
            self._next_check.cancel()
            self._next_check = None

    async def _tell_end(self, listener: LineListener) -> None:
        await listener.line_ended(self._connection.end_reason or CallEndReason.ERROR)

    async def finish(self) -> None:
        """Waits a moment for the reading to end, once the connection has."""
        if self._next_check is not None:
            self._check_no_more()
            self._check()
        tasks = {task for task in (self._reading, self._ending) if task is not None}
        if tasks := tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=_GOODBYE_SECS)


def _size(event: Event | MarkEcho) -> int:
    return len(event.payload) if isinstance(event, Media) else 0
