"""What was said in the call, by both sides, as the LLM gets to see it."""

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMAssistantAggregatorParams,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies


def phone_turn_strategies(*, pause_secs: float = 0.0) -> UserTurnStrategies:
    """When the caller's turn begins and ends.

    It begins as soon as the VAD hears speech (or words arrive that it missed), which interrupts the
    bot. It ends when the VAD has heard silence for its ``stop_secs``, ``pause_secs`` more have
    passed, and the words are there.

    Args:
        pause_secs: Seconds of silence beyond the VAD's in which the caller may go on.
    """
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
        stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=pause_secs)],
    )


class PhoneContextAggregator(LLMContextAggregatorPair):
    """The two ends of a conversation's memory: ``user()`` before the LLM, ``assistant()`` last.

    Args:
        context: The conversation so far; by default an empty one.
        user_params: Pipecat's own; by default with :func:`phone_turn_strategies`.
        assistant_params: Pipecat's own.
        **kwargs: Pipecat's own.
    """

    def __init__(
        self,
        context: LLMContext | None = None,
        *,
        user_params: LLMUserAggregatorParams | None = None,
        assistant_params: LLMAssistantAggregatorParams | None = None,
        **kwargs,
    ):
        self.context = context if context is not None else LLMContext()
        super().__init__(
            self.context,
            user_params=user_params
            or LLMUserAggregatorParams(user_turn_strategies=phone_turn_strategies()),
            assistant_params=assistant_params,
            **kwargs,
        )
