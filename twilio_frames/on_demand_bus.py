"""A bus between Pipecat's workers that has tasks only while it carries something.

A call's worker and its runner have a handful of things to say to each other, as the call begins and
as it ends. Pipecat's own bus keeps two tasks for each of them all the while.
"""

import asyncio
from collections import deque
from contextvars import copy_context

from pipecat.bus import BusMessage, BusSubscriber, WorkerBus
from pipecat.bus.messages import BusSystemMessage

from twilio_frames.safe_logging import report_unforeseen

__all__ = ["OnDemandBus"]


class OnDemandBus(WorkerBus):
    """Carries messages within the process, to each subscriber in Pipecat's order.

    What is of the system goes ahead of other messages, and does not wait for what a subscriber is
    doing about one of those.
    """

    def __init__(self) -> None:
        super().__init__()
        self._boxes: dict[str, _Box] = {}
        self._is_open = False

    async def start(self) -> None:
        """Hands out what has been sent so far, and from now on each message at once."""
        self._is_open = True
        for box in self._boxes.values():
            self._hand_out(box)

    async def stop(self) -> None:
        """Hands nothing out any more."""
        self._is_open = False
        for box in self._boxes.values():
            await self._close(box)
        # Pipecat's runner stops its bus in the last step of its worker's task, and looks behind it
        # for tasks that nobody ended: that one ends first.
        await asyncio.sleep(0)

    async def subscribe(self, subscriber: BusSubscriber) -> None:
        """Has a subscriber get what is sent from now on."""
        if subscriber.name not in self._boxes:
            self._boxes[subscriber.name] = _Box(subscriber)

    async def unsubscribe(self, subscriber: BusSubscriber) -> None:
        """Has a subscriber get nothing any more."""
        if (box := self._boxes.pop(subscriber.name, None)) is not None:
            await self._close(box)

    async def publish(self, message: BusMessage) -> None:
        """Sends a message to all subscribers."""
        self.on_message_received(message)

    def on_message_received(self, message: BusMessage) -> None:
        """Sends a message to all subscribers."""
        for box in self._boxes.values():
            (box.system if isinstance(message, BusSystemMessage) else box.data).append(message)
            self._hand_out(box)

    def _hand_out(self, box: "_Box") -> None:
        if self._is_open and (box.system or box.data) and _is_over(box.sorting):
            work = self._sort(box)
            box.sorting = self.create_task(work, f"bus::{box.subscriber.name}", box.context)

    async def _sort(self, box: "_Box") -> None:
        while box.system or box.data:
            if box.system:
                await box.tell(box.system.popleft())
                continue
            box.sorted.append(box.data.popleft())
            if _is_over(box.telling):
                work = box.tell_sorted()
                box.telling = self.create_task(work, f"bus::{box.subscriber.name}", box.context)

    async def _close(self, box: "_Box") -> None:
        for task in (box.sorting, box.telling):
            if task is not None and not task.done():
                await self.cancel_task(task)


def _is_over(task: "asyncio.Task[None] | None") -> bool:
    return task is None or task.done()


class _Box:
    """What has been sent to one subscriber, and who is at it."""

    def __init__(self, subscriber: BusSubscriber):
        self.subscriber = subscriber
        # Whoever sends may be another bot's code.
        self.context = copy_context()
        self.system: deque[BusMessage] = deque()
        self.data: deque[BusMessage] = deque()
        self.sorted: deque[BusMessage] = deque()
        self.sorting: asyncio.Task[None] | None = None
        self.telling: asyncio.Task[None] | None = None

    async def tell(self, message: BusMessage) -> None:
        try:
            if self.subscriber.accepts_bus_message(message):
                await self.subscriber.on_bus_message(message)
        except Exception as error:
            report_unforeseen(error, f"{self.subscriber.name} at a {type(message).__name__}")

    async def tell_sorted(self) -> None:
        while self.sorted:
            await self.tell(self.sorted.popleft())
