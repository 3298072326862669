"""Who speaks when: idle callers, muted ones, strategies."""

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_mute import AlwaysUserMuteStrategy
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

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


@feature("user mute strategies", "a muted caller does not interrupt; then they are heard again")
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
