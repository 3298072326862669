import asyncio

from tests.waiting import time_passes
from twilio_frames.processors.replies.deadline import Deadline


class Late:
    """Counts how often something was late; the first time it fails."""

    def __init__(self):
        self.times: asyncio.Queue[int] = asyncio.Queue()
        self._count = 0

    async def __call__(self) -> None:
        self._count += 1
        self.times.put_nowait(self._count)
        if self._count == 1:
            raise LookupError("a transcript")


async def test_failure_leaves_the_deadline_usable():
    late = Late()
    deadline = Deadline(late)
    running = asyncio.create_task(deadline.run())
    try:
        for time in (1, 2):
            deadline.set(0.01)
            async with asyncio.timeout(5):
                assert await late.times.get() == time
    finally:
        running.cancel()


async def test_cleared_deadline_is_never_late():
    late = Late()
    deadline = Deadline(late)
    running = asyncio.create_task(deadline.run())
    try:
        deadline.set(0.01)
        deadline.clear()
        await time_passes(0.1)
    finally:
        running.cancel()

    assert late.times.empty()
