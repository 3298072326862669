"""A time by which something is to have come."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from twilio_frames.safe_logging import report_unforeseen


class Deadline:
    """Says when something is late. To move it costs next to nothing.

    Args:
        late: Awaited when it has passed.
    """

    def __init__(self, late: Callable[[], Awaitable[None]]):
        self._late = late
        self._due: float | None = None
        self._sleeps_until = float("inf")
        self._moved = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether something is awaited."""
        return self._due is not None

    def set(self, seconds: float) -> None:
        """Expects something within so many seconds from here on."""
        self._due = time.monotonic() + seconds
        if self._due < self._sleeps_until:
            self._moved.set()

    def clear(self) -> None:
        """Expects nothing any more."""
        self._due = None

    async def run(self) -> None:
        """Waits, for ever."""
        while True:
            self._moved.clear()
            if self._due is not None and time.monotonic() >= self._due:
                self._due = None
                await self._be_late()
                continue
            await self._sleep()

    async def _be_late(self) -> None:
        # Whatever goes wrong in it, the call goes on to need what comes later.
        try:
            await self._late()
        except Exception as error:
            report_unforeseen(error, "what a deadline led to")

    async def _sleep(self) -> None:
        self._sleeps_until = float("inf") if self._due is None else self._due
        seconds = None if self._due is None else self._due - time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self._sleeps_until = 0.0
