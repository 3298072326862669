import pytest
from pipecat.frames.frames import (
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from tests.processors.memory_rig import Talk, reply, talk, words
from tests.processors.test_heard_first import ours
from tests.waiting import time_passes
from twilio_frames.frames import NoWordsFrame
from twilio_frames.processors.context import InterruptBy
from twilio_frames.processors.turns.late_words import LONGEST_SECS

ON, OFF = VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
REPLY = "Would you like me to cancel it right now, or shall I keep it for you? " * 4

MEMORIES = {
    "confirmed speech": ours,
    "any speech": lambda: ours(InterruptBy.ANY_SPEECH),
    "words": lambda: ours(InterruptBy.WORDS),
    "eager": lambda: ours(eager=True),
}
in_every_memory = pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)


async def says(call: Talk, *known: TranscriptionFrame) -> None:
    """A second of speech, and what is known of it at once."""
    await call.happens(ON())
    await time_passes(1.0)
    await call.happens(OFF())
    await time_passes(0.3)
    await call.happens(*known)


def said(call: Talk) -> str:
    return " ".join(text for role, text in call.memory() if role == "user")


@in_every_memory
@pytest.mark.parametrize("late", ["With milk.", "Yes."])
@pytest.mark.parametrize("is_final", [True, False])
async def test_second_part_that_comes_to_a_silent_bot_is_answered(memory, late, is_final):
    async with talk(memory()) as call:
        await says(call, TranscriptionFrame("A coffee.", "", "", finalized=is_final))
        await time_passes(10)
        await call.happens(words(late))
        asked = await call.mind.is_asked(count=2)

    assert asked[-1] == ("user", late)


@in_every_memory
@pytest.mark.parametrize("late", ["With milk.", "Yes."])
async def test_second_part_that_comes_in_the_next_turn_is_answered(memory, late):
    async with talk(memory()) as call:
        await says(call, words("A coffee."))
        await time_passes(10)
        await call.happens(ON())
        await time_passes(0.5)
        await call.happens(words(late))
        await time_passes(0.5)
        await call.happens(OFF())
        await time_passes(0.8)
        await call.happens(words("And a cake."))
        await time_passes(3.0)

    assert said(call) == f"A coffee. {late} And a cake."
    assert call.mind.asked[-1][-1][1].endswith("And a cake.")


@in_every_memory
@pytest.mark.parametrize("late", ["With milk.", "Yes."])
async def test_second_part_that_comes_while_the_bot_speaks_is_remembered(memory, late):
    async with talk(memory()) as call:
        await says(call, words("A coffee."))
        await call.mind.is_asked()
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await call.happens(words(late))
        await time_passes(3.0)

    assert said(call) == f"A coffee. {late}"


@in_every_memory
@pytest.mark.parametrize("late", ["With milk.", "Yes."])
async def test_words_that_nobody_waited_for_any_more_are_answered(memory, late):
    """The turn ended without words, and the bot asks again."""
    async with talk(memory()) as call:
        await says(call)
        await time_passes(8)
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await call.happens(words(late))
        await time_passes(3.0)

    assert call.mind.asked[-1][-1] == ("user", late)
    assert call.mind.asked[-1][-2][1].endswith("—")


async def spoken_over(call: Talk, text: str) -> None:
    await says(call, words("A coffee."))
    await call.mind.is_asked()
    await call.happens(*reply(REPLY))
    await call.ear.hears("cancel")
    await call.happens(ON())
    await time_passes(0.3)
    await call.happens(OFF(), words(text))
    await time_passes(3.0)


@pytest.mark.parametrize("memory", [ours, lambda: ours(InterruptBy.WORDS)])
async def test_agreement_over_the_bot_stays_out_of_the_conversation(memory):
    async with talk(memory()) as call:
        await spoken_over(call, "Yes.")

    assert said(call) == "A coffee."


@pytest.mark.parametrize("memory", [ours, lambda: ours(InterruptBy.WORDS)])
async def test_words_long_after_any_speech_are_about_what_is_heard(memory):
    async with talk(memory()) as call:
        await says(call, words("A coffee."))
        await time_passes(LONGEST_SECS)
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        await call.happens(words("Yes."))
        await time_passes(3.0)

    assert said(call) == "A coffee."


async def test_speech_that_had_no_words_owes_none():
    async with talk(ours()) as call:
        await says(call)
        await call.happens(NoWordsFrame())
        await time_passes(8)
        await call.happens(*reply(REPLY))
        await call.ear.hears("cancel")
        asked = len(call.mind.asked)
        await call.happens(words("Yes."))
        await time_passes(3.0)

    assert len(call.mind.asked) == asked
