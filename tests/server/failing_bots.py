"""Bots that raise: by themselves, in a task, a processor, a callback."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, Frame, StartFrame, StopFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from twilio_frames.call import Call
from twilio_frames.frames import CallStartedFrame
from twilio_frames.stopping import SETUP_TASKS

Act = Callable[[Call, BaseException], Awaitable[None]]


class OwnError(BaseException):
    """Kept from every ``except Exception`` on its way."""


def line(call: Call, *parts: FrameProcessor) -> Pipeline:
    return Pipeline([call.transport.input(), Keeps(), *parts, call.transport.output()])


async def itself(_: Call, error: BaseException) -> None:
    raise error


async def awaited_task(_: Call, error: BaseException) -> None:
    async def work() -> None:
        raise error

    await asyncio.create_task(work())


async def background_task(call: Call, error: BaseException) -> None:
    async def work() -> None:
        raise error

    task = asyncio.create_task(work())
    await call.run(line(call))
    await task


async def thread(_: Call, error: BaseException) -> None:
    def work() -> None:
        raise error

    await asyncio.to_thread(work)


async def processor(call: Call, error: BaseException) -> None:
    await call.run(line(call, Raises(CallStartedFrame, error)))


async def processor_at_start(call: Call, error: BaseException) -> None:
    await call.run(line(call, Raises(StartFrame, error)))


async def setup(call: Call, error: BaseException) -> None:
    await call.run(line(call, RaisesInSetup(error)))


async def event_handler(call: Call, error: BaseException) -> None:
    async def started(*_: Any) -> None:
        raise error

    call.transport.add_event_handler("on_client_connected", started)
    await call.run(line(call))


async def task_group(_: Call, error: BaseException) -> None:
    async def work() -> None:
        raise error

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(asyncio.Event().wait())


def throw(error: BaseException, *_: object) -> None:
    raise error


async def timer(call: Call, error: BaseException) -> None:
    asyncio.get_running_loop().call_later(0.05, throw, error)
    await call.run(line(call))


async def callback_of_a_processor(call: Call, error: BaseException) -> None:
    class Sets(IdentityFilter):
        async def process_frame(self, frame: Frame, direction: FrameDirection):
            await super().process_frame(frame, direction)
            if isinstance(frame, CallStartedFrame):
                asyncio.get_running_loop().call_soon(throw, error)

    await call.run(line(call, Sets()))


async def done_callback(call: Call, error: BaseException) -> None:
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(partial(throw, error))
    future.set_result(None)
    await call.run(line(call))


async def callback_from_a_thread(call: Call, error: BaseException) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, throw, error)
    await call.run(line(call))


async def protocol(call: Call, error: BaseException) -> None:
    class Raising(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise error

    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(Raising, sock=ours)
        theirs.send(b"x")
        await call.run(line(call))
        transport.close()


CALLBACKS = [timer, callback_of_a_processor, done_callback, callback_from_a_thread]


WAYS = [
    itself, awaited_task, background_task, thread,
    processor, processor_at_start, setup, event_handler, task_group, *CALLBACKS, protocol,
]  # fmt: skip


class Keeps(IdentityFilter):
    """Has a task from its setup on, which ends by the frames that end a pipeline."""

    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        self.kept = self.create_task(asyncio.Event().wait(), "kept")

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        if isinstance(frame, EndFrame | CancelFrame):
            await self.cancel_task(self.kept)
        await super().process_frame(frame, direction)


class Raises(FrameProcessor):
    def __init__(self, kind: type[Frame], error: BaseException):
        super().__init__()
        self._kind = kind
        self._error = error

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, self._kind):
            raise self._error
        await self.push_frame(frame, direction)


class RaisesInSetup(FrameProcessor):
    def __init__(self, error: BaseException):
        super().__init__()
        self._error = error

    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        task = asyncio.current_task()
        assert task is not None
        assert SETUP_TASKS in task.get_name()
        raise self._error


async def stopped(call: Call, _: BaseException) -> None:
    """A ``StopFrame`` lets a pipeline's processors go on, for one that is to go on with them."""
    await call.run(line(call), begin_with=[StopFrame()])
