"""A session breaks when words of the caller's have been told: none is told twice, or left out."""

import pytest

from tests.vendors.realtime_rig import (
    ANSWER,
    LONG,
    RealtimeBot,
    heard,
    until_heard,
)
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import Pacing, RealtimeServer, SpokenReply

HELLO = SpokenReply.of("Hello?")
THEN = "When do you open tomorrow?"


async def test_break_in_a_turn_that_a_word_began(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.4)
        await caller.start_saying(f"Stop. {THEN}")
        await server.asked_for("conversation.item.truncate")
        server.drop()
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG, ANSWER], hears=["Stop.", THEN]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 2
    assert [message["content"] for message in bot.messages[1:]] == ["Stop.", THEN, ANSWER.text]
    told, turn = server.memory[-3:-1]
    assert (told.role, told.text) == ("user", "Stop.")
    assert turn.audio
    assert turn.audio in bot.caller_audio()
    assert heard(ANSWER, result)
    assert server.session.refused == bot.told == []


@pytest.mark.parametrize("is_told", [True, False])
async def test_break_between_a_turn_and_its_answer(phone: Phone, is_told: bool):
    """Where the transcript was there, its words stand for the turn; else the turn is sent again."""

    async def caller(caller: Caller) -> None:
        await until_heard(caller, HELLO)
        await caller.wait_for_bot(silence=0.2)
        await caller.say("And when do you open?")
        await server.asked_for("response.create", 2)
        if is_told:
            # No context has them before the answer begins.
            assert await caller.wait_until(lambda: bot.has_transcript("When?"), seconds=5)
        server.drop()
        await until_heard(caller, ANSWER)
        await caller.wait_for_bot(silence=0.6)

    pacing = Pacing(latency=1.2, transcription_secs=0.1 if is_told else 0.5)
    replies, hears = [HELLO, ANSWER, ANSWER], ["When?", "When?"]
    async with RealtimeServer(replies=replies, hears=hears, pacing=pacing) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(server.sessions) == 2
    assert [message["content"] for message in bot.messages] == [HELLO.text, "When?", ANSWER.text]
    turns = [item for item in server.memory[1:] if item.role == "user"]
    assert [turn.text for turn in turns] == ["When?" if is_told else None]
    assert bool(turns[0].audio) is not is_told
    assert heard(ANSWER, result)
    assert server.session.refused == bot.told == []
