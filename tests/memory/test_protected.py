"""Replies to what was said over speech that may not be interrupted."""

from pipecat.frames.frames import Frame, LLMRunFrame, TTSSpeakFrame

from tests.memory.conversation import Bot, Look, Outcome, Outcomes
from tests.memory.test_order import says
from tests.pipecat_versions import unless_pipecat_112

pytestmark = unless_pipecat_112("drops uninterruptible speech in its voice services")

GREETING = "Deka pilo vume wosa."
NOTICE = "Bada gime lopu nasi rito muta golu, sivo pade."
ANSWER = "Fesu dabo keni. Visa relo."
OTHER = "Zomu tipa ruse."


def protected(text: str) -> Frame:
    speech = TTSSpeakFrame(text)
    speech.interruptible = False
    return speech


def said_by_bot(outcome: Outcome) -> str:
    lines = [line for line in outcome.lines if line.startswith("assistant: ")]
    return " ".join(line.removeprefix("assistant: ") for line in lines)


async def test_answer_behind_a_notice_is_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([ANSWER])
        await bot.queue(protected(NOTICE))
        await bot.word("gime")
        await says(bot, "When?")
        await bot.word("relo")
        await bot.silence()

    for outcome in await outcomes(talk):
        *_, rest, answer = outcome.lines
        assert outcome.lines.count("user: When?") == 1, (outcome.name, outcome.lines)
        assert "gime" in outcome.lines[0]
        assert NOTICE.endswith(rest.removeprefix("assistant: ")), (outcome.name, outcome.lines)
        assert answer == f"assistant: {ANSWER}", (outcome.name, outcome.lines)
        assert said_by_bot(outcome) == f"{NOTICE} {ANSWER}", (outcome.name, outcome.lines)
        assert outcome.heard(ANSWER) == ANSWER


async def test_answer_that_is_talked_over_behind_a_notice(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[ANSWER], [OTHER]]
        await bot.queue(protected(NOTICE))
        await bot.word("gime")
        await says(bot, "When?")
        await bot.word("dabo")
        await says(bot, "Which?")
        await bot.word("ruse")
        await bot.silence()

    for outcome in await outcomes(talk):
        *_, answer, asked, other = outcome.lines
        assert outcome.remembers_cut(answer, ANSWER), (outcome.name, outcome.lines)
        assert asked == "user: Which?"
        assert other == f"assistant: {OTHER}", outcome.name


async def test_second_answer_takes_the_place_of_one_that_nobody_heard(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[ANSWER], [OTHER]]
        await bot.queue(protected(NOTICE))
        await bot.word("gime")
        await says(bot, "When?")
        await bot.word("nasi")
        await says(bot, "Which?")
        await bot.word("ruse")
        await bot.silence()

    for outcome in await outcomes(talk):
        assert said_by_bot(outcome) == f"{NOTICE} {OTHER}", (outcome.name, outcome.lines)
        asked = [line for line in outcome.lines if line.startswith("user: ")]
        assert asked == ["user: When?", "user: Which?"], outcome.name
        assert outcome.lines[-1] == f"assistant: {OTHER}"
        assert not outcome.heard(ANSWER)


async def test_answer_behind_a_notice_behind_a_greeting(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([ANSWER])
        await bot.queue(TTSSpeakFrame(GREETING), protected(NOTICE))
        await bot.word("Deka")
        await says(bot, "When?")
        await bot.word("relo")
        await bot.silence()

    for outcome in await outcomes(talk):
        assert outcome.remembers_cut(outcome.lines[0], GREETING), (outcome.name, outcome.lines)
        assert said_by_bot(outcome).endswith(f"{NOTICE} {ANSWER}"), (outcome.name, outcome.lines)
        assert outcome.lines[-1] == f"assistant: {ANSWER}", (outcome.name, outcome.lines)
        assert outcome.heard(ANSWER) == ANSWER


async def test_answer_behind_two_notices(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([ANSWER])
        await bot.queue(protected(NOTICE), protected(OTHER))
        await bot.word("gime")
        await says(bot, "When?")
        await bot.word("relo")
        await bot.silence()

    for outcome in await outcomes(talk):
        assert said_by_bot(outcome) == f"{NOTICE} {OTHER} {ANSWER}", (outcome.name, outcome.lines)
        assert outcome.lines[-1] == f"assistant: {ANSWER}", (outcome.name, outcome.lines)


async def test_answer_with_a_function_behind_a_notice(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.found.set()
        bot.llm.replies += [[Look()], [ANSWER]]
        await bot.queue(protected(NOTICE))
        await bot.word("gime")
        await says(bot, "When?")
        await bot.word("relo")
        await bot.silence()

    for outcome in await outcomes(talk):
        assert said_by_bot(outcome) == f"{NOTICE} {ANSWER}", (outcome.name, outcome.lines)
        assert outcome.lines[-1] == f"assistant: {ANSWER}", (outcome.name, outcome.lines)
        assert [line for line in outcome.lines if line.startswith("calls ")] == ["calls call1"]


async def test_reply_long_after_a_notice_that_was_talked_over(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[ANSWER]]
        await bot.queue(protected(NOTICE))
        await bot.word("gime")
        await bot.interrupt()
        await bot.word("pade")
        await bot.silence()
        await bot.queue(LLMRunFrame())
        await bot.word("relo")
        await bot.silence()

    for outcome in await outcomes(talk):
        assert outcome.lines[-1] == f"assistant: {ANSWER}", (outcome.name, outcome.lines)
