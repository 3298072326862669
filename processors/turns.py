"""When the caller's turn begins: at once while the bot is silent, with care while it is heard.

While the bot is heard, the output falls silent by itself at the first sound of speech, and keeps
what it had to say (:class:`twilio_frames.frames.BotHeldFrame`). So there is time to find out
whether the caller wants to speak: the caller goes on speaking, or says words that are more than
'uh-huh'. Then the turn begins, and the bot is interrupted. Else it was a false alarm, and a
:class:`twilio_frames.frames.ResumeFrame` lets the bot say on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from loguru import logger
from pipecat.audio.vad.vad_analyzer import VAD_STOP_SECS
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    SpeechControlParamsFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.stt_latency import DEFAULT_TTFS_P99
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import BaseUserTurnStartStrategy

from twilio_frames.frames import BotHeldFrame, CallerSpeakingFrame, ResumeFrame
from twilio_frames.processors.backchannels import Backchannels

__all__ = ["UNINTELLIGIBLE", "ConfirmedUserTurnStartStrategy"]

UNINTELLIGIBLE = "[unintelligible]"
"""What the keyless recogniser gives for speech it could not understand."""

_SHORTEST_WAIT = 0.3


class ConfirmedUserTurnStartStrategy(BaseUserTurnStartStrategy):
    """Begins the caller's turn; while the bot is heard, only once it is clear that one is wanted.

    To be used alone: it does what Pipecat's VAD and transcription strategies do while the bot is
    silent.

    Args:
        confirm_secs: Speech of this length is a turn, whatever its words are.
        backchannels: What is said without wanting to speak; English if left out.
        not_words: Transcripts that stand for speech without words.
        words_secs: How long to wait for the words after the VAD has heard the end of speech; by
            default as long as the speech recogniser says it takes.
        nearly_done_secs: With no more than this left to say, the bot has said what it wanted:
            'yes' is then an answer, not a backchannel.
        **kwargs: Pipecat's own.
    """

    def __init__(
        self,
        *,
        confirm_secs: float = 0.8,
        backchannels: Backchannels | None = None,
        not_words: Iterable[str] = (UNINTELLIGIBLE,),
        words_secs: float | None = None,
        nearly_done_secs: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._confirm_secs = confirm_secs
        self._backchannels = backchannels or Backchannels.of("en")
        self._not_words = frozenset(not_words)
        self._words_secs = words_secs
        self._nearly_done_secs = nearly_done_secs
        self._vad_stop_secs = VAD_STOP_SECS
        self._recogniser_secs = DEFAULT_TTFS_P99
        self._bot_is_heard = False
        self._left_secs: float | None = None
        self._caller_speaks = False
        self._in_turn = False
        self._undecided = False
        self._acknowledges = False
        self._timer: asyncio.Task[None] | None = None

    async def cleanup(self):
        """Stops waiting."""
        await super().cleanup()
        await self._stop_timer()

    async def handle_user_turn_started(self):
        """The turn has begun, by this strategy or by another."""
        self._in_turn = True
        await self._settle()

    async def handle_user_turn_stopped(self):
        """The turn is over."""
        self._in_turn = False

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Takes in what the bot and the caller do; STOP if the turn begins by it."""
        match frame:
            case SpeechControlParamsFrame(vad_params=params) if params is not None:
                self._vad_stop_secs = params.stop_secs
            case STTMetadataFrame():
                self._recogniser_secs = frame.ttfs_p99_latency
            case BotStartedSpeakingFrame():
                self._bot_is_heard, self._left_secs = True, None
            case BotHeldFrame():
                self._left_secs = frame.left_secs
            case BotStoppedSpeakingFrame():
                self._bot_is_heard = False
                if self._undecided and self._caller_speaks:
                    return await self._begin()
            case _ if not self._in_turn:
                return await self._take_caller(frame)
            case VADUserStartedSpeakingFrame() | VADUserStoppedSpeakingFrame():
                self._caller_speaks = isinstance(frame, VADUserStartedSpeakingFrame)
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    async def _take_caller(self, frame: Frame) -> ProcessFrameResult:
        match frame:
            case VADUserStartedSpeakingFrame():
                return await self._speech_started()
            case CallerSpeakingFrame() if self._undecided:
                # This counts speech alone, which is better than the clock.
                await self._stop_timer()
                if frame.speech_secs >= self._confirm_secs * (2 if self._acknowledges else 1):
                    return await self._begin()
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = False
                if self._undecided:
                    await self._start_timer(self._wait_for_words_secs(), self._false_alarm)
            case InterimTranscriptionFrame() | TranscriptionFrame():
                return await self._take_words(frame)
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    async def _speech_started(self) -> ProcessFrameResult:
        self._caller_speaks = True
        if not self._bot_is_heard:
            return await self._begin()
        if not self._undecided:
            self._undecided, self._left_secs = True, None
        # Until the VAD has heard silence for its stop_secs it takes the caller to be speaking.
        await self._start_timer(self._confirm_secs + self._vad_stop_secs, self._confirm)
        return ProcessFrameResult.CONTINUE

    async def _take_words(
        self, frame: InterimTranscriptionFrame | TranscriptionFrame
    ) -> ProcessFrameResult:
        text = frame.text.strip()
        if not text:
            return ProcessFrameResult.CONTINUE
        if not self._bot_is_heard:
            return await self._begin()
        is_backchannel = self._backchannels.cover(text)
        if text not in self._not_words and not is_backchannel:
            return await self._begin()
        self._acknowledges = self._acknowledges or is_backchannel
        if isinstance(frame, InterimTranscriptionFrame) or self._caller_speaks:
            return ProcessFrameResult.CONTINUE
        if self._has_nearly_finished():
            return await self._begin()
        await self._false_alarm()
        if is_backchannel:
            await self._tell_backchannel(frame)
        return ProcessFrameResult.CONTINUE

    def _has_nearly_finished(self) -> bool:
        return self._left_secs is not None and self._left_secs <= self._nearly_done_secs

    def _wait_for_words_secs(self) -> float:
        if self._words_secs is not None:
            return self._words_secs
        return max(_SHORTEST_WAIT, self._recogniser_secs - self._vad_stop_secs)

    async def _begin(self) -> ProcessFrameResult:
        await self._confirm()
        return ProcessFrameResult.STOP

    async def _confirm(self) -> None:
        await self._settle()
        await self.trigger_user_turn_started()

    async def _false_alarm(self) -> None:
        was_undecided = self._undecided
        await self._settle()
        # What was said so stays out of the conversation.
        await self.trigger_reset_aggregation()
        if was_undecided:
            logger.debug(f"{self}: false alarm, the bot says on")
            await self.broadcast_frame(ResumeFrame)

    async def _tell_backchannel(self, frame: Frame) -> None:
        # Known to Pipecat since 1.14.
        try:
            from pipecat.frames.frames import UserBackchannelFrame
        except ImportError:
            return
        if isinstance(frame, TranscriptionFrame):
            await self.push_frame(
                UserBackchannelFrame(
                    text=frame.text, user_id=frame.user_id, timestamp=frame.timestamp
                )
            )

    async def _settle(self) -> None:
        self._undecided = self._acknowledges = False
        self._left_secs = None
        await self._stop_timer()

    async def _start_timer(self, secs: float, decide: Callable[[], Awaitable[None]]) -> None:
        await self._stop_timer()
        self._timer = self.create_task(self._decide_after(secs, decide), "decide")

    async def _decide_after(self, secs: float, decide: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(secs)
        self._timer = None
        await decide()

    async def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            await self.cancel_task(timer)
