"""Callers who are fetched back from the lines of a worker that is gone."""

from types import SimpleNamespace
from typing import Any

import pytest

from twilio_frames.fleet.register import Lease, Standing
from twilio_frames.server.fleet.rescuing import rescue_calls_of

GONE = Lease(name="w1", call_sids=("CA1",), base_url="https://bot.example")


async def fetched_back(*standings: Standing | None) -> list[str]:
    """The calls that Twilio is asked to fetch back, by how they stand each time one looks."""
    asked, left = list[str](), list(standings)

    async def standing(_: str) -> Standing | None:
        return left.pop(0)

    async def update(call_sid: str, *, url: str) -> None:
        assert url == "https://bot.example/w/w2/after-stream?fetched=1"
        asked.append(call_sid)

    async def answers(_: Lease) -> bool:
        return False

    state: Any = SimpleNamespace(
        fleet=SimpleNamespace(
            name="w2", others=[], standing=standing, named=lambda base: f"{base}/w/w2"
        ),
        workers=SimpleNamespace(answers=answers),
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
