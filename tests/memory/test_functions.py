"""Function calls stand in the memory where they happened."""

from pipecat.frames.frames import LLMRunFrame

from tests.memory.conversation import Bot, Look, Outcomes

BEFORE = "Bada gime lopu nasi rito."
AFTER = "Fesu dabo."
CALLED = "calls call1"
FOUND = 'tool: {"found": "it"}'
CANCELLED = "tool: CANCELLED"


async def test_function_call_stands_between_what_was_said(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.found.set()
        bot.llm.replies += [[BEFORE, Look()], [AFTER]]
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: len(lines) >= 4)

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {BEFORE}", CALLED, FOUND, f"assistant: {AFTER}"]
        assert outcome.runs == 2


async def test_slow_function_is_answered_once(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[BEFORE, Look()], [AFTER]]
        await bot.queue(LLMRunFrame())
        await bot.word("rito")
        await bot.silence()
        bot.found.set()
        await bot.remembers(lambda lines: len(lines) >= 4)

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {BEFORE}", CALLED, FOUND, f"assistant: {AFTER}"]
        assert outcome.runs == 2


async def test_function_call_without_words_is_remembered(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.found.set()
        bot.llm.replies += [[Look()], [AFTER]]
        await bot.queue(LLMRunFrame())
        await bot.remembers(lambda lines: len(lines) >= 3)

    for outcome in await outcomes(talk):
        assert outcome.lines == [CALLED, FOUND, f"assistant: {AFTER}"], outcome.name


async def test_caller_interrupts_while_the_function_runs(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[BEFORE, Look()], [AFTER]]
        await bot.queue(LLMRunFrame())
        await bot.looked_up.wait()
        await bot.remembers(lambda lines: CALLED in lines)
        await bot.interrupt()
        await bot.remembers(lambda lines: CANCELLED in lines)

    for outcome in await outcomes(talk):
        assert outcome.lines == [f"assistant: {BEFORE}", CALLED, CANCELLED], outcome.name
        assert outcome.runs == 1


async def test_caller_interrupts_the_words_before_a_function(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.llm.replies += [[BEFORE, Look()], [AFTER]]
        await bot.queue(LLMRunFrame())
        await bot.looked_up.wait()
        await bot.speaks(0.6)
        await bot.interrupt()
        await bot.remembers(lambda lines: CANCELLED in lines)

    for outcome in await outcomes(talk):
        words, *rest = outcome.lines
        assert outcome.remembers_cut(words, BEFORE), (outcome.name, outcome.lines)
        assert rest == [CALLED, CANCELLED], outcome.name


async def test_result_survives_an_interruption(outcomes: Outcomes):
    async def talk(bot: Bot) -> None:
        bot.found.set()
        bot.llm.replies += [[BEFORE, Look()]]
        await bot.queue(LLMRunFrame())
        await bot.looked_up.wait()
        await bot.speaks(0.6)
        await bot.interrupt()
        await bot.remembers(lambda lines: FOUND in lines)

    for outcome in await outcomes(talk):
        words, *rest = outcome.lines
        assert outcome.remembers_cut(words, BEFORE), (outcome.name, outcome.lines)
        assert rest == [CALLED, FOUND], outcome.name
