"""What is remembered of a reply whose LLM is slower than the voice that says it."""

from functools import partial

import pytest
from pipecat.frames.frames import LLMRunFrame

from tests.memory.conversation import Bot, Memory, Outcomes, Think, have_talk
from tests.memory.voices import Voice

FIRST = "Bada gime."
SECOND = "Rito fesu dabo keni."
THIRD = "Visa relo."
WHOLE = f"{FIRST} {SECOND} {THIRD}"
SLOWLY = [f"{FIRST} Rito", Think(1.4), "fesu dabo keni. Visa", Think(2.4), "relo."]
"""Each pause is longer than the sentence before it sounds: the line falls silent."""


@pytest.fixture
def voices() -> Outcomes:
    """Has a talk with each voice."""
    return partial(have_talk, pairs=[(voice, Memory.OURS) for voice in Voice])


async def test_slow_reply_is_remembered_whole(voices: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append(SLOWLY)
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: bool(lines))

    for outcome in await voices(talk):
        assert outcome.heard(WHOLE) == WHOLE, outcome.name
        assert outcome.lines == [f"assistant: {WHOLE}"], outcome.name


async def test_slow_reply_is_remembered_up_to_its_cut(voices: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append(SLOWLY)
        await bot.queue(LLMRunFrame())
        await bot.word("fesu")
        await bot.interrupt()
        await bot.remembers(lambda lines: bool(lines))

    for outcome in await voices(talk):
        heard = outcome.heard(WHOLE)
        assert heard.startswith(f"{FIRST} Rito fesu"), (outcome.name, heard)
        (line,) = outcome.lines
        assert outcome.remembers_cut(line, WHOLE), (outcome.name, heard, line)
