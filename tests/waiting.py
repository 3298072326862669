"""Waiting for what tells nobody that it has come."""

import asyncio
from collections.abc import Callable

__all__ = ["until"]


async def until(is_so: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Looks every few milliseconds whether something is so.

    Raises:
        TimeoutError: If it is not, after so long.
    """
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.005)
