"""How late a loop is, by the steps that it made and by those that it missed."""

import asyncio

import pytest

from tests.waiting import time_passes
from twilio_frames.fleet.lag import LoopLag
from twilio_frames.testing.virtual_time import VirtualEventLoop


def stall(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualEventLoop)
    loop.advance(seconds)


async def test_a_loop_that_is_in_time_has_no_lag():
    lag = LoopLag()
    assert lag.p95_secs == 0.0
    lag.start()
    await time_passes(5)
    lag.stop()

    assert lag.p95_secs == pytest.approx(0.0, abs=0.001)


async def test_a_stall_counts_for_as_long_as_it_lasted():
    late: list[float] = []
    lag = LoopLag()
    lag.follow = late.append
    lag.start()
    await time_passes(4)
    before = len(late)
    stall(0.5)
    await time_passes(0.2)
    lag.stop()

    during = sorted(each for each in late[before:] if each > 0.01)
    assert len(during) in (9, 10)
    assert (during[0], during[-1]) == pytest.approx((0.05, 0.475), abs=0.05)
    # A tenth of the last seconds, of which some is more than a twentieth.
    assert 0.2 < lag.p95_secs < 0.3


async def test_a_stall_of_minutes_is_told_of_in_bounds():
    late: list[float] = []
    lag = LoopLag()
    lag.follow = late.append
    lag.start()
    stall(600.0)
    await time_passes(0.01)
    lag.stop()

    assert 95 <= len(late) <= 101
    assert max(late) == pytest.approx(600, abs=0.1)
