"""Bots that do not end when they should, on a switchboard without a network."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tests.vendors.faults import bad_day
from tests.waiting import others_run
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.server.calls.records import CallRecords, StreamPhase
from twilio_frames.server.calls.switchboard import Switchboard


class FakeTransport:
    def __init__(self):
        self.closed_for: list[CallEndReason] = []
        self.pipeline_is_up = True

    async def close(self, reason: CallEndReason, detail: str) -> None:
        self.closed_for.append(reason)


class FakeCall:
    """A line that the test ends."""

    def __init__(self):
        self.call_sid = "CA1"
        self.was_answered = True
        self.end_reason: CallEndReason | None = None
        self.transport = FakeTransport()
        self.ended = asyncio.Event()
        self.tasks_left: set[asyncio.Task[object]] = set()

    async def line_ended(self) -> None:
        await self.ended.wait()

    def end(self, reason: CallEndReason) -> None:
        self.end_reason = reason
        self.ended.set()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Switchboard, "_WIND_UP_SECS", 0.02)
    monkeypatch.setattr(Switchboard, "CANCEL_SECS", 0.02)


async def carry(bot: Callable[[Call], Awaitable[None]], call: FakeCall) -> StreamPhase:
    record = CallRecords().open("CA1")
    board = Switchboard(bot)
    await board.carry(cast("Call", call), record)
    return record.phase


@bad_day(
    "bot",
    "the bot goes on when its line is gone",
    "Nothing more: it is cancelled.",
)
async def test_bot_that_outlives_its_line_is_cancelled():
    cancelled = asyncio.Event()
    call = FakeCall()

    async def bot(_: Call) -> None:
        call.end(CallEndReason.CALLER_HUNG_UP)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await carry(bot, call)
    assert cancelled.is_set()


async def test_bot_that_cannot_be_cancelled_loses_its_line(log_lines: list[str]):
    call = FakeCall()
    free = asyncio.Event()

    async def bot(_: Call) -> None:
        call.end(CallEndReason.CALLER_HUNG_UP)
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    assert await carry(bot, call) is StreamPhase.FAILED
    assert call.transport.closed_for == [CallEndReason.ERROR]
    assert "let CancelledError pass" in "".join(log_lines)
    free.set()


async def test_bot_may_work_on_for_a_moment():
    call = FakeCall()
    wrote = asyncio.Event()

    async def bot(_: Call) -> None:
        call.end(CallEndReason.CALLER_HUNG_UP)
        await others_run()
        wrote.set()

    assert await carry(bot, call) is StreamPhase.ENDED
    assert wrote.is_set()


async def test_lost_line_is_a_failure():
    call = FakeCall()

    async def bot(_: Call) -> None:
        call.end(CallEndReason.LINE_LOST)

    assert await carry(bot, call) is StreamPhase.FAILED


async def test_cancelled_caller_leaves_call_up():
    call = FakeCall()
    started = asyncio.Event()

    async def bot(_: Call) -> None:
        started.set()
        await call.line_ended()

    board = Switchboard(bot)
    carrying = asyncio.create_task(board.carry(cast("Call", call), CallRecords().open("CA1")))
    await started.wait()
    carrying.cancel()
    await asyncio.wait({carrying})

    assert len(board) == 1
    call.end(CallEndReason.CALLER_HUNG_UP)
    assert await board.drain(5) == 0


@bad_day(
    "bot",
    "the bot goes on though it is cancelled",
    "Nothing more; it counts as a call, and is stopped, until it ends.",
)
async def test_bot_that_was_given_up_counts_until_it_ends():
    call = FakeCall()
    free = asyncio.Event()
    asked = 0

    async def bot(_: Call) -> None:
        nonlocal asked
        call.end(CallEndReason.CALLER_HUNG_UP)
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                asked += 1
                if asked == 4:
                    free.set()

    board = Switchboard(bot)
    record = CallRecords().open("CA1")
    await board.carry(cast("Call", call), record)
    assert record.settled.is_set()
    assert len(board) == 1

    assert await board.drain(5) == 0
    assert asked == 4


@pytest.mark.parametrize(
    ("end", "phase"), [(None, StreamPhase.FAILED), (CallEndReason.BOT_HUNG_UP, StreamPhase.ENDED)]
)
async def test_bot_that_is_cut_off_has_not_hung_up_unless_it_says_so(
    end: CallEndReason | None, phase: StreamPhase
):
    """Also where a library swallows its cancellation: another worker may go on with the call."""
    call, begun = FakeCall(), asyncio.Event()

    async def bot(_: Call) -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if end is not None:
            call.end(end)

    record = CallRecords().open("CA1")
    board = Switchboard(bot)
    carried = asyncio.create_task(board.carry(cast("Call", call), record))
    await begun.wait()
    await board.cancel()
    await carried
    assert call.transport.closed_for == [end or CallEndReason.ERROR]
    assert record.phase is phase


@bad_day(
    "bot",
    "the bot goes on, and has no pipeline",
    "Nothing more: its line is free within seconds.",
)
async def test_bot_without_a_pipeline_has_less_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Switchboard, "_WIND_UP_SECS", 60.0)
    monkeypatch.setattr(Switchboard, "_NO_PIPELINE_SECS", 0.02)
    call = FakeCall()
    call.transport.pipeline_is_up = False

    async def bot(_: Call) -> None:
        call.end(CallEndReason.CALLER_HUNG_UP)
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await carry(bot, call)


@pytest.mark.parametrize("was_answered", [True, False])
async def test_bot_that_returns_without_a_pipeline_is_told(
    was_answered: bool, log_lines: list[str]
):
    async def hasty(_: Call) -> None:
        pass

    call = FakeCall()
    call.was_answered = was_answered
    await carry(hasty, call)

    assert any("without `await call.run(pipeline)`" in line for line in log_lines) != was_answered
