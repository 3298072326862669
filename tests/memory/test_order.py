"""What was said over the bot stands in the memory behind what was heard of it."""

from pipecat.frames.frames import (
    LLMRunFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from tests.memory.conversation import Bot, Look, Outcomes, clip
from twilio_frames.processors.clips import SpeakClipFrame

QUESTION = "Bada gime lopu nasi rito muta golu."
ANSWER = "Fesu dabo."
CALLED, FOUND = "calls call1", 'tool: {"found": "it"}'


async def says(bot: Bot, text: str) -> None:
    """A caller whose words come at the end of speech, or later."""
    words = TranscriptionFrame(text, "", "", finalized=True)
    await bot.queue(VADUserStartedSpeakingFrame(), VADUserStoppedSpeakingFrame(), words)


async def test_short_answer_stands_behind_the_question(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[QUESTION], [ANSWER]]
        await bot.queue(LLMRunFrame())
        await bot.word("gime")
        await says(bot, "No.")
        await bot.remembers(lambda lines: len(lines) >= 3)

    for outcome in await outcomes(talk):
        question, *rest = outcome.lines
        assert outcome.remembers_cut(question, QUESTION), (outcome.name, outcome.lines)
        assert rest == ["user: No.", f"assistant: {ANSWER}"], outcome.name
        assert outcome.runs == 2


async def test_short_answer_stands_behind_a_clip(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([ANSWER])
        await bot.queue(SpeakClipFrame(clip(QUESTION)))
        await bot.word("gime")
        await says(bot, "No.")
        await bot.remembers(lambda lines: len(lines) >= 3)

    for outcome in await outcomes(talk):
        question, *rest = outcome.lines
        assert outcome.remembers_cut(question, QUESTION), (outcome.name, outcome.lines)
        assert rest == ["user: No.", f"assistant: {ANSWER}"], outcome.name


async def test_answer_behind_a_function_call(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.found.set()
        bot.llm.replies += [[Look()], [QUESTION], [ANSWER]]
        await bot.queue(LLMRunFrame())
        await bot.word("gime")
        await says(bot, "No.")
        await bot.remembers(lambda lines: len(lines) >= 5)

    for outcome in await outcomes(talk):
        called, found, question, *rest = outcome.lines
        assert [called, found] == [CALLED, FOUND], outcome.name
        assert outcome.remembers_cut(question, QUESTION), (outcome.name, outcome.lines)
        assert rest == ["user: No.", f"assistant: {ANSWER}"], outcome.name
