"""Waits that a stall of the event loop does not use up.

Behind a stall what had to be waited for is there, and not read yet; but the time is over. So time
is counted in steps, of which a stall takes one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

__all__ = ["waited_for"]

_STEPS = 5


async def waited_for(is_so: Callable[[], bool], news: asyncio.Event, seconds: float) -> bool:
    """Waits until something is so; False if it was not in time.

    Args:
        is_so: Gives whether it is; asked now, and at all news.
        news: Set whenever that may have changed; cleared here.
        seconds: How long to wait, stalls of the event loop left out.
    """
    for _ in range(_STEPS):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds / _STEPS):
                while not is_so():
                    news.clear()
                    await news.wait()
                return True
    return is_so()
