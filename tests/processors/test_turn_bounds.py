"""No turn strategy leaves a bot that is held waiting, nor a turn without words open."""

from collections.abc import Callable, Sequence

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    ProposedUserStartedSpeakingFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_start import (
    BaseUserTurnStartStrategy,
    ExternalUserTurnStartStrategy,
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
    WakePhraseUserTurnStartStrategy,
)
from pipecat.turns.user_stop import (
    ExternalUserTurnStopStrategy,
    SpeechTimeoutUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from tests.processors.memory_rig import words
from tests.processors.test_wordless_sounds import (
    NEVER,
    Listener,
    interim,
    listening,
    off,
    sound,
    speaks,
    speaks_once,
    turns_ended,
)
from twilio_frames.frames import CallerSpeakingFrame, NoWordsFrame
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.turns.bounds import (
    BACKSTOP_SECS,
    FewWordsStartStrategy,
    WordlessTurnStopStrategy,
    bounded,
    bounded_params,
)
from twilio_frames.transport import TwilioParams

Starts = Callable[[], list[BaseUserTurnStartStrategy]]

QUIET: dict[str, Starts] = {
    "few words": lambda: [MinWordsUserTurnStartStrategy(min_words=3)],
    "wake phrase": lambda: [
        WakePhraseUserTurnStartStrategy(phrases=["hey bot"]),
        VADUserTurnStartStrategy(),
    ],
    "external": lambda: [ExternalUserTurnStartStrategy()],
}
"""Strategies that begin no turn by two words over the bot."""
PATIENT = TwilioParams(hold_secs=30.0)


def pair_of(start: Sequence[BaseUserTurnStartStrategy]) -> PhoneContextAggregator:
    stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)
    strategies = UserTurnStrategies(start=list(start), stop=[stop])
    return PhoneContextAggregator(turn_strategies=strategies)


@pytest.mark.parametrize("kind", QUIET)
@pytest.mark.parametrize(
    "answer", [[words("Right, right.")], [NoWordsFrame()]], ids=["few words", "no words"]
)
async def test_bot_says_on_as_soon_as_it_was_nothing(kind: str, answer: list[Frame]):
    async with listening(pair=pair_of(QUIET[kind]()), params=PATIENT) as call:
        await speaks(call)
        await call.happens(*sound(0.5), *answer)
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (0, 0)


@pytest.mark.parametrize("kind", [*QUIET, "transcription"])
async def test_bot_says_on_though_the_recogniser_says_nothing(kind: str):
    start = QUIET.get(kind, lambda: [TranscriptionUserTurnStartStrategy()])()
    async with listening(recogniser_secs=0.7, pair=pair_of(start)) as call:
        await speaks(call)
        await call.happens(*sound(0.5))
        await call.made.ear.hears("wone")

        assert (call.count(InterruptionFrame), call.asked) == (0, 0)


async def test_bot_says_on_for_pipecats_aggregators():
    strategies = UserTurnStrategies(start=[MinWordsUserTurnStartStrategy(min_words=3)])
    pair = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(user_turn_strategies=strategies)
    )
    async with listening(recogniser_secs=0.7, pair=pair) as call:
        await speaks(call)
        await call.happens(*sound(0.5), words("Right."))
        await call.made.ear.hears("wone")
        assert call.count(InterruptionFrame) == 0


async def test_words_that_come_while_the_caller_speaks_wait_for_the_end():
    pair = pair_of([MinWordsUserTurnStartStrategy(min_words=3)])
    async with listening(pair=pair, params=PATIENT) as call:
        await speaks(call)
        await call.happens(*sound(0.3)[:-2], interim("Right"), words("Right."))
        held = call.sent
        await call.happens(CallerSpeakingFrame(0.6))
        await call.happens(CallerSpeakingFrame(0.7), interim("but not too"), off())
        assert (call.sent, call.count(InterruptionFrame)) == (held, 1)


