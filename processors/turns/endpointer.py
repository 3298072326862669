"""Has the caller's pauses judged while they last, for a VAD that is to end speech by it."""

import asyncio
from typing import Protocol

from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer, EndOfTurnState
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    MetricsFrame,
)
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import TurnLikelyOverFrame
from twilio_frames.processors.endpointing import Endpointing, EndpointPolicy, TurnEndTimes
from twilio_frames.processors.turns import smart_turn
from twilio_frames.processors.turns.learned_pause import LearnedPause
from twilio_frames.processors.turns.smart_turn import PhoneSmartTurn

__all__ = ["Endpointer", "EndpointingVAD"]

_BYTES_PER_SECOND = 2 * SAMPLE_RATE


class EndpointingVAD(Protocol):
    """A VAD that is told how much silence ends speech."""

    @property
    def is_certain(self) -> bool:
        """Whether the caller is within what they say, pauses included."""
        ...

    @property
    def speech_secs(self) -> float:
        """How much was said since the onset."""
        ...

    @property
    def silence_secs(self) -> float:
        """How long it has been silent since."""
        ...

    @property
    def pause_secs(self) -> float:
        """The silence that ends speech where nothing else is asked for."""
        ...

    def end_after(self, silence_secs: float) -> None:
        """Has so much silence end the speech that goes on."""


class Endpointer:
    """Listens along with a VAD, asks Smart Turn, and tells the VAD how much silence is enough.

    Args:
        processor: Whose frames and tasks these are.
        ear: What hears speech and silence.
        by: What ends speech.
        times: How a pause is judged.
        learned: What is known of the caller's pauses.
        analyzer: What is asked whether the turn is over, by default a ``PhoneSmartTurn``.
    """

    def __init__(
        self,
        processor: FrameProcessor,
        ear: EndpointingVAD,
        *,
        by: Endpointing = Endpointing.PAUSE,
        times: TurnEndTimes | None = None,
        learned: LearnedPause | None = None,
        analyzer: BaseTurnAnalyzer | None = None,
    ):
        self._processor = processor
        self._ear = ear
        self._ends = EndpointPolicy(by, times=times, learned=learned)
        self._is_shared_model = by is Endpointing.SMART_TURN and analyzer is None
        self._analyzer = PhoneSmartTurn() if self._is_shared_model else analyzer
        self._asking: asyncio.Task[None] | None = None

    @property
    def learned(self) -> LearnedPause:
        """What has been learned of the caller's pauses."""
        return self._ends.learned

    def keep_to_pause(self) -> None:
        """Lets the pause that is set end turns from here on, and nothing else."""
        self._ends.keep_to_pause()

    async def set_up(self) -> None:
        """Builds the model, off the event loop, if this is the first call that needs it."""
        if self._analyzer is not None:
            self._analyzer.set_sample_rate(SAMPLE_RATE)
        if self._is_shared_model:
            await smart_turn.warm_up()

    async def clean_up(self) -> None:
        """Asks no more, and lets go of the analyzer."""
        asking, self._asking = self._asking, None
        if asking is not None:
            await self._processor.cancel_task(asking)
        if self._analyzer is not None:
            await self._analyzer.cleanup()

    def note(self, frame: Frame) -> None:
        """Takes in whether the bot is heard."""
        if isinstance(frame, BotStartedSpeakingFrame):
            self._ends.bot_started()
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._ends.bot_stopped()

    def hear(self, pcm: bytes) -> TurnLikelyOverFrame | None:
        """Judges what the VAD made of some audio, once it has.

        Args:
            pcm: The audio, 16-bit mono at 8 kHz.

        Returns:
            What there is to be told of it.
        """
        ear, ends, was_speaking = self._ear, self._ends, self._ends.speaks
        ends.hear(
            len(pcm) / _BYTES_PER_SECOND,
            speaks=ear.is_certain,
            speech_secs=ear.speech_secs,
            silence_secs=ear.silence_secs,
        )
        if self._analyzer is not None:
            if was_speaking and not ends.speaks:
                self._analyzer.clear()
            self._analyzer.append_audio(pcm, ear.is_certain and ear.silence_secs == 0.0)
            if self._asking is None and ends.asks():
                asking = self._ask(self._analyzer, ends.pause)
                self._asking = self._processor.create_task(asking, "smart-turn")
        return self._act()

    def _act(self) -> TurnLikelyOverFrame | None:
        self._ear.end_after(self._ends.silence_needed(self._ear.pause_secs))
        if not self._ends.is_news():
            return None
        return TurnLikelyOverFrame(self._ends.silence_secs, self._ends.probability)

    async def _ask(self, analyzer: BaseTurnAnalyzer, pause: int) -> None:
        probability = None
        try:
            state, metrics = await analyzer.analyze_end_of_turn()
            if isinstance(metrics, TurnMetricsData):
                probability = metrics.probability
                await self._processor.push_frame(MetricsFrame(data=[metrics]))
            elif state is EndOfTurnState.COMPLETE:
                probability = 1.0
        except Exception as error:
            # Without an answer the pause ends the turn, so the call goes on.
            reason = f"expected an answer of {type(analyzer).__name__}, got {type(error).__name__}"
            await self._processor.push_error(
                reason, exception=error, category=ErrorCategory.APPLICATION
            )
        self._asking = None
        self._ends.take_answer(pause, probability)
        if (news := self._act()) is not None:
            await self._processor.push_frame(news)
