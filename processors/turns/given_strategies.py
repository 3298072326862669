"""The turn strategies that were given, with the phone's where none were named.

``UserTurnStrategies`` fills in Pipecat's own for what it is not given: any sound interrupts the
bot, and Smart Turn, which needs audio behind the recogniser, ends the turn. Nothing tells
afterwards what was named, so a half that is just what Pipecat fills in counts as not named.
"""

from dataclasses import dataclass, replace
from typing import Any

from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import (
    DeferredUserTurnStopStrategy,
    TurnAnalyzerUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import (
    FilterIncompleteUserTurnStrategies,
    UserTurnStrategies,
)

from twilio_frames.errors import ConfigurationError

__all__ = ["PhoneTurnStrategies", "with_phone_strategies"]

_IDENTITY = {"_id", "_name"}


@dataclass
class PhoneTurnStrategies(UserTurnStrategies):
    """Turn strategies of which both halves have been chosen, be they like Pipecat's own."""


def with_phone_strategies(
    params: LLMUserAggregatorParams | None,
    strategies: UserTurnStrategies | None,
    phone: UserTurnStrategies,
) -> LLMUserAggregatorParams:
    """Parameters with the strategies that were given, and the phone's where none were.

    Args:
        params: What was given of Pipecat's; it is not written to.
        strategies: What was given beside it.
        phone: The phone's own.

    Raises:
        ConfigurationError: If strategies were given twice, and are not the same.
    """
    params = params or LLMUserAggregatorParams()
    within = params.user_turn_strategies
    if within is not None and strategies is not None and within is not strategies:
        raise ConfigurationError(
            "expected turn strategies once, got `turn_strategies` and others at "
            "`user_params.user_turn_strategies`: leave out one of them"
        )
    given = strategies or within
    return replace(params, user_turn_strategies=_filled_in(given, phone) if given else phone)


def _filled_in(given: UserTurnStrategies, phone: UserTurnStrategies) -> UserTurnStrategies:
    if isinstance(given, FilterIncompleteUserTurnStrategies):
        start, stop = _start(given, phone), _inner_stop(given)
        if stop is not None and _is_smart_turn_as_it_comes(stop):
            return replace(given, start=start, stop=phone.stop)
        given.start = start
        return given
    if type(given) is not UserTurnStrategies:
        return given
    stop = given.stop or []
    is_unnamed = len(stop) == 1 and _is_smart_turn_as_it_comes(stop[0])
    return UserTurnStrategies(
        start=_start(given, phone), stop=phone.stop if is_unnamed else given.stop
    )


def _start(given: UserTurnStrategies, phone: UserTurnStrategies):
    pipecats = [VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()]
    is_unnamed = list(map(_settings, given.start or [])) == list(map(_settings, pipecats))
    return phone.start if is_unnamed else given.start


def _inner_stop(given: FilterIncompleteUserTurnStrategies) -> object:
    deferred = [one for one in given.stop or [] if isinstance(one, DeferredUserTurnStopStrategy)]
    return deferred[0].inner if len(deferred) == 1 else None


def _is_smart_turn_as_it_comes(strategy: object) -> bool:
    if type(strategy) is not TurnAnalyzerUserTurnStopStrategy:
        return False
    analyzer = next((v for v in vars(strategy).values() if isinstance(v, BaseSmartTurn)), None)
    if type(analyzer).__name__ != "LocalSmartTurnAnalyzerV3" or analyzer is None:
        return False
    usual = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyzer)
    return analyzer.params == SmartTurnParams() and _settings(strategy) == _settings(usual)


def _settings(strategy: object) -> tuple[type, dict[str, Any]]:
    """What tells a strategy from another, but for its name."""
    plain = {
        name: value
        for name, value in vars(strategy).items()
        if isinstance(value, bool | int | float | str) and name not in _IDENTITY
    }
    return type(strategy), plain