BY_WORDS: dict[str, tuple[Starts, list[Frame]]] = {
    "enough words": (QUIET["few words"], [words("Make it a tea.")]),
    "transcription": (lambda: [TranscriptionUserTurnStartStrategy()], [words("Tea.")]),
    "wake phrase": (QUIET["wake phrase"], [words("Hey bot, tea.")]),
    "external": (
        QUIET["external"],
        [ProposedUserStartedSpeakingFrame(), words("Tea.")],
    ),
}


@pytest.mark.parametrize("kind", BY_WORDS)
async def test_turn_that_begins_by_words_is_not_taken_for_nothing(kind: str):
    starts, answer = BY_WORDS[kind]
    async with listening(pair=pair_of(starts()), params=PATIENT) as call:
        await speaks(call)
        await call.happens(*sound(0.5), *answer)
        await call.is_asked(1)

        (spoken,) = [frame for frame in answer if isinstance(frame, TranscriptionFrame)]
        assert call.made.mind.asked[0][-1] == ("user", spoken.text)
        assert call.count(InterruptionFrame) == 1


async def asks_at_once(call: Listener) -> None:
    """A sound has interrupted the bot; the recogniser has no words for it."""
    await speaks(call)
    await call.happens(*sound(0.5))
    assert call.count(InterruptionFrame) == 1
    await call.happens(NoWordsFrame())
    await call.is_asked(1)


@pytest.mark.parametrize("pipecats_stop", [False, True])
async def test_sound_that_interrupts_by_itself_is_asked_about_at_once(pipecats_stop: bool):
    strategies = phone_turn_strategies(interrupt_by=InterruptBy.ANY_SPEECH)
    if pipecats_stop:
        strategies.stop = [ExternalUserTurnStopStrategy()]
    async with listening(pair=PhoneContextAggregator(turn_strategies=strategies)) as call:
        await asks_at_once(call)


async def test_turn_of_the_vad_alone_waits_for_words_that_nothing_else_would_take():
    async with listening(recogniser_secs=0.7, pair=pair_of([VADUserTurnStartStrategy()])) as call:
        await speaks_once(call)
        await call.happens(*sound(0.4))
        await call.happens(words("A latte."))
        await call.is_asked(1)
        assert call.count(UserStoppedSpeakingFrame) == 1


async def test_turn_of_the_vad_alone_is_over_when_there_are_no_words():
    async with listening(recogniser_secs=NEVER, pair=pair_of([VADUserTurnStartStrategy()])) as call:
        await speaks_once(call)
        await call.happens(*sound(0.4), NoWordsFrame())
        await turns_ended(call, 1)
        assert call.asked == 0


def kinds(strategies: UserTurnStrategies | None) -> tuple[list[type], list[type]]:
    assert strategies is not None
    return [type(one) for one in strategies.start or []], [
        type(one) for one in strategies.stop or []
    ]


def test_bounds_are_set_once():
    once = bounded(phone_turn_strategies(interrupt_by=InterruptBy.WORDS))
    start, stop = kinds(once)

    assert (start[0], stop[-1]) == (FewWordsStartStrategy, WordlessTurnStopStrategy)
    assert kinds(bounded(once)) == (start, stop)


def test_our_own_start_strategy_needs_no_other():
    start, stop = kinds(bounded(phone_turn_strategies()))
    assert FewWordsStartStrategy not in start
    assert WordlessTurnStopStrategy in stop


@pytest.mark.parametrize(("given", "expected"), [(None, BACKSTOP_SECS), (3.0, 3.0)])
def test_pipecats_time_out_waits_for_slow_recognisers(given: float | None, expected: float):
    params = LLMUserAggregatorParams(user_turn_strategies=phone_turn_strategies())
    if given is not None:
        params.user_turn_stop_timeout = given
    assert bounded_params(params).user_turn_stop_timeout == expected


def test_pipecats_time_out_stays_where_a_strategy_may_wait_for_ever():
    strategies = UserTurnStrategies(stop=[ExternalUserTurnStopStrategy()])
    params = LLMUserAggregatorParams(user_turn_strategies=strategies)
    assert bounded_params(params).user_turn_stop_timeout == params.user_turn_stop_timeout
