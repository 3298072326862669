"""Waits that a stall of the event loop does not use up."""

import asyncio
import time

import pytest

from twilio_frames.processors.pipeline.patience import waited_for


async def test_what_came_while_the_loop_stood_still_is_read():
    loop, news, came = asyncio.get_running_loop(), asyncio.Event(), list[str]()

    def read() -> None:
        # What is in the socket then takes some rounds of the loop.
        loop.call_later(0.001, came.append, "it")
        loop.call_later(0.001, news.set)

    loop.call_later(0.01, time.sleep, 1.0)
    loop.call_later(0.02, read)

    assert await waited_for(lambda: bool(came), news, 0.1)


async def test_wait_ends_though_nothing_comes():
    began = time.monotonic()

    assert not await waited_for(lambda: False, asyncio.Event(), 0.5)
    assert time.monotonic() - began == pytest.approx(0.5, abs=0.01)


async def test_news_of_something_else_does_not_prolong_it():
    loop, news, began = asyncio.get_running_loop(), asyncio.Event(), time.monotonic()
    for number in range(20):
        loop.call_later(0.1 * number, news.set)

    assert not await waited_for(lambda: False, news, 0.5)
    assert time.monotonic() - began == pytest.approx(0.5, abs=0.01)


async def test_what_is_so_already_takes_no_time():
    began = time.monotonic()

    assert await waited_for(lambda: True, asyncio.Event(), 0.0)
    assert time.monotonic() - began < 0.001
