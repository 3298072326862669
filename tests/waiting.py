"""Waiting for what tells nobody that it has come, and for the clock of a test to move."""

import asyncio
from collections.abc import Callable

from twilio_frames.testing.virtual_time import VirtualEventLoop

__all__ = ["others_run", "time_passes", "until"]


async def until(
    is_so: Callable[[], object], *, seconds: float = 60.0, every: float = 0.005
) -> None:
    """Looks every few milliseconds whether something is so.

    Args:
        is_so: Whether it is.
        seconds: How long it may take.
        every: Seconds from look to look: more where looking takes long.

    Raises:
        TimeoutError: If it is not, after so long.
    """
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(every)


async def time_passes(seconds: float) -> None:
    """Moves a test's virtual clock; whatever is due meanwhile happens.

    Raises:
        RuntimeError: In real time, where a test would sleep.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualEventLoop):
        raise RuntimeError("expected a test in virtual time, got one that would sleep: wait for it")
    await asyncio.sleep(seconds)


async def others_run() -> None:
    """Gives what is ready to run its turn."""
    await asyncio.sleep(0)
