"""Sounds over a realtime model's speech: a word interrupts it, an 'uh-huh' does not."""

import time

import pytest

from tests.vendors.realtime_rig import (
    ANSWER,
    LONG,
    RealtimeBot,
    heard,
    ours,
)
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.speech import to_utterance
from twilio_frames.testing.vendors import (
    Pacing,
    RealtimeServer,
)


async def test_cough_leaves_no_trace(phone: Phone):
    async def caller(caller: Caller) -> None:
        short = (await to_utterance("Hm.")).mulaw[:1000]
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say(short)
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(result.heard_spans) > 1, "the bot paused"
    assert bot.said == [LONG.text]
    kinds = {event["type"] for event in server.session.events}
    assert kinds == {"session.update", "response.create"}
    assert not server.session.heard


async def test_lone_word_interrupts_within_a_second_of_its_end(phone: Phone):
    """Most of that is the transcriber's; the bot is silent all that while."""
    pacing = Pacing(transcription_secs=0.4)
    took = 0.0

    async def caller(caller: Caller) -> None:
        nonlocal took
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Stop.")
        ended = time.monotonic()
        await server.asked_for("conversation.item.truncate")
        took = time.monotonic() - ended
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG, ANSWER], hears=["Stop."], pacing=pacing) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert took <= 1.0 + (0.0 if result.is_trustworthy else result.clock_worst)
    assert [item.role for item in server.memory] == ["assistant", "user", "assistant"]
    assert heard(ANSWER, result)
    assert bot.messages[1:] == [
        {"role": "user", "content": "Stop."},
        {"role": "assistant", "content": ANSWER.text},
    ]
    assert server.session.refused == bot.told == []


@pytest.mark.parametrize("transcript", ["Uh-huh.", "", "[coughing]"])
async def test_listening_noise_leaves_the_model_nothing(phone: Phone, transcript: str):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Uh-huh.")
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG], hears=[transcript]) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert len(result.heard_spans) > 1, "the bot paused"
    assert server.events("conversation.item.delete")
    assert [item.role for item in server.memory] == ["assistant"]
    assert bot.messages == [{"role": "assistant", "content": LONG.text}]
    assert server.session.refused == []


async def test_late_words_interrupt_once_they_are_there(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Stop.")
        await server.asked_for("conversation.item.truncate")
        await caller.wait_for_bot(silence=0.6)

    pacing = Pacing(transcription_secs=1.2)
    async with RealtimeServer(replies=[LONG, ANSWER], hears=["Stop."], pacing=pacing) as server:
        bot = RealtimeBot(server, ours(words_secs=0.5))
        result = (await phone.ring(bot, caller)).result

    assert len(result.heard_spans) > 2, "the bot had said on"
    assert [item.role for item in server.memory] == ["assistant", "user", "assistant"]
    assert heard(ANSWER, result)
    assert [message["content"] for message in bot.messages[1:]] == ["Stop.", ANSWER.text]


async def test_word_and_what_follows_are_one_turn(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Stop. When do you open tomorrow?")
        await caller.wait_for_bot(silence=0.6)

    hears = ["Stop.", "When do you open tomorrow?"]
    async with RealtimeServer(replies=[LONG, ANSWER], hears=hears) as server:
        bot = RealtimeBot(server)
        result = (await phone.ring(bot, caller)).result

    assert [item.role for item in server.memory] == ["assistant", "user", "user", "assistant"]
    assert heard(ANSWER, result)
    assert [message["content"] for message in bot.messages[1:]] == [*hears, ANSWER.text]
    assert server.session.refused == []


async def test_without_transcripts_the_length_decides(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Stop.")
        await caller.wait_for_bot(silence=0.6)
        await caller.say("When do you open tomorrow?")
        await caller.wait_for_bot(silence=0.6)

    pacing = Pacing(transcription_secs=30.0)
    async with RealtimeServer(replies=[LONG, ANSWER], pacing=pacing) as server:
        bot = RealtimeBot(server, ours(words_secs=0.3))
        result = (await phone.ring(bot, caller)).result

    assert heard(ANSWER, result)
    assert bot.said == [LONG.text, ANSWER.text]
    assert [item.role for item in server.memory] == ["assistant", "user", "assistant"]


async def test_words_need_not_be_asked_for(phone: Phone):
    async def caller(caller: Caller) -> None:
        await caller.wait_until_bot_speaks(for_seconds=0.6)
        await caller.say("Uh-huh.")
        await caller.wait_for_bot(silence=0.6)

    async with RealtimeServer(replies=[LONG]) as server:
        bot = RealtimeBot(server, ours(words_secs=0.0))
        await phone.ring(bot, caller)

    assert bot.said == [LONG.text]
    assert not server.session.heard
