"""Waits between attempts grow, are random, and keep to a budget."""

import asyncio

import pytest

from twilio_frames.services.retry_policy import (
    ReplyDeadline,
    ReplyPolicy,
    Retries,
    RetryPolicy,
    asked_pause,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pauses_double_to_a_limit():
    policy = RetryPolicy(at_once=0, first_pause_secs=1.0, longest_pause_secs=5.0)
    mosts = [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    for failures, most in enumerate(mosts):
        assert most / 2 <= policy.pause_after(failures) <= most
    assert policy.pause_after(100_000) <= 5.0


def test_pauses_differ():
    policy = RetryPolicy(at_once=0)
    assert len({policy.pause_after(3) for _ in range(20)}) > 1


def test_first_failures_may_cost_no_pause():
    policy = RetryPolicy(at_once=2)
    assert [policy.pause_after(failures) for failures in (1, 2)] == [0.0, 0.0]
    assert policy.pause_after(3) > 0.0


def test_budget_ends_the_attempts():
    clock = Clock()
    retries = Retries(ReplyPolicy(give_up_secs=2.0), since=clock.now, clock=clock)
    retries.note_failure()
    assert not retries.are_spent
    clock.now = 1.9
    retries.note_failure()
    assert retries.are_spent


def test_budget_begins_with_the_first_failure():
    clock = Clock()
    retries = Retries(RetryPolicy(give_up_secs=2.0), clock=clock)
    clock.now = 100.0
    retries.note_failure()
    assert not retries.are_spent
    clock.now = 102.1
    retries.note_failure()
    assert retries.are_spent
    retries.forget()
    retries.note_failure()
    assert not retries.are_spent


def test_vendors_wish_is_kept_if_it_fits():
    clock = Clock()
    retries = Retries(ReplyPolicy(give_up_secs=5.0), since=clock.now, clock=clock)
    assert 3.0 <= retries.note_failure(wish_secs=3.0) <= 3.4
    assert not retries.are_spent
    retries.note_failure(wish_secs=5.0)
    assert retries.are_spent


@pytest.mark.parametrize(("header", "seconds"), [("2.5", 2.5), ("-1", 0.0), ("soon", None)])
def test_servers_ask_for_a_pause(header: str, seconds: float | None):
    assert asked_pause({"Retry-After": header}) == seconds
    assert asked_pause({}) is None


async def test_first_words_have_their_time_from_the_beginning():
    deadline = ReplyDeadline(ReplyPolicy(answer_secs=0.01))
    deadline.note_piece(says_something=False)
    with pytest.raises(TimeoutError, match=r"expected the first words within 0\.01 s, got none"):
        async with deadline.kept():
            await asyncio.Event().wait()


async def test_each_further_piece_has_its_own_time():
    deadline = ReplyDeadline(ReplyPolicy(answer_secs=60.0, next_words_secs=0.01))
    deadline.note_piece(says_something=True)
    assert not deadline.reproach
    with pytest.raises(TimeoutError, match=r"expected the next words within 0\.01 s"):
        async with deadline.kept():
            await asyncio.Event().wait()
    assert deadline.reproach.endswith("raise next_words_secs")


async def test_whole_reply_has_an_end():
    deadline = ReplyDeadline(ReplyPolicy(reply_secs=0.01))
    with pytest.raises(TimeoutError, match=r"expected the whole reply within 0\.01 s"):
        async with deadline.kept():
            await asyncio.Event().wait()


async def test_time_out_of_somebody_else_is_passed_on():
    deadline = ReplyDeadline(ReplyPolicy())
    with pytest.raises(TimeoutError, match="theirs"):
        async with deadline.kept():
            raise TimeoutError("theirs")
    assert not deadline.reproach
