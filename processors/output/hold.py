"""When the bot falls silent for its caller, and when it says on.

Speech that is likely holds the bot *in doubt*, before the VAD is certain: if it was no speech, the
bot says on as soon as that shows. Speech that is certain holds it until it is an interruption, or
somebody who knows more (a turn strategy, the recogniser) says that it was a false alarm; at last,
until the words would have been there, whichever turn strategy is at work.
"""

import asyncio
import time
from collections.abc import Callable

from pipecat.frames.frames import (
    SystemFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.frames import (
    BotHeldFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    HoldFrame,
    NoWordsFrame,
    ResumeFrame,
    WordsAwaitedFrame,
)
from twilio_frames.processors.output.pacer import OutputPacer
from twilio_frames.processors.turns.recogniser_pace import RecogniserPace
from twilio_frames.processors.turns.starts import VAD_LAG_SECS
from twilio_frames.protocol.holding import DOUBT, HoldPolicy

LONGEST_HOLD = 5.0
"""Seconds of a sound that goes on, a television's say, after which the bot says on over it."""

# The strategy that is told the words decides first.
_BEYOND_THE_WORDS = 0.05
_SECOND_THOUGHTS = 3.0


class Hold:
    """Holds a pacer while the caller may want to speak.

    Args:
        processor: In whose name tasks run and frames are pushed.
        pacer: What is held.
        hold_secs: How long at most behind the end of the caller's speech, unless the words take
            longer; None if the bot is never held.
        left_secs: Gives how much is left to say, as far as that is known.
    """

    def __init__(
        self,
        processor: FrameProcessor,
        pacer: OutputPacer,
        *,
        hold_secs: float | None,
        left_secs: Callable[[], float | None],
    ):
        self._processor = processor
        self._pacer = pacer
        self._hold_secs = hold_secs
        self._left_secs = left_secs
        self._policy = HoldPolicy()
        self._resuming: asyncio.Task[None] | None = None
        self._alarmed_at = -_SECOND_THOUGHTS
        self._is_in_doubt = False
        self._has_given_up = False
        self._caller_is_muted = False
        self._caller_speaks = False
        self._caller_is_heard = False
        self._in_turn = False
        self._pace = RecogniserPace(0.0)
        self._words_due_at = 0.0

    async def follow(self, frame: SystemFrame) -> None:
        """Does what the caller's side asks for."""
        self._pace.note(frame)
        match frame:
            case UserMuteStartedFrame():
                self._caller_is_muted = True
                await self._resume(alarm=0.0)
            case UserMuteStoppedFrame():
                self._caller_is_muted = False
            case WordsAwaitedFrame():
                self._words_due_at = time.monotonic() + frame.secs
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._in_turn = isinstance(frame, UserStartedSpeakingFrame)
            case _ if self._caller_is_muted:
                pass
            case ResumeFrame():
                # Whoever lets the bot say on over a sound means it.
                self._has_given_up = self._has_given_up or self._caller_is_heard
                await self._resume()
            case HoldFrame() if not self._in_turn:
                await self._hold_ahead()
            case NoWordsFrame() if self._pacer.is_held and not self._caller_speaks:
                await self._resume()
            case _:
                await self._follow_caller(frame)

    async def _follow_caller(self, frame: SystemFrame) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                await self.stop()
                self._caller_speaks = self._caller_is_heard = True
                self._is_in_doubt = self._has_given_up = False
                await self._maybe_hold(0.0)
            case CallerSpeakingFrame():
                self._caller_is_heard = True
                if not (self._pacer.is_held or self._has_given_up):
                    await self._maybe_hold(frame.speech_secs, is_certain=frame.is_certain)
            case CallerPausedFrame():
                self._caller_is_heard = False
                if self._is_in_doubt:
                    await self._resume(alarm=DOUBT)
                elif self._pacer.is_held and self._left_to_wait(frame.silence_secs) <= 0.0:
                    await self._resume()
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = self._caller_is_heard = False
                if self._pacer.is_held:
                    await self._resume_in(self._left_to_wait(frame.stop_secs))
            case _:
                pass

    async def fall_silent(self) -> None:
        """An interruption is on its way; should it never come, the bot says on."""
        await self._pacer.hold_ahead()
        if self._pacer.is_held:
            await self._resume_in(LONGEST_HOLD)

    async def interrupting(self, *, is_protected: bool) -> None:
        """The caller did want to speak.

        Args:
            is_protected: Whether the bot says on all the same.
        """
        await self.stop()
        self._is_in_doubt = False
        now = time.monotonic()
        was_held = self._pacer.is_held or now - self._alarmed_at < _SECOND_THOUGHTS
        if was_held and not is_protected:
            self._policy.confirmed(now)

    async def stop(self) -> None:
        """Lets the bot say on by itself no more."""
        task, self._resuming = self._resuming, None
        if task is not None:
            await self._processor.cancel_task(task)

    async def _maybe_hold(self, speech_secs: float, *, is_certain: bool = True) -> None:
        left_secs = self._left_secs()
        may_hold = self._hold_secs is not None and self._policy.may_hold(
            time.monotonic(), speech_secs, is_certain=is_certain
        )
        if may_hold and await self._pacer.hold():
            await self._processor.broadcast_frame(BotHeldFrame, left_secs=left_secs)
        if not self._pacer.is_held:
            return
        if is_certain:
            await self._resume_in(LONGEST_HOLD)
        else:
            self._is_in_doubt = True
            await self._resume_in(self._left_to_wait(0.0))

    async def _hold_ahead(self) -> None:
        if self._hold_secs is not None and await self._pacer.hold_ahead():
            wait = LONGEST_HOLD if self._caller_speaks else self._left_to_wait(0.0)
            await self._resume_in(wait)

    async def _resume(self, *, alarm: float = 1.0) -> None:
        await self.stop()
        await self._say_on(alarm)

    async def _say_on(self, alarm: float) -> None:
        self._is_in_doubt = False
        if self._pacer.is_held:
            if alarm and not self._pacer.is_held_ahead:
                self._alarmed_at = time.monotonic()
                self._policy.false_alarm(self._alarmed_at, alarm)
            await self._pacer.resume()

    def _left_to_wait(self, silence_secs: float) -> float:
        """Seconds until the words would have been there, and a moment; so long after the sound."""
        words_secs = max(self._hold_secs or 0.0, self._pace.secs) + _BEYOND_THE_WORDS
        asked_secs = self._words_due_at - time.monotonic() + _BEYOND_THE_WORDS
        return max(words_secs - VAD_LAG_SECS - silence_secs, asked_secs, 0.0)

    async def _resume_in(self, secs: float) -> None:
        await self.stop()
        self._resuming = self._processor.create_task(self._wait_and_resume(secs))

    async def _wait_and_resume(self, secs: float) -> None:
        await asyncio.sleep(secs)
        self._resuming = None
        self._has_given_up = True
        await self._say_on(1.0)
