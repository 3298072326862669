"""What a bot does once before its process takes calls, and beside them if it takes long."""

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger

from twilio_frames.server.calls.switchboard import describe

__all__ = ["OwnWarmUp", "WarmUp"]

WarmUp = Callable[[], Awaitable[object]]
"""What a bot does once, before its process takes calls."""


class OwnWarmUp:
    """Runs a bot's warm-up. Calls wait for it, but not for long: a vendor may hang.

    Args:
        warm_up: What the bot does.
        patience: Seconds that calls wait for it.
        time_limit: Seconds after which it is given up.
    """

    def __init__(self, warm_up: WarmUp, *, patience: float, time_limit: float = 60.0):
        self._warm_up = warm_up
        self._patience = patience
        self._time_limit = time_limit
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Begins, and waits while patience lasts.

        Raises:
            Exception: What the bot's code raises meanwhile.
        """
        self._task = asyncio.create_task(self._run(), name="warm-up")
        done, _ = await asyncio.wait({self._task}, timeout=self._patience)
        if done:
            self._task.result()
            return
        logger.warning(
            f"the bot's warm-up is not done after {self._patience:g} s: calls are taken, and it "
            "goes on beside them"
        )
        self._task.add_done_callback(_tell)

    async def close(self) -> None:
        """Gives it up, in bounded time."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=10.0)

    async def _run(self) -> None:
        timeout = asyncio.timeout(self._time_limit)
        try:
            async with timeout:
                await self._warm_up()
        except TimeoutError:
            if not timeout.expired():
                raise
            logger.warning(f"the bot's warm-up took over {self._time_limit:g} s and was given up")


def _tell(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    if isinstance(error := task.exception(), Exception):
        logger.error(f"the bot's warm-up failed: {describe(error)}")
    else:
        logger.info("the bot's warm-up is done")
