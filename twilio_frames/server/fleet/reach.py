"""The way to a register, which may be slow or gone."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger

from twilio_frames.fleet.register import Register, RegisterError
from twilio_frames.processors.pipeline.patience import waited_for

__all__ = ["Reach"]

_Value = TypeVar("_Value")

_GONE_SECS = 3.0
"""How long nobody asks a register that has failed, but for the probes, which come oftener."""


class Reach:
    """Asks a register, and knows whether it answers.

    Args:
        register: The register.
        secs: How long an answer may take.
    """

    def __init__(self, register: Register, secs: float):
        self.register = register
        self._secs = secs
        self._gone_until = 0.0
        self.back_at = -math.inf
        """When it had been gone, and answered again."""

    @property
    def is_gone(self) -> bool:
        """Whether it has not answered lately; then only probes wait for it."""
        return self._gone_until > 0.0

    async def ask(
        self,
        step: "Callable[[Register], Awaitable[_Value]]",
        otherwise: _Value,
        *,
        is_probe: bool = False,
    ) -> _Value:
        """What the register says; or something else where it says nothing in time."""
        if time.monotonic() < self._gone_until and not is_probe:
            return otherwise
        try:
            value = await _in_time(step(self.register), self._secs)
        except (RegisterError, TimeoutError) as error:
            if not self.is_gone:
                logger.error(
                    f"{_named(self.register)} does not answer, and this worker goes on without "
                    f"({error!r}): see that what TWILIO_FRAMES_REGISTER or "
                    "TWILIO_FRAMES_NEAR_REGISTER names is up, and reached from here"
                )
            self._gone_until = time.monotonic() + _GONE_SECS
            return otherwise
        if self.is_gone:
            logger.info(f"{_named(self.register)} is back")
            self._gone_until, self.back_at = 0.0, time.monotonic()
        return value


async def _in_time(answer: "Awaitable[_Value]", secs: float) -> _Value:
    """What comes of an answer within so many seconds.

    Raises:
        TimeoutError: Nothing has.
    """
    # In a task of its own, which may end as it likes.
    asking, news = asyncio.ensure_future(answer), asyncio.Event()

    def ended(asked: "asyncio.Future[_Value]") -> None:
        news.set()
        if not asked.cancelled():
            # Of what is given up nobody asks, and asyncio is not to complain of that.
            asked.exception()

    asking.add_done_callback(ended)
    try:
        if await waited_for(asking.done, news, secs) and not asking.cancelled():
            return asking.result()
    finally:
        asking.cancel()
    raise TimeoutError


def _named(register: Register) -> str:
    """What it calls itself, with its place; or its type, where it calls itself nothing."""
    kind = type(register)
    return kind.__name__ if kind.__str__ is object.__str__ else str(register)
