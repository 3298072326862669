"""What is named of turns is kept, and what is not is the phone's."""

import pytest
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_mute import AlwaysUserMuteStrategy
from pipecat.turns.user_start import (
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
)
from pipecat.turns.user_stop import (
    LLMTurnCompletionUserTurnStopStrategy,
    TurnAnalyzerUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import (
    ExternalUserTurnStrategies,
    FilterIncompleteUserTurnStrategies,
    UserTurnStrategies,
)

from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.context import (
    InterruptBy,
    PhoneContextAggregator,
    phone_turn_strategies,
)
from twilio_frames.processors.turns.eager import PhoneTurnStopStrategy
from twilio_frames.processors.turns.given_strategies import with_phone_strategies
from twilio_frames.processors.turns.min_words import PhoneMinWordsUserTurnStartStrategy
from twilio_frames.processors.turns.starts import ConfirmedUserTurnStartStrategy


def strategies(
    params: LLMUserAggregatorParams | None = None, beside: UserTurnStrategies | None = None
) -> UserTurnStrategies:
    given = with_phone_strategies(params, beside, phone_turn_strategies())
    assert given.user_turn_strategies is not None
    return given.user_turn_strategies


def kinds(found: UserTurnStrategies) -> list[type]:
    return [type(one) for one in [*(found.start or []), *(found.stop or [])]]


OURS = [ConfirmedUserTurnStartStrategy, PhoneTurnStopStrategy]


def test_params_without_strategies_get_the_phones():
    params = LLMUserAggregatorParams(
        user_idle_timeout=10, user_mute_strategies=[AlwaysUserMuteStrategy()]
    )
    filled = with_phone_strategies(params, None, phone_turn_strategies())

    assert kinds(strategies(params)) == OURS
    assert filled.user_idle_timeout == 10
    assert filled.user_mute_strategies == params.user_mute_strategies
    assert params.user_turn_strategies is None


def test_strategies_stand_beside_params_or_within():
    asked = phone_turn_strategies(interrupt_by=InterruptBy.WORDS)
    idle = LLMUserAggregatorParams(user_idle_timeout=10)
    within = LLMUserAggregatorParams(user_idle_timeout=10, user_turn_strategies=asked)

    for found in (strategies(idle, asked), strategies(within), strategies(within, asked)):
        assert kinds(found) == [PhoneMinWordsUserTurnStartStrategy, OURS[1]]


def test_two_sets_of_strategies_are_refused():
    params = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())

    with pytest.raises(ConfigurationError, match="leave out one of them"):
        PhoneContextAggregator(turn_strategies=phone_turn_strategies(), user_params=params)


def test_half_that_is_not_named_is_the_phones():
    words = UserTurnStrategies(start=[MinWordsUserTurnStartStrategy(min_words=2)])
    timeout = UserTurnStrategies(stop=[PhoneTurnStopStrategy(user_speech_timeout=1.0)])

    assert kinds(strategies(beside=words)) == [MinWordsUserTurnStartStrategy, OURS[1]]
    kept = strategies(LLMUserAggregatorParams(user_turn_strategies=timeout))
    assert kinds(kept) == OURS
    assert kept.stop == timeout.stop
    assert kinds(strategies(beside=UserTurnStrategies())) == OURS


def test_strategies_with_settings_of_their_own_are_named():
    quiet = UserTurnStrategies(
        start=[
            VADUserTurnStartStrategy(enable_interruptions=False),
            TranscriptionUserTurnStartStrategy(enable_interruptions=False),
        ],
        stop=[
            TurnAnalyzerUserTurnStopStrategy(
                turn_analyzer=LocalSmartTurnAnalyzerV3(params=SmartTurnParams(stop_secs=1))
            )
        ],
    )
    found = strategies(beside=quiet)

    assert (found.start, found.stop) == (quiet.start, quiet.stop)


def test_other_sets_are_kept_whole():
    external = ExternalUserTurnStrategies()
    any_speech = phone_turn_strategies(interrupt_by=InterruptBy.ANY_SPEECH)

    assert strategies(beside=external) is external
    assert kinds(strategies(beside=any_speech))[0] is VADUserTurnStartStrategy


def test_turns_that_the_llm_judges_begin_and_pause_as_on_the_phone():
    found = strategies(beside=FilterIncompleteUserTurnStrategies())

    assert [type(one) for one in found.start or []] == OURS[:1]
    deferred, judge = found.stop or []
    assert type(getattr(deferred, "inner", None)) is OURS[1]
    assert type(judge) is LLMTurnCompletionUserTurnStopStrategy
