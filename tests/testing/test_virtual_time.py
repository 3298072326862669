import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import field, make_dataclass

import pytest

from twilio_frames.testing.virtual_time import VirtualEventLoop

HOUR = 3600.0


async def test_hour_is_over_at_once():
    began = time.monotonic()
    await asyncio.sleep(HOUR)

    assert time.monotonic() - began == pytest.approx(HOUR, abs=0.01)


async def test_all_clocks_go_by_the_loop():
    clocks = (time.time, time.perf_counter, asyncio.get_running_loop().time)
    nanoseconds = (time.time_ns, time.monotonic_ns, time.perf_counter_ns)
    began = [clock() for clock in clocks], [clock() for clock in nanoseconds]
    await asyncio.sleep(HOUR)

    for clock, then in zip(clocks, began[0], strict=True):
        assert clock() - then == pytest.approx(HOUR, abs=0.01)
    for clock, then in zip(nanoseconds, began[1], strict=True):
        assert clock() - then == pytest.approx(1e9 * HOUR, abs=1e7)


async def test_kept_clock_goes_by_the_loop_too():
    """As a field of a frame of Pipecat's keeps ``time.time``, from its import on."""
    stamped = make_dataclass("Stamped", [("at", float, field(default_factory=time.time))])
    before = stamped().at
    await asyncio.sleep(HOUR)

    assert stamped().at - before == pytest.approx(HOUR, abs=0.01)


async def test_stall_moves_time_without_waiting():
    loop = asyncio.get_running_loop()
    began = loop.time()
    time.sleep(HOUR)  # noqa: ASYNC251 - a stall of the loop

    assert loop.time() - began == pytest.approx(HOUR, abs=0.01)


async def test_timers_of_one_moment_keep_their_order():
    loop, order = asyncio.get_running_loop(), list[int]()
    moment = loop.time() + 1
    for number in range(100):
        loop.call_at(moment, order.append, number)
    await asyncio.sleep(2)

    assert order == list(range(100))


async def test_work_in_a_thread_takes_no_time():
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(0.001):
        assert await asyncio.to_thread(sum, range(3_000_000)) > 0

    assert loop.time() - began < 0.001


async def test_own_executor_takes_no_time_either():
    with ThreadPoolExecutor(1) as executor:
        async with asyncio.timeout(0.001):
            assert await asyncio.wrap_future(executor.submit(sum, range(3_000_000))) > 0


async def test_thread_sleeps_in_the_loops_time():
    began = time.monotonic()
    await asyncio.gather(asyncio.to_thread(time.sleep, HOUR), asyncio.sleep(HOUR / 2))

    assert time.monotonic() - began == pytest.approx(HOUR, abs=0.01)


async def test_thread_that_waits_for_the_loop_does_not_stop_time():
    wanted = threading.Event()
    asyncio.get_running_loop().call_later(HOUR, wanted.set)

    assert await asyncio.to_thread(wanted.wait, 60)


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    is_closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        is_closed.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()
        await asyncio.gather(writer.wait_closed(), is_closed.wait())


async def test_sockets_deliver_before_time_jumps():
    async with echo() as (reader, writer):
        for _ in range(300):
            writer.write(b"x" * 160)
            async with asyncio.timeout(0.01):
                await reader.readexactly(160)


async def test_sockets_deliver_while_the_loop_is_busy():
    async with echo() as (reader, writer):
        answered = asyncio.create_task(reader.readexactly(160))
        writer.write(b"x" * 160)
        for _ in range(1000):
            await asyncio.sleep(0)

        assert answered.done()


async def test_cancelled_timers_are_forgotten():
    loop = asyncio.get_running_loop()
    timers = weakref.WeakSet[asyncio.TimerHandle]()
    timer: asyncio.TimerHandle | None = None
    for number in range(2000):
        timer = loop.call_later(HOUR + number % 7, print)
        timers.add(timer)
        timer.cancel()
        if number % 100 == 0:
            await asyncio.sleep(0.001)
    timer = None

    assert len(timers) < 400


async def test_timer_set_in_the_past_is_not_late():
    loop, order = asyncio.get_running_loop(), list[str]()
    loop.call_soon(order.append, "now")
    loop.call_at(loop.time() - 1, order.append, "past")
    await asyncio.sleep(0.001)

    assert order == ["now", "past"]


async def test_closed_loop_takes_nothing():
    loop = VirtualEventLoop()
    loop.close()

    for take in (lambda: loop.call_soon(print), lambda: loop.call_later(1, print)):
        with pytest.raises(RuntimeError, match="closed"):
            take()


async def test_busy_loop_sees_time_go_on():
    end = time.monotonic() + 0.001
    while time.monotonic() < end:  # noqa: ASYNC110 - a busy loop is what this is about
        await asyncio.sleep(0)


async def test_busy_wait_sees_time_go_on():
    end = time.monotonic() + 0.001
    while time.monotonic() < end:
        pass


def test_time_never_goes_back():
    seen = [time.monotonic()]
    for _ in range(3):
        with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            runner.run(asyncio.sleep(1))
            seen.append(time.monotonic())
        seen.append(time.monotonic())

    assert seen == sorted(seen)
    assert seen[-1] - seen[0] >= 3


def test_loop_in_another_thread_has_real_time():
    """It would wait for a clock that stands still."""

    async def rests() -> float:
        began = time.monotonic()
        await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def main() -> float:
        return await asyncio.to_thread(asyncio.run, rests())

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        assert runner.run(main()) >= 0.02


@pytest.mark.real_time
async def test_marked_test_has_real_time():
    assert not isinstance(asyncio.get_running_loop(), VirtualEventLoop)
