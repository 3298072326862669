"""Queues of calls that wait for another call to take them: ``<Enqueue>`` and ``<Dial><Queue>``.

Source: https://www.twilio.com/docs/voice/twiml/enqueue
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from twilio_frames.testing.lines.rooms import Room

MAX_WAITING = 5000
"""Calls that a queue holds; Twilio's ``maxQueueSize`` cannot be more."""


@dataclass(eq=False, slots=True)
class QueuedCall:
    """A call that waits.

    Parameters:
        call_sid: The call.
        since: When it began to wait, on the event loop's clock.
        taken: The room in which it meets the call that took it.
    """

    call_sid: str
    since: float
    taken: "asyncio.Future[Room]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class CallQueue:
    """Calls in the order they came.

    Args:
        name: Its friendly name.
        sid: Twilio's name of it.
    """

    def __init__(self, name: str, sid: str):
        self.name = name
        self.sid = sid
        self._waiting: deque[QueuedCall] = deque()
        self._arrived = asyncio.Condition()

    @property
    def size(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    async def enter(self, call_sid: str) -> QueuedCall:
        """Puts a call behind the others."""
        queued = QueuedCall(call_sid, asyncio.get_running_loop().time())
        async with self._arrived:
            self._waiting.append(queued)
            self._arrived.notify()
        return queued

    def leave(self, queued: QueuedCall) -> None:
        """Takes a call out of the row; nothing if it was taken."""
        if queued in self._waiting:
            self._waiting.remove(queued)

    async def take(self, seconds: float) -> tuple[QueuedCall, Room] | None:
        """Takes the first call, or the first that comes within so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._arrived:
                await self._arrived.wait_for(lambda: self._waiting)
                queued = self._waiting.popleft()
        except TimeoutError:
            return None
        room = Room()
        queued.taken.set_result(room)
        return queued, room
