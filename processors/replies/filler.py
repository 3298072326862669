"""A few words for the caller while the LLM is still thinking, where it would else be silent."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EagerEndOfTurnCancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from twilio_frames.frames import CallAwayFrame, CallBackFrame, DigitsWantedFrame
from twilio_frames.processors.replies.deadline import Deadline

__all__ = ["FillerFrame", "SilenceFiller"]

FILLERS = ("One moment, please.", "Just a second.", "Let me see.")
"""What is said, in turn."""

FILLER_AFTER = 1.8
"""Seconds of silence that callers bear; from about two on they ask whether anybody is there."""

_RESUMES_WITHIN = 1.0


@dataclass
class FillerFrame(TTSSpeakFrame):
    """A filler. The LLM never knows of it.

    Parameters:
        append_to_context: Whether it is remembered: it is not.
    """

    append_to_context: bool = False


class FillsSilence(FrameProcessor):
    """Mixin of an LLM service, before it in the list of bases: it says a filler when it is slow.

    None is said while the caller is asked for digits, or is away from the line.

    The silence counts from the end of the caller's turn, or from the last that the bot was heard.
    When it has lasted for ``filler_after`` while a response is being made or a function runs that
    the response waits for, one of the fillers is spoken: at most one for each turn of the caller,
    none while the bot or the caller speaks, none for a turn that brings no response. A response
    that stops coming behind its first sentence is not filled: what is put in there, a TTS service
    speaks behind it. A filler is a :class:`FillerFrame`; an interruption drops it like all other
    speech.

    Several of these may stand one behind the other, a service and a :class:`SilenceFiller` say:
    each lets one filler pass in a turn, its own or another's, so the caller hears one. Whatever
    else is said meanwhile and not remembered counts as the turn's filler too.

    Args:
        fillers: What is said, one after the other.
        filler_after: Seconds of silence; None to say nothing.
        **kwargs: Passed on.
    """

    def __init__(
        self,
        *,
        fillers: Sequence[str] = FILLERS,
        filler_after: float | None = FILLER_AFTER,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._fillers = cycle(fillers) if fillers and filler_after is not None else None
        self._filler_after = filler_after or 0.0
        self._silence = Deadline(self._fill)
        self._watch: asyncio.Task[None] | None = None
        self._quiet_since = 0.0
        self._waits_since: float | None = None
        self._is_used = False
        self._responds = False
        self._is_answered = False
        self._functions_due: set[str] = set()
        self._caller_is_heard = False
        self._bot_is_heard = False
        self._pauses: set[type[Frame]] = set()

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes it, and takes note of what it says about the silence; not a second filler."""
        if isinstance(frame, FillerFrame):
            if self.has_filled:
                return
            # Ahead of the push, in which another may come.
            self._is_used = True
        await super().push_frame(frame, direction)
        self._take(frame)
        self._wait_or_not()

    @property
    def has_filled(self) -> bool:
        """Whether the filler of the caller's turn has been said."""
        return self._is_used

    @property
    def is_awaited(self) -> bool:
        """Whether a response is being made, or waits for a function."""
        return self._responds or bool(self._functions_due)

    def expect_response(self) -> None:
        """Says that a response is asked for, where that is known ahead of its first frame."""
        self._begin_response()
        self._wait_or_not()

    async def cleanup(self) -> None:
        """Says nothing any more."""
        self._fillers = None
        watch, self._watch = self._watch, None
        if watch is not None:
            await self.cancel_task(watch)
        await super().cleanup()

    def _take(self, frame: Frame) -> None:
        match frame:
            case UserStartedSpeakingFrame() | InterruptionFrame() | EndFrame() | CancelFrame():
                self._stop_waiting()
                self._caller_is_heard = isinstance(frame, UserStartedSpeakingFrame)
            case EagerEndOfTurnCancelFrame():
                self._stop_waiting()
            case UserStoppedSpeakingFrame():
                self._caller_is_heard = False
                self._begin_to_wait()
                if self._is_answered:
                    self._waits_since = None
            case BotStartedSpeakingFrame():
                self._bot_is_heard = True
            case BotStoppedSpeakingFrame():
                self._bot_is_heard = False
                self._quiet_since = time.monotonic()
            case TTSSpeakFrame():
                self._quiet_since = time.monotonic()
                if self.is_awaited and not frame.append_to_context:
                    self._is_used = True
            case DigitsWantedFrame(is_wanted=is_wanted):
                self._pause(DigitsWantedFrame, is_wanted)
            case CallAwayFrame() | CallBackFrame():
                self._pause(CallAwayFrame, isinstance(frame, CallAwayFrame))
            case _:
                self._take_response(frame)

    def _pause(self, reason: type[Frame], is_paused: bool) -> None:
        """The caller is busy, with their keys or elsewhere: nobody waits for a word."""
        (self._pauses.add if is_paused else self._pauses.discard)(reason)
        self._quiet_since = time.monotonic()

    def _take_response(self, frame: Frame) -> None:
        match frame:
            case LLMFullResponseStartFrame():
                self._begin_response()
            case LLMTextFrame() if frame.text.strip():
                self._is_answered = True
                self._quiet_since = time.monotonic()
            case LLMFullResponseEndFrame():
                self._responds = False
                self._end_if_all_is_said()
            case FunctionCallsStartedFrame():
                self._functions_due |= {call.tool_call_id for call in frame.function_calls}
            case FunctionCallInProgressFrame() if not frame.cancel_on_interruption:
                # The conversation goes on without its result.
                self._functions_due.discard(frame.tool_call_id)
                self._end_if_all_is_said()
            case FunctionCallResultFrame() | FunctionCallCancelFrame():
                self._functions_due.discard(frame.tool_call_id)
                if not self._functions_due and self._waits_since is not None:
                    # The response that follows it is part of the same wait.
                    self._waits_since = time.monotonic()
            case _:
                pass

    def _begin_response(self) -> None:
        if not self.is_awaited and (self._waits_since is None or self._has_lost_touch()):
            self._begin_to_wait()
        self._responds, self._is_answered = True, False

    def _begin_to_wait(self) -> None:
        self._quiet_since = self._waits_since = time.monotonic()

    def _has_lost_touch(self) -> bool:
        """Whether this response belongs to nothing that was waited for, an idle bot's say."""
        last = max(self._waits_since or 0.0, self._quiet_since)
        return time.monotonic() - last > self._filler_after + _RESUMES_WITHIN

    def _end_if_all_is_said(self) -> None:
        if not self.is_awaited:
            self._waits_since = None

    def _stop_waiting(self) -> None:
        self._responds = self._is_answered = self._is_used = False
        self._waits_since = None
        self._functions_due.clear()

    def _is_due(self) -> bool:
        somebody_speaks = self._bot_is_heard or self._caller_is_heard or self._pauses
        may_fill = self._fillers is not None and not self.has_filled
        return may_fill and self.is_awaited and not somebody_speaks

    def _wait_or_not(self) -> None:
        # Nothing is awaited here: who pushes a frame may be about to be interrupted.
        if not self._is_due():
            self._silence.clear()
            return
        self._silence.set(self._quiet_since + self._filler_after - time.monotonic())
        self._watch = self._watch or self.create_task(self._silence.run(), "silence")

    async def _fill(self) -> None:
        if self._fillers is not None:
            await self.push_frame(FillerFrame(next(self._fillers)))


class SilenceFiller(FillsSilence):
    """The same as a processor of its own, right behind any LLM service of a pipeline.

    Args:
        fillers: What is said, one after the other.
        filler_after: Seconds of silence; None to say nothing.
        **kwargs: Passed to Pipecat's ``FrameProcessor``.
    """

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets everything pass."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
