"""Ends turns in which nothing was said, and holds that no turn came of, whatever the strategies."""

import asyncio
import copy
from dataclasses import replace

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.services.stt_latency import DEFAULT_TTFS_P99
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import (
    BaseUserTurnStartStrategy,
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
)
from pipecat.turns.user_stop import (
    BaseUserTurnStopStrategy,
    SpeechTimeoutUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from twilio_frames.frames import (
    CallerPausedFrame,
    CallerSpeakingFrame,
    NoWordsFrame,
    ResumeFrame,
    TurnTranscriptionFrame,
    WordsAwaitedFrame,
)
from twilio_frames.processors.turns.late_words import LONGEST_SECS
from twilio_frames.processors.turns.recogniser_pace import RecogniserPace
from twilio_frames.processors.turns.reply_watch import ReplyWatch
from twilio_frames.processors.turns.starts import ConfirmedUserTurnStartStrategy

__all__ = ["FewWordsStartStrategy", "WordlessTurnStopStrategy", "bounded", "bounded_params"]

BACKSTOP_SECS = LONGEST_SECS
"""Ends a turn that no strategy has ended: as long as a recogniser of this package may take."""

_BEGIN_BY_WORDS = (
    ConfirmedUserTurnStartStrategy,
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
)


def bounded_params(params: LLMUserAggregatorParams) -> LLMUserAggregatorParams:
    """The same parameters, with turns that are bounded by what the recogniser says of itself.

    Pipecat's own bound stays as it is for stop strategies that may wait for ever. Beside those that
    do not, it would only be in the way of a recogniser that is slower than it.

    Args:
        params: Pipecat's. They are not written to.
    """
    if params.user_turn_strategies is None:
        return params
    strategies = bounded(params.user_turn_strategies)
    timeout = params.user_turn_stop_timeout
    usual = LLMUserAggregatorParams().user_turn_stop_timeout
    ends_by_itself = any(
        isinstance(one, SpeechTimeoutUserTurnStopStrategy) for one in strategies.stop or []
    )
    if ends_by_itself and timeout == usual:
        timeout = BACKSTOP_SECS
    return replace(params, user_turn_strategies=strategies, user_turn_stop_timeout=timeout)


def bounded(strategies: UserTurnStrategies) -> UserTurnStrategies:
    """The same strategies, and those of this module beside them where they are missing.

    Args:
        strategies: When a turn begins and ends. They are not written to.
    """
    start, stop = list(strategies.start or []), list(strategies.stop or [])
    if not any(isinstance(each, ConfirmedUserTurnStartStrategy) for each in start):
        # First, for a wake phrase keeps the frames from those behind it.
        start = [FewWordsStartStrategy(), *_without(start, FewWordsStartStrategy)]
    if not any(isinstance(each, WordlessTurnStopStrategy) for each in stop):
        late_words_count = any(isinstance(each, _BEGIN_BY_WORDS) for each in start)
        stop.append(WordlessTurnStopStrategy(waits_for_recogniser=not late_words_count))
    made = copy.copy(strategies)
    made.start, made.stop = start, stop
    return made


def _without(
    start: list[BaseUserTurnStartStrategy], kind: type[BaseUserTurnStartStrategy]
) -> list[BaseUserTurnStartStrategy]:
    return [each for each in start if not isinstance(each, kind)]


class FewWordsStartStrategy(BaseUserTurnStartStrategy):
    """Begins no turn; lets a bot that is held say on when the others have begun none by the words.

    Stands first in the list. Strategies that are not of this package fall silent for words that
    are too few, or not the right ones, and would leave the bot waiting.
    """

    _OTHERS_SECS: float = 0.05
    """A strategy that is asked after this one may yet begin the turn by the same words."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._caller_speaks = self._caller_pauses = False
        self._has_words = False
        self._in_turn = False
        self._timer: asyncio.Task[None] | None = None

    async def cleanup(self):
        """Stops waiting."""
        await super().cleanup()
        await self._stop_timer()

    async def handle_user_turn_started(self):
        """The words were enough."""
        self._in_turn = True
        self._has_words = False
        await self._stop_timer()

    async def handle_user_turn_stopped(self):
        """The turn is over."""
        self._in_turn = False

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follows speech and words outside of turns."""
        match frame:
            case VADUserStartedSpeakingFrame() | CallerSpeakingFrame():
                self._caller_pauses = False
                self._caller_speaks |= isinstance(frame, VADUserStartedSpeakingFrame)
                self._has_words = False
                await self._stop_timer()
            case CallerPausedFrame():
                self._caller_pauses = True
                await self._maybe_resume()
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = False
                await self._maybe_resume()
            case TurnTranscriptionFrame():
                pass
            case TranscriptionFrame() if not self._in_turn:
                self._has_words = True
                await self._maybe_resume()
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    async def _maybe_resume(self) -> None:
        is_silent = not self._caller_speaks or self._caller_pauses
        if self._has_words and is_silent and self._timer is None:
            self._timer = self.create_task(self._resume(), "resume")

    async def _resume(self) -> None:
        await asyncio.sleep(self._OTHERS_SECS)
        self._timer, self._has_words = None, False
        await self.broadcast_frame(ResumeFrame)

    async def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            await self.cancel_task(timer)


class WordlessTurnStopStrategy(BaseUserTurnStopStrategy):
    """Ends a turn in which no words were said, as soon as that is known. Stands last in the list.

    A sound begins a turn where the bot has nothing to say, or where it has lasted very long. The
    strategies before this one wait for words, and Pipecat ends the turn after five seconds of it.
    This one ends it when the recogniser has said that there are none
    (:class:`twilio_frames.frames.NoWordsFrame`), or should have told some by what it says of
    itself. Words that come yet later begin a turn of their own.

    Where the sound has interrupted the bot, or what it was about to say, nobody says on: the caller
    hears nothing until the LLM is asked anew. So a recogniser that says of itself that it may take
    long is not believed there, until its words have come late in this call.

    Args:
        waits_for_recogniser: Whether to end no turn before the recogniser has answered, because no
            start strategy would begin a turn by words that come late.
        **kwargs: Pipecat's own.
    """

    _SHORTEST_WAIT_SECS: float = 0.1
    """Words are waited for so long at least."""

    def __init__(self, *, waits_for_recogniser: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.wait_for_transcript = True
        """False beside a speech-to-speech model, by Pipecat: then this ends no turn."""
        self._waits_for_recogniser = waits_for_recogniser
        self._pace = RecogniserPace(DEFAULT_TTFS_P99)
        self._caller_speaks = False
        self._in_turn = self._has_words = False
        self._replies = ReplyWatch()
        self._bot_is_heard = self._has_cost_a_reply = False
        self._timer: asyncio.Task[None] | None = None

    async def cleanup(self):
        """Stops waiting."""
        await super().cleanup()
        await self._stop_timer()

    async def handle_user_turn_started(self):
        """A turn has begun; the words that began it are yet to come."""
        self._in_turn, self._has_words = True, False
        self._has_cost_a_reply = self._bot_is_heard or self._replies.is_due
        self._replies.turn_started()
        await self._stop_timer()

    async def handle_user_turn_stopped(self):
        """The turn is over."""
        self._in_turn = False
        self._replies.turn_stopped(has_words=self._has_words)
        await self._stop_timer()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follows speech and words."""
        self._replies.note(frame)
        self._pace.note(frame)
        match frame:
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                self._bot_is_heard = isinstance(frame, BotStartedSpeakingFrame)
            case VADUserStartedSpeakingFrame():
                self._caller_speaks = True
                await self._stop_timer()
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = False
                await self._wait(self._patience_secs() - frame.stop_secs)
            case TurnTranscriptionFrame():
                pass
            case TranscriptionFrame():
                self._has_words = self._has_words or bool(frame.text.strip())
            case InterimTranscriptionFrame():
                await self._wait(self._pace.stated_secs)
            case WordsAwaitedFrame():
                await self._wait(frame.secs)
            case NoWordsFrame() if not self._caller_speaks:
                await self._end()
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    def _patience_secs(self) -> float:
        """How long behind the end of speech the words may take."""
        return self._pace.secs if self._has_cost_a_reply else self._pace.stated_secs

    async def _wait(self, secs: float) -> None:
        await self._stop_timer()
        if self._in_turn and not (self._caller_speaks or self._waits_for_recogniser):
            wait = self._wait_and_end(max(self._SHORTEST_WAIT_SECS, secs))
            self._timer = self.task_manager.create_task(wait, f"{self}::wordless")

    async def _wait_and_end(self, secs: float) -> None:
        await asyncio.sleep(secs)
        self._timer = None
        await self._end()

    async def _end(self) -> None:
        if self._in_turn and not self._has_words and self.wait_for_transcript:
            await self.trigger_user_turn_stopped()

    async def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            await self.task_manager.cancel_task(timer)
