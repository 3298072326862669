"""What is remembered of a reply whose LLM is slower than the voice that says it."""

from functools import partial

import pytest
from pipecat.frames.frames import LLMRunFrame

from tests.memory.conversation import CUT, Bot, Memory, Outcomes, Think, have_talk
from tests.memory.voices import Voice

FIRST = "Bada gime."
SECOND = "Rito fesu dabo keni."
THIRD = "Visa relo."
WHOLE = f"{FIRST} {SECOND} {THIRD}"
SLOWLY = [f"{FIRST} Rito", Think(1.4), f"fesu dabo keni. {THIRD}"]
"""The pause is longer than the sentence before it sounds: the line falls silent."""

LONG = "Muta golu pade sivo lako temi nura bofe."
TO_BE_CUT = f"{FIRST} {LONG}"


@pytest.fixture
def voices() -> Outcomes:
    """Has a talk with each voice."""
    return partial(have_talk, pairs=[(voice, Memory.OURS) for voice in Voice])


async def test_slow_reply_is_remembered_whole(voices: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append(SLOWLY)
        await bot.queue(LLMRunFrame())
        await bot.word("relo")
        await bot.remembers(lambda lines: bool(lines))

    for outcome in await voices(talk):
        assert outcome.heard(WHOLE) == WHOLE, outcome.name
        assert outcome.lines == [f"assistant: {WHOLE}"], outcome.name


async def test_slow_reply_is_remembered_up_to_its_cut(voices: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([f"{FIRST} Muta", Think(1.4), LONG.removeprefix("Muta ")])
        await bot.queue(LLMRunFrame())
        await bot.word("golu")
        await bot.interrupt()
        await bot.remembers(lambda lines: bool(lines))

    for outcome in await voices(talk):
        heard = outcome.heard(TO_BE_CUT)
        assert heard.startswith(f"{FIRST} Muta golu"), (outcome.name, heard)
        (line,) = outcome.lines
        words = line.removeprefix("assistant: ").removesuffix(f" {CUT}")
        assert TO_BE_CUT.startswith(words), (outcome.name, line)
        words_off = abs(len(words.split()) - len(heard.split()))
        assert words_off <= outcome.words_off, (outcome.name, heard, line)
