"""What is remembered of what a bot says, by whatever frames it says it."""

import time

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContextMessage

from tests.memory.conversation import Bot, Outcomes
from tests.pipecat_versions import unless_pipecat_112

FIRST = "Bada gime. Lopu nasi."
SECOND = "Rito fesu, dabo keni. Muta golu."
THIRD = "Visa relo."


def remembered(count: int):
    return lambda lines: len(lines) >= count


async def test_greeting_of_the_llm_is_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([FIRST])
        await bot.queue(LLMRunFrame())
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {FIRST}"], outcome.name
        assert outcome.heard(FIRST) == FIRST


async def test_spoken_greeting_is_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(FIRST))
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {FIRST}"], outcome.name


async def test_cut_greeting_is_remembered_as_heard(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(SECOND))
        await bot.speaks(1.0)
        await bot.interrupt()
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        (line,) = outcome.lines
        assert outcome.remembers_cut(line, SECOND), (outcome.name, line)


async def test_reply_cut_in_its_first_sentence(outcomes: Outcomes):
    """All its sentences are known to the TTS by then, and none of them has been laid."""

    async def talk(bot: Bot) -> None:
        bot.llm.replies.append([SECOND])
        await bot.queue(LLMRunFrame())
        await bot.speaks(0.5)
        await bot.interrupt()
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        (line,) = outcome.lines
        assert outcome.heard(SECOND).startswith("Rito")
        assert outcome.remembers_cut(line, SECOND), (outcome.name, line)


async def test_speech_without_memory_is_not_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(FIRST, append_to_context=False), TTSSpeakFrame(THIRD))
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.heard(FIRST) == FIRST
        assert outcome.lines == [f"assistant: {THIRD}"], outcome.name


async def test_cut_speech_without_memory_is_not_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(SECOND, append_to_context=False))
        await bot.speaks(0.5)
        await bot.interrupt()
        await bot.silence()
        await bot.queue(TTSSpeakFrame(THIRD))
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.heard(SECOND)
        assert outcome.lines == [f"assistant: {THIRD}"], outcome.name


async def test_queued_utterances_are_cut_in_the_second(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(FIRST), TTSSpeakFrame(SECOND), TTSSpeakFrame(THIRD))
        await bot.remembers(remembered(1))
        await bot.speaks(0.7)
        await bot.interrupt()
        await bot.remembers(remembered(2))

    for outcome in await outcomes(talk):
        first, second = outcome.lines
        assert first == f"assistant: {FIRST}", outcome.name
        assert outcome.remembers_cut(second, SECOND), (outcome.name, second)
        assert not outcome.heard(THIRD)


async def test_queued_replies_are_messages_of_their_own(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[FIRST], [THIRD]]
        await bot.queue(LLMRunFrame(), LLMRunFrame())
        await bot.remembers(remembered(2))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {FIRST}", f"assistant: {THIRD}"], outcome.name


async def test_stall_between_replies_does_not_mix_them(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(FIRST), TTSSpeakFrame(SECOND), TTSSpeakFrame(THIRD))
        await bot.word("Lopu")
        time.sleep(0.2)  # noqa: ASYNC251  # the stall
        await bot.remembers(remembered(3))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {text}" for text in (FIRST, SECOND, THIRD)]


async def test_appended_messages_are_not_spoken(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        message: LLMContextMessage = {"role": "user", "content": "Go on."}
        await bot.queue(LLMMessagesAppendFrame([message], run_llm=False))
        await bot.queue(TTSSpeakFrame(THIRD))
        await bot.remembers(remembered(2))

    for outcome in await outcomes(talk):
        assert outcome.lines == ["user: Go on.", f"assistant: {THIRD}"], outcome.name


async def test_filtered_text_is_remembered_as_written(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies.append(["**Bada** gime. *Lopu* nasi."])
        await bot.queue(LLMRunFrame())
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.heard(FIRST) == FIRST
        assert outcome.lines == ["assistant: **Bada** gime. *Lopu* nasi."], outcome.name


def with_code() -> list[Frame]:
    return [
        LLMFullResponseStartFrame(),
        AggregatedTextFrame(FIRST, "sentence"),
        AggregatedTextFrame("x = 1", "code"),
        AggregatedTextFrame(THIRD, "sentence"),
        LLMFullResponseEndFrame(),
    ]


async def test_unspoken_text_stands_where_it_was_due(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(*with_code())
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {FIRST} x = 1 {THIRD}"], outcome.name


async def test_unspoken_text_behind_a_cut_is_forgotten(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(*with_code())
        await bot.speaks(0.4)
        await bot.interrupt()
        await bot.remembers(remembered(1))

    for outcome in await outcomes(talk):
        (line,) = outcome.lines
        assert outcome.remembers_cut(line, FIRST), (outcome.name, line)


@unless_pipecat_112("pushes text that is not spoken ahead of speech that was asked for before")
async def test_silent_reply_is_remembered_behind_speech(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        await bot.queue(TTSSpeakFrame(FIRST))
        await bot.queue(
            *silently(
                LLMFullResponseStartFrame(), LLMTextFrame("Written."), LLMFullResponseEndFrame()
            )
        )
        await bot.remembers(remembered(2))

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {FIRST}", "assistant: Written."], outcome.name


def silently(*frames: LLMFullResponseStartFrame | LLMTextFrame | LLMFullResponseEndFrame):
    for frame in frames:
        frame.skip_tts = True
    return frames


@unless_pipecat_112("drops uninterruptible speech in its voice services")
async def test_uninterruptible_speech_is_remembered_whole(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        speech = TTSSpeakFrame(SECOND)
        speech.interruptible = False
        await bot.queue(speech, TTSSpeakFrame(FIRST))
        await bot.speaks(0.7)
        await bot.interrupt()
        await bot.remembers(remembered(1))
        await bot.silence()
        await bot.queue(TTSSpeakFrame(THIRD))
        await bot.remembers(lambda lines: THIRD in "".join(lines))

    for outcome in await outcomes(talk):
        assert outcome.heard(SECOND) == SECOND
        # The interruption ended a message; what was heard behind it is another.
        *second, third = [line.removeprefix("assistant: ") for line in outcome.lines]
        assert " ".join(second) == SECOND, (outcome.name, outcome.lines)
        assert third == THIRD, (outcome.name, outcome.lines)


@unless_pipecat_112("drops uninterruptible speech in its voice services")
async def test_uninterruptible_speech_behind_a_cut_is_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        speech = TTSSpeakFrame(SECOND)
        speech.interruptible = False
        await bot.queue(TTSSpeakFrame(FIRST), speech)
        await bot.word("gime")
        await bot.interrupt()
        await bot.remembers(remembered(2))

    for outcome in await outcomes(talk):
        first, second = outcome.lines
        assert outcome.remembers_cut(first, FIRST), (outcome.name, outcome.lines)
        assert second == f"assistant: {SECOND}", outcome.name
        assert outcome.heard(SECOND) == SECOND
