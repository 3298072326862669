"""A few words for the caller while the LLM is still thinking, where it would else be silent."""

import asyncio
import time
from collections.abc import Sequence
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

__all__ = ["FILLERS", "FILLER_AFTER", "FillsSilence", "SilenceFiller"]

FILLERS = ("One moment, please.", "Just a second.", "Let me see.")
"""What is said, in turn."""

FILLER_AFTER = 1.8
"""Seconds of silence that callers bear; from about two on they ask whether anybody is there."""

_RESUMES_WITHIN = 1.0


class FillsSilence(FrameProcessor):
    """Mixin of an LLM service, before it in the list of bases: it says a filler when it is slow.

    The silence counts from the end of the caller's turn, or from the last that the bot was heard.
    When it has lasted for ``filler_after`` while a response is being made or a function runs that
    the response waits for, one of the fillers is spoken: at most one for each turn of the caller,
    none while the bot or the caller speaks, none for a turn that brings no response. A response
    that stops coming behind its first sentence is not filled: what is put in there, a TTS service
    speaks behind it. A filler is a ``TTSSpeakFrame`` that does not enter the context, so the LLM
    never knows; an interruption drops it like all other speech.

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
        self._filling: asyncio.Task[None] | None = None
        self._quiet_since = 0.0
        self._waits_since: float | None = None
        self._is_used = False
        self._responds = False
        self._is_answered = False
        self._functions_due: set[str] = set()
        self._caller_is_heard = False
        self._bot_is_heard = False

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes it, and takes note of what it says about the silence."""
        await super().push_frame(frame, direction)
        if self._fillers is not None:
            self._take(frame)
            await self._wait_or_not()

    async def cleanup(self) -> None:
        """Says nothing any more."""
        self._responds = False
        self._functions_due.clear()
        await self._wait_or_not()
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
            case _:
                self._take_response(frame)

    def _take_response(self, frame: Frame) -> None:
        match frame:
            case LLMFullResponseStartFrame():
                if self._waits_since is None or self._has_lost_touch():
                    self._begin_to_wait()
                self._responds, self._is_answered = True, False
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

    def _begin_to_wait(self) -> None:
        self._quiet_since = self._waits_since = time.monotonic()
        self._is_used = False

    def _has_lost_touch(self) -> bool:
        """Whether this response belongs to nothing that was waited for, an idle bot's say."""
        last = max(self._waits_since or 0.0, self._quiet_since)
        return time.monotonic() - last > self._filler_after + _RESUMES_WITHIN

    def _end_if_all_is_said(self) -> None:
        if not self._responds and not self._functions_due:
            self._waits_since = None

    def _stop_waiting(self) -> None:
        self._responds = self._is_answered = False
        self._waits_since = None
        self._functions_due.clear()

    def _is_due(self) -> bool:
        waits = self._responds or bool(self._functions_due)
        somebody_speaks = self._bot_is_heard or self._caller_is_heard
        return waits and not somebody_speaks and not self._is_used

    async def _wait_or_not(self) -> None:
        if self._is_due():
            self._filling = self._filling or self.create_task(self._fill(), "filler")
        elif self._filling is not None:
            filling, self._filling = self._filling, None
            await self.cancel_task(filling)

    async def _fill(self) -> None:
        # Words put the end off while this waits for it.
        while (left := self._quiet_since + self._filler_after - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        # From here on it is not to be cancelled by what it does itself.
        self._filling = None
        self._is_used = True
        if self._fillers is not None:
            await self.push_frame(TTSSpeakFrame(next(self._fillers), append_to_context=False))


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
