"""Waits between attempts grow, are random, and keep to a budget."""

import asyncio

import pytest

from twilio_frames.services.patience import (
    Backoff,
    ReplyDeadline,
    ReplyPatience,
    asked_pause,
    pause_after,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def longest(low: float, high: float) -> float:
    return high


def test_waits_grow_to_a_limit():
    backoff = Backoff(1000, draw=longest, clock=Clock())
    waits = [backoff.next_wait() for _ in range(6)]
    assert waits == pytest.approx([0.4, 0.8, 1.6, 3.2, 4.0, 4.0])


def test_waits_are_anything_up_to_that():
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    backoff = Backoff(10, draw=draw, clock=Clock())
    assert [backoff.next_wait(), backoff.next_wait()] == [0.0, 0.0]
    assert drawn == [(0.0, 0.4), (0.0, 0.8)]


def test_budget_ends_the_attempts():
    clock = Clock()
    backoff = Backoff(2, draw=longest, clock=clock)
    assert backoff.next_wait() is not None
    clock.now = 1.9
    assert backoff.next_wait() is None


def test_vendors_wish_is_kept_if_it_fits():
    backoff = Backoff(5, draw=longest, clock=Clock())
    assert backoff.next_wait(3) == pytest.approx(3.4)
    assert backoff.next_wait(4.9) is None


def test_pauses_double_to_a_limit():
    mosts = [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    for failures, most in enumerate(mosts):
        pause = pause_after(failures, first=1.0, longest=5.0)
        assert most / 2 <= pause <= most
    assert pause_after(100_000) <= 5.0


@pytest.mark.parametrize(("header", "seconds"), [("2.5", 2.5), ("-1", 0.0), ("soon", None)])
def test_servers_ask_for_a_pause(header: str, seconds: float | None):
    assert asked_pause({"Retry-After": header}) == seconds
    assert asked_pause({}) is None


async def test_first_words_have_their_time_from_the_beginning():
    deadline = ReplyDeadline(ReplyPatience(first_token=0.01))
    deadline.note_piece(says_something=False)
    with pytest.raises(TimeoutError, match=r"expected the first words within 0\.01 s, got none"):
        async with deadline.kept():
            await asyncio.Event().wait()


async def test_each_further_piece_has_its_own_time():
    deadline = ReplyDeadline(ReplyPatience(first_token=60.0, between_tokens=0.01))
    deadline.note_piece(says_something=True)
    assert not deadline.reproach
    with pytest.raises(TimeoutError, match=r"expected the next words within 0\.01 s"):
        async with deadline.kept():
            await asyncio.Event().wait()
    assert deadline.reproach.endswith("raise the patience")


async def test_whole_reply_has_an_end():
    deadline = ReplyDeadline(ReplyPatience(reply=0.01))
    with pytest.raises(TimeoutError, match=r"expected the whole reply within 0\.01 s"):
        async with deadline.kept():
            await asyncio.Event().wait()


async def test_time_out_of_somebody_else_is_passed_on():
    deadline = ReplyDeadline(ReplyPatience())
    with pytest.raises(TimeoutError, match="theirs"):
        async with deadline.kept():
            raise TimeoutError("theirs")
    assert not deadline.reproach
