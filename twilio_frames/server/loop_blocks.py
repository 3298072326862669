"""Says in the log what blocks the event loop while a server serves."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from loguru import logger

from twilio_frames.fleet.loop_watch import LoopBlock, LoopWatch
from twilio_frames.server.state import STATE

__all__ = ["BlockLog", "served_elsewhere", "told_of_blocks"]

_BEAT_SECS = 0.025
"""Half of what counts by default: twice as often costs an idle server over 1 % of a core."""
_QUIET_SECS = 60.0
"""Whatever blocks the loop does so with each call: a stack a minute says what there is to say."""


@asynccontextmanager
async def told_of_blocks(limit: float) -> AsyncIterator[None]:
    """Has what blocks the running loop logged meanwhile.

    Args:
        limit: Seconds from which on; 0 for never.
    """
    if not limit:
        yield
        return
    async with LoopWatch(limit=limit, beat_secs=_BEAT_SECS, tell=BlockLog().tell):
        yield


async def served_elsewhere(app: web.Application) -> AsyncIterator[None]:
    """Has what blocks the loop logged where nobody else does: under gunicorn, or web.run_app()."""
    state = app[STATE]
    async with told_of_blocks(0.0 if state.is_served_here else state.settings.blocked_secs):
        yield


class BlockLog:
    """Tells of blocks: of one a minute, and of those that are twice as long as the last told."""

    def __init__(self) -> None:
        self._told_at = float("-inf")
        self._told_secs = 0.0
        self._untold = 0

    def tell(self, block: LoopBlock) -> None:
        """Logs a block with its stack, unless one like it was just before."""
        is_soon = time.monotonic() - self._told_at < _QUIET_SECS
        if is_soon and block.seconds < 2 * self._told_secs:
            self._untold += 1
            return
        more = f"; {self._untold} others before it were not told of" if self._untold else ""
        self._told_at, self._told_secs, self._untold = time.monotonic(), block.seconds, 0
        logger.warning(
            f"the event loop was blocked, and every call with it: {block.seconds * 1000:.0f} ms, "
            f"{block.cpu_secs * 1000:.0f} ms of it computing, {block.collecting_secs * 1000:.0f} "
            f"ms collecting garbage{more}\n{block.stack or 'where it stood could not be seen'}"
        )
