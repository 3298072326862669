"""Who speaks when: idle callers, muted ones, strategies."""

import asyncio

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    LLMRunFrame,
    UserIdleTimeoutUpdateFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.services.llm_service import FunctionCallParams
from pipecat.turns.user_mute import (
    AlwaysUserMuteStrategy,
    FirstSpeechUserMuteStrategy,
    FunctionCallUserMuteStrategy,
    MuteUntilFirstBotCompleteUserMuteStrategy,
)
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.memory.conversation import LOOK_UP, Look, ScriptedLLM
from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, Hearer, ToneTTS, calling
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD


def conversing(text: str, **given) -> tuple[Bot, PhoneContextAggregator]:
    pair = PhoneContextAggregator(**given)
    ahead = [PhoneVAD(), Hearer(text), pair.user(), ToneTTS()]
    return Bot(ahead=ahead, behind=[pair.assistant()]), pair


@feature("`user_idle_timeout`", "`on_user_turn_idle` so many seconds after the bot was heard")
async def test_idle_user_is_noticed(side: Side):
    params = LLMUserAggregatorParams(user_idle_timeout=1.0)
    bot, pair = conversing("yes", user_params=params)
    idle: list[int] = []

    @pair.user().event_handler("on_user_turn_idle")
    async def on_idle(*_: object):
        idle.append(len(bot.after.frames(BotStoppedSpeakingFrame)))

    async with calling(side, bot) as caller:
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(0.7)
        too_soon = list(idle)
        await caller.wait(0.8)
        await caller.hang_up()

    assert too_soon == []
    assert idle[:1] == [1]


@feature("`UserIdleTimeoutUpdateFrame`", "the time-out is another from then on, or none")
async def test_idle_timeout_is_changed(side: Side):
    bot, pair = conversing("yes", user_params=LLMUserAggregatorParams(user_idle_timeout=30.0))
    idle: list[bool] = []

    @pair.user().event_handler("on_user_turn_idle")
    async def on_idle(*_: object):
        idle.append(True)

    async with calling(side, bot) as caller:
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await bot.queue(UserIdleTimeoutUpdateFrame(timeout=1.0))
        await caller.wait(1.5)
        changed = list(idle)
        await bot.queue(UserIdleTimeoutUpdateFrame(timeout=0))
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame, count=2)
        await caller.wait(3.0)
        await caller.hang_up()

    assert changed == [True]
    assert idle == [True]


@feature("`AlwaysUserMuteStrategy`", "a muted caller does not interrupt; then they are heard again")
async def test_muted_caller_does_not_interrupt(side: Side):
    params = LLMUserAggregatorParams(user_mute_strategies=[AlwaysUserMuteStrategy()])
    bot, _ = conversing("yes please", user_params=params)
    async with calling(side, bot) as caller:
        await bot.say("one two three four five six seven eight nine ten")
        await bot.after.wait_for(UserMuteStartedFrame)
        await caller.say("I would like a large pizza please.")
        await bot.after.wait_for(UserMuteStoppedFrame)
        muted = len(bot.after.frames(InterruptionFrame))
        await caller.say("I would like a large pizza please.")
        await bot.after.wait_for(UserStartedSpeakingFrame)
        await caller.hang_up()

    assert muted == 0


@feature(
    "`FirstSpeechUserMuteStrategy`, `MuteUntilFirstBotCompleteUserMuteStrategy`",
    "the greeting is not interrupted, what follows is",
)
async def test_greeting_is_not_interrupted(side: Side):
    for strategy in (FirstSpeechUserMuteStrategy(), MuteUntilFirstBotCompleteUserMuteStrategy()):
        params = LLMUserAggregatorParams(user_mute_strategies=[strategy])
        bot, _ = conversing("yes please", user_params=params)
        interruptions: list[int] = []
        async with calling(side, bot) as caller:
            for number in range(2):
                await bot.say("one two three four five six seven eight nine ten " * 2)
                await bot.after.wait_for(BotStartedSpeakingFrame, count=number + 1)
                await caller.wait(0.3)
                await caller.say("I would like a large pizza please.")
                await bot.after.wait_for(BotStoppedSpeakingFrame, count=number + 1)
                interruptions.append(len(bot.after.frames(InterruptionFrame)))
            await caller.hang_up()

        assert interruptions == [0, 1], strategy


@feature("`FunctionCallUserMuteStrategy`", "what is said while a function runs is not heard")
async def test_caller_is_muted_while_a_function_runs(side: Side):
    params = LLMUserAggregatorParams(user_mute_strategies=[FunctionCallUserMuteStrategy()])
    pair, llm = PhoneContextAggregator(user_params=params), ScriptedLLM()
    ahead = [PhoneVAD(), Hearer("yes please"), pair.user(), llm, ToneTTS()]
    bot = Bot(ahead=ahead, behind=[pair.assistant()])
    done = asyncio.Event()

    async def look_up(params: FunctionCallParams) -> None:
        await done.wait()
        await params.result_callback("ten")

    llm.register_function(LOOK_UP, look_up)
    llm.replies += [[Look()], ["ten pizzas are left"], ["very well"]]
    async with calling(side, bot) as caller:
        await bot.queue(LLMRunFrame())
        await bot.after.wait_for(UserMuteStartedFrame)
        await caller.say("I would like a large pizza please.")
        await caller.wait(1.5)
        muted = llm.runs
        done.set()
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.say("I would like a large pizza please.")
        await bot.after.wait_for(BotStoppedSpeakingFrame, count=2)
        await caller.hang_up()

    assert (muted, llm.runs) == (1, 3)
    said = [one for one in pair.context.messages if isinstance(one, dict)]
    assert [one["content"] for one in said if one["role"] == "user"] == ["yes please"]


@feature("`MinWordsUserTurnStartStrategy`", "one word does not interrupt the bot, three do")
async def test_few_words_do_not_interrupt(side: Side):
    for text, times in (("yes", 0), ("a large pizza please", 1)):
        strategies = UserTurnStrategies(start=[MinWordsUserTurnStartStrategy(min_words=3)])
        bot, _ = conversing(text, turn_strategies=strategies)
        async with calling(side, bot) as caller:
            await bot.say("one two three four five six seven eight nine ten " * 4)
            await caller.wait(1.0)
            await caller.say("I would like a large pizza please.")
            await caller.wait(1.0)
            interruptions = len(bot.after.frames(InterruptionFrame))
            await caller.hang_up()

        assert interruptions == times, text


@feature("`TurnTrackingObserver`", "a turn for each of the bot's, told when it begins and ends")
async def test_turns_are_tracked(side: Side):
    observer, turns = TurnTrackingObserver(), list[str]()

    @observer.event_handler("on_turn_started")
    async def on_started(*_: object):
        turns.append("started")

    @observer.event_handler("on_turn_ended")
    async def on_ended(*_: object):
        turns.append("ended")

    bot = Bot(ahead=[PhoneVAD(), ToneTTS()], options={"observers": [observer]})
    async with calling(side, bot) as caller:
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.wait(4)
        await caller.hang_up()

    assert turns[:2] == ["started", "ended"]
    assert bot.after.frames(VADUserStartedSpeakingFrame) == []
