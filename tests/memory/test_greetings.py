"""What is remembered of a greeting that is heard before its pipeline is up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipecat.frames.frames import LLMRunFrame

from tests.memory.conversation import CUT, Bot, Memory, clip, words_heard_of
from tests.memory.voices import Voice
from twilio_frames.processors.clips import SpeakClipFrame
from twilio_frames.testing import Caller, Phone

GREETING = "Bada gime. Lopu nasi."
REPLY = "Visa relo."


@asynccontextmanager
async def greeted() -> AsyncIterator[tuple[Bot, Caller]]:
    """A call whose greeting is heard while its pipeline waits for the gate to be opened."""
    bot = Bot(Voice.TIMES_FIRST, Memory.OURS, greeting=clip(GREETING), begins=asyncio.Event())
    async with Phone().call(bot) as caller, asyncio.timeout(30):
        yield bot, caller


def heard(caller: Caller, text: str) -> str:
    return words_heard_of(caller.result.heard_bot, text)


async def test_greeting_heard_before_the_pipeline_is_up_is_remembered():
    async with greeted() as (bot, caller):
        await caller.wait_for_bot(silence=0.3)
        assert not bot.ready.is_set()
        bot.begins.set()
        await bot.remembers(lambda lines: len(lines) == 1)
        bot.llm.replies.append([REPLY])
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: len(lines) == 2)
        await caller.hang_up()

    assert heard(caller, GREETING) == GREETING
    words = caller.hearing.words(caller.result.heard_bot)
    assert words is not None
    assert " ".join(word.text for word in words) == f"{GREETING} {REPLY}"
    assert bot.lines() == [f"assistant: {GREETING}", f"assistant: {REPLY}"]


async def test_greeting_is_cut_by_the_word_when_the_pipeline_comes_up_in_its_middle():
    async with greeted() as (bot, caller):
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        bot.begins.set()
        await bot.word("gime")
        await bot.interrupt()
        await bot.remembers(lambda lines: len(lines) == 1)
        await caller.hang_up()

    known = heard(caller, GREETING)
    assert known.startswith("Bada gime.")
    assert known != GREETING
    assert bot.lines() == [f"assistant: {known} {CUT}"]


async def test_clip_waits_for_its_turn_in_the_pipeline():
    async with greeted() as (bot, caller):
        bot.begins.set()
        await bot.ready.wait()
        bot.llm.replies.append([REPLY])
        await bot.queue(LLMRunFrame(), SpeakClipFrame(clip("Muta golu.")))
        await bot.remembers(lambda lines: len(lines) == 3)
        await caller.hang_up()

    spoken = f"{GREETING} {REPLY} Muta golu."
    assert heard(caller, spoken) == spoken
    assert bot.lines()[2] == "assistant: Muta golu."


async def test_words_without_memory_are_heard_and_not_remembered():
    async with greeted() as (bot, caller):
        bot.begins.set()
        await bot.remembers(lambda lines: len(lines) == 1)
        await bot.queue(SpeakClipFrame(clip("Muta golu."), append_to_context=False))
        await bot.word("golu")
        await bot.silence()
        await caller.hang_up()

    assert heard(caller, f"{GREETING} Muta golu.") == f"{GREETING} Muta golu."
    assert bot.lines() == [f"assistant: {GREETING}"]
