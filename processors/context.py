"""What was said in the call, by both sides, as the LLM gets to see it."""

from dataclasses import replace
from enum import StrEnum

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMAssistantAggregatorParams,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_start import (
    BaseUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
)
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from twilio_frames.processors.turns.attention import (
    DigitsMuteStrategy,
    EndsUnderMute,
    IdleTimer,
)
from twilio_frames.processors.turns.bounds import bounded_params
from twilio_frames.processors.turns.eager import EagerReplyStopStrategy, PhoneTurnStopStrategy
from twilio_frames.processors.turns.given_strategies import (
    PhoneTurnStrategies,
    with_phone_strategies,
)
from twilio_frames.processors.turns.min_words import PhoneMinWordsUserTurnStartStrategy
from twilio_frames.processors.turns.starts import ConfirmedUserTurnStartStrategy

__all__ = ["InterruptBy", "PhoneContextAggregator", "phone_turn_strategies"]


class InterruptBy(StrEnum):
    """What it takes to interrupt the bot while it is heard."""

    CONFIRMED_SPEECH = "confirmed speech"
    """Speech that lasts, or words that are more than 'uh-huh'; until that is clear, the bot waits
    in silence. See
    :class:`twilio_frames.processors.turns.starts.ConfirmedUserTurnStartStrategy`."""
    ANY_SPEECH = "any speech"
    """The first sound that the VAD takes for speech, and words that it missed."""
    WORDS = "words"
    """A number of words."""


def phone_turn_strategies(
    *,
    pause_secs: float = 0.0,
    interrupt_by: InterruptBy = InterruptBy.CONFIRMED_SPEECH,
    confirmation: BaseUserTurnStartStrategy | None = None,
    min_words: int = 3,
    eager: bool = False,
) -> UserTurnStrategies:
    """When the caller's turn begins and ends.

    While the bot is silent it begins as soon as the VAD hears speech (or words arrive that it
    missed). It ends when the VAD has heard the end of speech, ``pause_secs`` more have passed, and
    the words are there. How much silence the VAD takes for that is its ``endpointing``.

    Args:
        pause_secs: Seconds of silence beyond the VAD's in which the caller may go on.
        interrupt_by: What begins the turn while the bot is heard.
        confirmation: How speech is confirmed, by default a ``ConfirmedUserTurnStartStrategy`` as
            it comes.
        min_words: How many words it takes where words do it, counted by their letters in a
            language that is written without spaces.
        eager: Whether the LLM starts on the reply when the turn is likely over, and is stopped
            without a trace if the caller goes on. For the ``LLMService`` of Pipecat's alone. See
            :class:`twilio_frames.processors.turns.eager.EagerReplyStopStrategy`.
    """
    start: list[BaseUserTurnStartStrategy]
    match interrupt_by:
        case InterruptBy.CONFIRMED_SPEECH:
            start = [confirmation or ConfirmedUserTurnStartStrategy()]
        case InterruptBy.ANY_SPEECH:
            start = [VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()]
        case InterruptBy.WORDS:
            start = [PhoneMinWordsUserTurnStartStrategy(min_words=min_words)]
    strategy = EagerReplyStopStrategy if eager else PhoneTurnStopStrategy
    stop = strategy(user_speech_timeout=pause_secs)
    return PhoneTurnStrategies(start=start, stop=[stop])


class PhoneContextAggregator(LLMContextAggregatorPair):
    """The two ends of a conversation's memory: ``user()`` before the LLM, ``assistant()`` last.

    Args:
        context: The conversation so far; by default an empty one.
        turn_strategies: When the caller's turn begins and ends, by default
            :func:`phone_turn_strategies` as they come. A ``UserTurnStrategies`` that names only
            how turns begin, or only how they end, gets the other half from there.
        user_params: Pipecat's own: how long a caller may be idle, when they are muted. Turn
            strategies may stand here instead.
        assistant_params: Pipecat's own.
        **kwargs: Pipecat's own.

    Raises:
        ConfigurationError: If there are other turn strategies in ``user_params`` than beside it.
    """

    def __init__(
        self,
        context: LLMContext | None = None,
        *,
        turn_strategies: UserTurnStrategies | None = None,
        user_params: LLMUserAggregatorParams | None = None,
        assistant_params: LLMAssistantAggregatorParams | None = None,
        **kwargs,
    ):
        self.context = context if context is not None else LLMContext()
        given = with_phone_strategies(user_params, turn_strategies, phone_turn_strategies())
        digits = DigitsMuteStrategy()
        params = replace(
            bounded_params(given), user_mute_strategies=[*given.user_mute_strategies, digits]
        )
        super().__init__(
            self.context, user_params=params, assistant_params=assistant_params, **kwargs
        )
        digits.serve(self.user())
        IdleTimer(self.user(), params.user_idle_timeout)
        EndsUnderMute(self.user())
