"""Messages between a call's worker and its runner, and the tasks that they take."""

import asyncio

import pytest
from loguru import logger
from pipecat.bus import BusCancelMessage, BusEndMessage, BusMessage, BusSubscriber
from pipecat.pipeline.pipeline import Pipeline
from pipecat.utils.asyncio.task_manager import TaskManager

from twilio_frames.call import Call
from twilio_frames.on_demand_bus import OnDemandBus
from twilio_frames.testing import Phone


class Reader(BusSubscriber):
    """Notes what comes; is as long at each ordinary message as it is told to be."""

    def __init__(self, name: str):
        self._name = name
        self.read: list[str] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    @property
    def name(self) -> str:
        return self._name

    def accepts_bus_message(self, message: BusMessage) -> bool:
        return message.source != self.name

    async def on_bus_message(self, message: BusMessage) -> None:
        self.read.append(message.source)
        if message.source == "bad":
            raise ValueError("a secret")
        if not isinstance(message, BusCancelMessage):
            await self.may_go_on.wait()


@pytest.fixture
async def bus() -> OnDemandBus:
    bus = OnDemandBus()
    await bus.setup(TaskManager(loop=asyncio.get_running_loop()))
    return bus


def ordinary(source: str) -> BusMessage:
    return BusEndMessage(source=source)


def urgent(source: str) -> BusMessage:
    return BusCancelMessage(source=source)


async def settle() -> None:
    await asyncio.sleep(0.001)


async def test_messages_come_in_order_to_all_but_their_sender(bus: OnDemandBus):
    one, other = Reader("one"), Reader("other")
    await bus.subscribe(one)
    await bus.subscribe(other)
    await bus.send(ordinary("early"))
    await settle()
    assert not one.read, "nobody is told before the bus has started"

    await bus.start()
    for source in ("a", "one", "b"):
        await bus.send(ordinary(source))
    await settle()

    assert one.read == ["early", "a", "b"]
    assert other.read == ["early", "a", "one", "b"]


async def test_there_are_no_tasks_where_nothing_is_said(bus: OnDemandBus):
    await bus.subscribe(Reader("one"))
    await bus.start()
    await bus.send(ordinary("a"))
    await settle()

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_order_to_stop_does_not_wait(bus: OnDemandBus):
    one = Reader("one")
    one.may_go_on.clear()
    await bus.subscribe(one)
    await bus.start()
    for message in (ordinary("a"), ordinary("b"), urgent("stop")):
        await bus.send(message)
    await settle()
    await bus.send(urgent("at once"))
    await settle()
    assert sorted(one.read) == ["a", "at once", "stop"]

    one.may_go_on.set()
    await settle()
    assert one.read[-1] == "b"


async def test_one_who_fails_hears_the_next(bus: OnDemandBus):
    one = Reader("one")
    await bus.subscribe(one)
    await bus.start()
    for message in (ordinary("bad"), urgent("bad"), ordinary("good")):
        await bus.send(message)
    await settle()

    assert sorted(one.read) == ["bad", "bad", "good"]


@pytest.mark.parametrize("leaves", [True, False])
async def test_nothing_is_told_behind_the_end(bus: OnDemandBus, *, leaves: bool):
    one = Reader("one")
    one.may_go_on.clear()
    await bus.subscribe(one)
    await bus.start()
    await bus.send(ordinary("a"))
    await settle()
    await (bus.unsubscribe(one) if leaves else bus.stop())
    await bus.send(ordinary("b"))
    await settle()

    assert one.read == ["a"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_task_is_left_where_a_call_has_ended(phone: Phone):
    async def bot(call: Call) -> None:
        await call.run(Pipeline([call.transport.input(), call.transport.output()]))

    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    async with phone.call(bot) as caller:
        await caller.wait(0.2)
    logger.remove(sink)
    assert not [line for line in lines if "dangling" in line]
