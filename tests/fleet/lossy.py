"""A register in memory whose answers do not come."""

from collections.abc import Awaitable, Callable
from typing import Any

from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import RegisterError

__all__ = ["LossyRegister"]


class LossyRegister:
    """Is there, or is gone; or does what it is asked, and its answer is lost."""

    def __init__(self) -> None:
        self.kept = MemoryRegister()
        self.is_gone = False
        self.loses_answers = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        step = getattr(self.kept, name)

        async def asked(*args: Any, **more: Any) -> Any:
            if self.is_gone:
                raise RegisterError("gone")
            answer = await step(*args, **more)
            if self.loses_answers:
                raise RegisterError("too late")
            return answer

        return asked
