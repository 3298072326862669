"""What a new session believes was heard where the caller interrupts behind a break."""

import pytest

from tests.vendors.realtime_rig import (
    ANSWER,
    GREETING,
    LONG,
    QUESTION,
    RealtimeBot,
    first_cut,
    heard,
)
from twilio_frames.testing import Caller, CallResult, Phone
from twilio_frames.testing.vendors import Drop, Pacing, RealtimeServer


def words_told(server: RealtimeServer) -> list[str]:
    """How much of the long reply the last session believes was heard, by its first item."""
    text = server.memory[0].text or ""
    for count in range(len(LONG.words), 0, -1):
        if (begin := " ".join(LONG.text.split()[:count])) in text:
            return begin.split()
    return []


def assert_believed_is_heard(server: RealtimeServer, result: CallResult) -> None:
    """What the model believes is what was heard, to within one word."""
    words = LONG.said_before(round(8 * first_cut(result)))
    late_words = 0 if result.is_trustworthy else round(4 * result.clock_worst)
    assert abs(len(words_told(server)) - len(words)) <= 1 + late_words
    assert len(words_told(server)) < len(LONG.words) - 3


async def test_interruption_behind_a_break_is_told_as_heard(phone: Phone):
    """The next session was told of all that had come, for it might have been heard yet."""

    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        await server.asked_for("response.create", 2)
        await caller.say(QUESTION)
        await caller.wait_for_bot(silence=0.6)

    replies = [LONG, GREETING, ANSWER]
    async with RealtimeServer(replies=replies, faults=[Drop(after=30)], hears=["when"]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 2
    assert_believed_is_heard(server, result)
    assert "connection broke" not in (server.memory[0].text or "")
    assert [item.role for item in server.memory] == ["user", "assistant", "user", "assistant"]
    assert server.memory[1].words == []
    assert heard(ANSWER, result)
    assert server.session.refused == bot.told == []


@pytest.mark.parametrize("is_cut", [True, False])
async def test_reply_that_plays_on_through_a_break_is_told_as_heard(phone: Phone, is_cut: bool):
    """The model had said all of it; the context has it once it has been heard."""

    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        server.drop()
        await server.asked_for("conversation.item.create")
        if is_cut:
            await caller.say(QUESTION)
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(
        replies=[LONG, ANSWER], hears=["when"], pacing=Pacing(pace=50.0)
    ) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 2
    if is_cut:
        assert_believed_is_heard(server, result)
        assert [item.role for item in server.memory] == ["user", "user", "assistant"]
        assert heard(ANSWER, result)
    else:
        assert words_told(server) == bot.said[0].split() == LONG.text.split()
        assert len(server.events("conversation.item.create")) == 1
    assert server.session.refused == bot.told == []


async def test_two_breaks_leave_nothing_out(phone: Phone):
    """What is still to be heard of a session that is gone stands in no context yet."""

    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        for count in (2, 3):
            server.drop()
            await server.asked_for("conversation.item.create", count - 1)
        await caller.say(QUESTION)
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(
        replies=[LONG, ANSWER], hears=["when"], pacing=Pacing(pace=50.0)
    ) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 3
    assert_believed_is_heard(server, result)
    assert words_told(server)
