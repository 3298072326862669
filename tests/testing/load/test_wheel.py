"""The shared clock."""

import asyncio
import time
from itertools import pairwise

from tests.waiting import time_passes
from twilio_frames.testing.load.timer_wheel import SLOTS, TimerWheel


class TimerClient:
    def __init__(self) -> None:
        self.turns: list[float] = []

    def take_turn(self, due: float) -> None:
        self.turns.append(due)


async def turn(wheel: TimerWheel, seconds: float) -> None:
    turning = asyncio.create_task(wheel.run())
    await time_passes(seconds)
    turning.cancel()
    await asyncio.gather(turning, return_exceptions=True)


async def test_turns_are_twenty_milliseconds_apart():
    wheel, client = TimerWheel(), TimerClient()
    wheel.join(client)
    await turn(wheel, 0.3)

    steps = [round(after - before, 6) for before, after in pairwise(client.turns)]
    assert len(steps) >= 10
    assert set(steps) == {0.02}


async def test_clients_keep_different_phases():
    wheel, clients = TimerWheel(seed=2), [TimerClient() for _ in range(2 * SLOTS)]
    for client in clients:
        wheel.join(client)
    await turn(wheel, 0.1)

    phases = [round(client.turns[0] % 0.02, 4) % 0.02 for client in clients]
    assert len(set(phases)) == SLOTS


async def test_stall_is_made_up_for():
    wheel, client = TimerWheel(), TimerClient()
    wheel.join(client)
    turning = asyncio.create_task(wheel.run())
    await time_passes(0.05)
    before = len(client.turns)
    time.sleep(0.2)  # noqa: ASYNC251 - a stall of the loop
    await time_passes(0.01)
    turning.cancel()

    assert len(client.turns) - before >= 9
    assert wheel.lateness.worst > 0.15
    assert not wheel.lateness.timekeeping.is_trustworthy


async def test_who_left_is_not_served():
    wheel, client = TimerWheel(), TimerClient()
    wheel.join(client)
    wheel.leave(client)
    wheel.leave(client)
    await turn(wheel, 0.05)

    assert client.turns == []
