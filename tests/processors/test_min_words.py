"""A number of words interrupts, in however many transcripts they come."""

import pytest
from pipecat.frames.frames import (
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from tests.processors.memory_rig import Talk, reply, talk, words
from tests.processors.test_heard_first import ours
from tests.waiting import time_passes
from twilio_frames.processors.context import InterruptBy
from twilio_frames.processors.turns.min_words import parted

REPLY = "Would you like me to cancel it right now, or shall I keep it for you? " * 4


async def says(call: Talk, *parts: str) -> None:
    """Half a second of speech over the bot, whose words come in parts behind it."""
    await call.happens(VADUserStartedSpeakingFrame())
    await time_passes(0.5)
    await call.happens(VADUserStoppedSpeakingFrame())
    for part in parts:
        await time_passes(0.2)
        await call.happens(TranscriptionFrame(part, "", "", finalized=False))


def said(call: Talk) -> list[str]:
    return [text for role, text in call.memory() if role == "user"]


async def test_words_in_two_parts_interrupt_together():
    async with talk(ours(InterruptBy.WORDS)) as call:
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await says(call, "No, no.", "Keep it.")
        asked = await call.mind.is_asked()

    assert asked[-1] == ("user", "No, no. Keep it.")
    assert asked[-2][0] == "assistant"
    assert "cancel" in asked[-2][1]


async def test_too_few_words_do_not_count_when_the_caller_speaks_again():
    async with talk(ours(InterruptBy.WORDS)) as call:
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await says(call, "Yes.", "Right.")
        await time_passes(1.0)
        await says(call, "Sure.", "Okay.")
        await call.ear.hears("you?")
        await time_passes(1.0)
        assert not call.mind.asked
        await says(call, "Not today.", "Thanks.")
        await time_passes(3.0)

    assert said(call) == ["Not today. Thanks."]


async def test_too_few_words_are_not_put_ahead_of_an_answer():
    async with talk(ours(InterruptBy.WORDS)) as call:
        await call.happens(*reply("Shall I cancel it, or would you like to keep it?"))
        await call.ear.hears("cancel")
        await says(call, "Uh-huh.")
        await call.ear.hears("it?")
        await time_passes(2.0)
        await call.happens(VADUserStartedSpeakingFrame())
        await time_passes(0.5)
        await call.happens(VADUserStoppedSpeakingFrame(), words("Keep it."))
        asked = await call.mind.is_asked()

    assert asked[-1] == ("user", "Keep it.")


async def test_a_language_without_spaces_interrupts_as_others_do():
    async with talk(ours(InterruptBy.WORDS)) as call:
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await says(call, "うん。")
        await time_passes(3.0)
        assert not call.mind.asked
        await says(call, "ちょっと待ってください。")
        asked = await call.mind.is_asked()

    assert asked[-1] == ("user", "ちょっと待ってください。")


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [
        ("ちょっと待ってください、それは違います。", 5, 12),
        ("等一下、这个不对。", 3, 5),
        ("รอสักครู่ ไม่ใช่แบบนั้น", 4, 7),
        ("잠깐만 기다려 주세요", 3, 3),
        ("I ordered ラーメン.", 3, 4),
        ("はい。", 1, 1),
        ("うん、はい。", 2, 2),
        ("好的。", 1, 1),
        ("ครับ", 1, 1),
        ("ﾊｲ", 1, 1),
        ("。", 0, 0),
        ("Well, I don't know - no.", 5, 5),
        ("", 0, 0),
        ("\uff11\uff12 \uff13", 2, 2),
    ],
)
def test_words_are_counted_where_no_spaces_part_them(text: str, at_least: int, at_most: int):
    assert at_least <= len(parted(text).split()) <= at_most
