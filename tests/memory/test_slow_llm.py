"""What is remembered of a reply whose LLM is slower than the voice that says it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pipecat.frames.frames import LLMRunFrame

from tests.memory.conversation import CUT, Bot, Memory, Outcomes, Think, have_talk
from tests.memory.voices import CountsAnew, NeverStops, Voice, speaker
from tests.pipecat_versions import RESPONSE_END, unless_pipecat_112
from twilio_frames.processors.fallback import TTSFallback
from twilio_frames.processors.fallback.vendor_health import VendorList

FIRST = "Bada gime."
SECOND = "Rito fesu dabo keni."
THIRD = "Visa relo."
WHOLE = f"{FIRST} {SECOND} {THIRD}"
SLOWLY = [f"{FIRST} Rito", Think(1.4), f"fesu dabo keni. {THIRD}"]
"""The pause is longer than the sentence before it sounds: the line falls silent."""

TWICE_SLOWLY = [f"{FIRST} Rito", Think(1.4), "fesu dabo keni. Visa", Think(2.0), "relo."]
PATIENCE = {"stop_frame_timeout_s": 0.6}
"""After so long Pipecat takes a voice for done, if nothing more comes; else that is 3 s."""

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


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="in one"),
        pytest.param(PATIENCE, id="begun again", marks=unless_pipecat_112(RESPONSE_END)),
    ],
)
async def test_slow_reply_is_remembered_up_to_its_cut(options: dict[str, float]):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([f"{FIRST} Muta", Think(1.4), LONG.removeprefix("Muta ")])
        await bot.queue(LLMRunFrame())
        await bot.word("golu")
        await bot.interrupt()
        await bot.remembers(lambda lines: bool(lines))

    pairs = [(voice, Memory.OURS) for voice in Voice]
    for outcome in await have_talk(talk, pairs, partial(speaker, **options)):
        heard = outcome.heard(TO_BE_CUT)
        assert heard.startswith(f"{FIRST} Muta golu"), (outcome.name, heard)
        (line,) = outcome.lines
        words = line.removeprefix("assistant: ").removesuffix(f" {CUT}")
        assert TO_BE_CUT.startswith(words), (outcome.name, line)
        words_off = abs(len(words.split()) - len(heard.split()))
        assert words_off <= outcome.words_off, (outcome.name, heard, line)


def _fallback(voice: Voice) -> TTSFallback:
    voices = [speaker(voice, **PATIENCE) for _ in range(2)]
    return TTSFallback(voices, names=["first", "second"], vendors=VendorList())


@unless_pipecat_112(RESPONSE_END)
@pytest.mark.parametrize(
    ("make_voice", "voices"),
    [
        (partial(speaker, **PATIENCE), Voice),
        (_fallback, [Voice.TIMES_LAST, Voice.PYTHON, Voice.TEXT_LAST]),
        (lambda _: CountsAnew(**PATIENCE), [Voice.TIMES_FIRST]),
        (lambda _: NeverStops(**PATIENCE), [Voice.TIMES_FIRST]),
    ],
    ids=["plain", "in a fallback", "that count anew", "that never stop"],
)
async def test_reply_that_outlasts_the_voice_is_remembered_whole(
    make_voice: Callable[[Voice], Any], voices: list[Voice]
):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append(TWICE_SLOWLY)
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: bool(lines))

    pairs = [(voice, Memory.OURS) for voice in voices]
    for outcome in await have_talk(talk, pairs, make_voice):
        assert outcome.heard(WHOLE) == WHOLE, outcome.name
        assert outcome.lines == [f"assistant: {WHOLE}"], outcome.name


async def test_reply_whose_end_is_not_spoken_is_remembered_whole():
    """The voice is not told of the end: Pipecat has taken it for done by then."""

    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([f"{FIRST} *", Think(1.4), "*"])
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: bool(lines))
        await bot.silence()

    voices = [(voice, Memory.OURS) for voice in Voice]
    for outcome in await have_talk(talk, voices, partial(speaker, **PATIENCE)):
        assert outcome.heard(FIRST) == FIRST, outcome.name
        assert outcome.lines == [f"assistant: {FIRST}"], outcome.name
