"""Callers who are fetched back from the lines of a worker that is gone."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from twilio_frames.fleet.register import Lease, Standing
from twilio_frames.server.fleet.passing import Passing
from twilio_frames.server.fleet.rescuing import rescue_calls_of

GONE = Lease(name="w1", call_sids=("CA1",), base_url="https://bot.example")


async def fetched_back(*standings: Standing | None, back: Sequence[Lease] = ()) -> list[str]:
    """The calls that Twilio is asked to fetch back, by how they stand each time one looks.

    Args:
        standings: Those.
        back: The workers that renew their lease while one looks whether they answer.
    """
    asked, left = list[str](), list(standings)

    async def standing(_: str) -> Standing | None:
        return left.pop(0)

    async def update(call_sid: str, *, url: str) -> None:
        assert url == "https://bot.example/w/w2/after-stream?fetched=1"
        asked.append(call_sid)

    async def is_silent(_: Lease) -> bool:
        others.extend(back)
        return True

    others = list[Lease]()
    state: Any = SimpleNamespace(
        fleet=SimpleNamespace(
            name="w2", others=others, standing=standing, named=lambda base: f"{base}/w/w2"
        ),
        workers=SimpleNamespace(is_silent=is_silent),
        rest=SimpleNamespace(update=update),
    )
    await rescue_calls_of(state, GONE)
    assert left == []
    return asked


@pytest.mark.parametrize("named", ["", "w1"])
async def test_caller_on_a_dead_line_is_fetched_back(named: str):
    assert await fetched_back(Standing(owner="w1", fence=1, named=named)) == ["CA1"]


async def test_caller_whose_next_stream_is_on_its_way_is_left_alone():
    coming = Standing(owner="w1", fence=1, named="w3")
    assert await fetched_back(coming, Standing(owner="w3", fence=2, named="w3")) == []


async def test_caller_whose_next_stream_does_not_come_is_fetched_back():
    coming = Standing(owner="w1", fence=1, named="w3")
    assert await fetched_back(coming, coming) == ["CA1"]


@pytest.mark.parametrize("standing", [None, Standing(owner="w1", fence=1, ended="bot hung up")])
async def test_call_that_is_over_is_not_fetched_back(standing: Standing | None):
    assert await fetched_back(standing) == []


async def test_callers_of_a_worker_that_was_late_are_left_alone():
    assert await fetched_back(back=[GONE]) == []


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("worker", "is_silent"), [("up", False), ("halted", True), ("killed", False)]
)
async def test_worker_is_silent_that_neither_answers_nor_is_gone(worker: str, is_silent: bool):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    # What nobody accepts is taken by the system, as of a process that stands still.
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    passing = Passing(alive_secs=0.3)
    async with AsyncExitStack() as stack:
        if worker == "up":
            await stack.enter_async_context(await asyncio.start_server(answer, sock=listening))
        if worker == "killed":
            listening.close()
        assert await passing.is_silent(Lease(name="w1", address=address)) is is_silent
    await passing.close()
    listening.close()
