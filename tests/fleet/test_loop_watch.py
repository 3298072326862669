"""What blocks the event loop is found, with its place."""

import asyncio
import gc
import time

import pytest

from twilio_frames.testing import LoopWatch

pytestmark = pytest.mark.real_time


async def real_time_passes(seconds: float) -> None:
    """Sleeps: what holds up a loop is told by how long its thread takes in truth."""
    await asyncio.sleep(seconds)


def dawdle():
    time.sleep(0.2)


async def test_block_is_found_with_its_place():
    async with LoopWatch() as watch:
        await real_time_passes(0.05)
        dawdle()
        await real_time_passes(0.05)

    assert watch.worst is not None
    assert watch.worst.seconds >= 0.19
    assert watch.worst.cpu_secs < 0.1
    assert "dawdle" in watch.worst.stack


async def test_block_at_the_end_counts():
    async with LoopWatch() as watch:
        await real_time_passes(0.05)
        dawdle()

    assert watch.worst is not None
    assert watch.worst.seconds >= 0.19


async def test_waiting_is_no_block():
    async with LoopWatch(limit=0.15) as watch:
        await real_time_passes(0.4)

    assert watch.blocks == []


class Dawdler:
    """Takes its time to go, and goes with the garbage only."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0.2)


async def test_garbage_collection_is_told_apart():
    async with LoopWatch() as watch:
        await real_time_passes(0.05)
        Dawdler()
        gc.collect()
        await real_time_passes(0.05)
        dawdle()

    # A busy machine adds blocks of its own.
    collection, *others = sorted(watch.blocks, key=lambda block: -block.collecting_secs)
    assert collection.collecting_secs >= 0.19
    assert max(others, key=lambda block: block.seconds).collecting_secs < 0.1
