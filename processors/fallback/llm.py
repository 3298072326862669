"""LLMs that stand by for one another."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    LLMThoughtTextFrame,
    TTSSpeakFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.llm_switcher import LLMSwitcher
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService

from twilio_frames.processors.fallback.branches import RecentIds
from twilio_frames.processors.fallback.switch import Fallback, FallbackOptions, FallbackStrategy
from twilio_frames.processors.fallback.vendor_health import FailureKind, VendorRole
from twilio_frames.processors.llm import ApologyFrame
from twilio_frames.processors.replies.apology import ReplyApology
from twilio_frames.processors.replies.continuation import Continuation, to_go_on
from twilio_frames.processors.replies.empty import is_answer, is_cut_off, is_speakable, may_be_empty
from twilio_frames.processors.replies.filler import (
    FILLER_AFTER,
    FILLERS,
    FillerFrame,
    FillsSilence,
)

_FUNCTION_FRAMES = (FunctionCallInProgressFrame, FunctionCallResultFrame, FunctionCallCancelFrame)
_REPLY_FRAMES = (
    LLMFullResponseStartFrame,
    LLMTextFrame,
    LLMFullResponseEndFrame,
    TTSSpeakFrame,
)
# What LLM services say by themselves. Whatever else they have spoken, a function says.
_OWN_SPEECH = (FillerFrame, ApologyFrame)


@dataclass(slots=True)
class _Reply:
    """A reply in progress.

    Parameters:
        frame: What asked for it.
        given_at: When the LLM that is at it was asked.
        is_speculative: Whether it is held until the caller's turn is known to be over.
        is_open: Whether its beginning has been announced.
        said: What has been said of it, in whole words.
        has_come: Whether the LLM that is at it has begun to answer.
        has_called: Whether it called functions.
        has_answered: Whether anything was said or done.
        words: Tells what to say of the words of the LLM that is at it.
    """

    frame: LLMContextFrame
    given_at: float = field(default_factory=time.monotonic)
    is_speculative: bool = False
    is_open: bool = False
    said: str = ""
    has_come: bool = False
    has_called: bool = False
    has_answered: bool = False
    words: Continuation = field(default_factory=Continuation)


class LLMFallback(FillsSilence, Fallback, LLMSwitcher[FallbackStrategy]):
    """LLMs of which the next takes over when one fails or keeps the caller waiting.

    It stands where one LLM service stands. Functions registered on it are registered on all. A
    reply that was not begun, or in which nothing is said, is asked of the next LLM with the same
    conversation. One that was begun
    is gone on with from the word where it broke off; functions that were called are not called
    again. While the caller waits too long, a filler is said, once a turn, see
    :class:`twilio_frames.processors.replies.filler.FillsSilence`; services that would say their own
    leave it to the fallback. If none of them answers, an apology is said, and the call goes on.

    Example::

        llm = LLMFallback([PhoneOpenAILLMService(api_key=key), local_llm])
    """

    role = VendorRole.LLM
    judges_replies: ClassVar[bool] = True

    def __init__(
        self,
        services: Sequence[LLMService[Any]],
        *,
        patience_secs: float = 3.0,
        fillers: Sequence[str] = FILLERS,
        filler_after: float | None = FILLER_AFTER,
        apology: str = "I'm sorry, I can't answer right now. Please try again in a moment.",
        **options: Unpack[FallbackOptions],
    ):
        """Makes the fallback of one call.

        Args:
            services: LLM services in order of preference, at least two.
            patience_secs: Seconds that an LLM may take for its first piece of text, and for each
                next one. It should be less than the time limits of the services themselves.
            fillers: Said one after the other when the caller would wait in silence.
            filler_after: Seconds of silence after which one is; None for never.
            apology: Said when none of the services answers; empty to stay silent.
            **options: See :class:`FallbackOptions`.
        """
        super().__init__(services=services, fillers=fillers, filler_after=filler_after, **options)
        self._patience_secs = patience_secs
        self._apology = ReplyApology(apology)
        self._replies: list[_Reply] = []
        self._has_given_up = False
        self._speech_let_in = RecentIds()
        self._token = self.deadline(self._token_is_late)

    @property
    def is_at_work(self) -> bool:
        """Whether the caller waits for a reply."""
        return any(not reply.is_speculative for reply in self._replies)

    @property
    def is_awaited(self) -> bool:
        """Whether there is a reply to come, whether or not an LLM has begun it."""
        return bool(self._replies) or super().is_awaited

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follows the conversation; has a reply made by the first LLM that may."""
        if direction is FrameDirection.DOWNSTREAM:
            match frame:
                case LLMContextFrame():
                    if not self._replies:
                        await self.choose()
                    self.expect_response()
                    self._ask(frame)
                case InterruptionFrame():
                    self._forget()
                case UserStoppedSpeakingFrame() if self._replies:
                    if self._replies[0].is_speculative:
                        self._replies[0].is_speculative = False
                        self._await_token()
                case EagerEndOfTurnCancelFrame():
                    if self._replies and self._replies[0].is_speculative:
                        self._forget()
        await super().process_frame(frame, direction)

    def _ask(self, frame: LLMContextFrame) -> None:
        is_speculative = frame.speculation
        self._has_given_up = False
        self._replies.append(_Reply(frame=frame, is_speculative=is_speculative))
        if len(self._replies) == 1 and not is_speculative:
            self._await_token()

    def _await_token(self) -> None:
        self._token.set(self._patience_secs)

    def _forget(self) -> None:
        self._replies.clear()
        self.progress.set()
        self._token.clear()

    def accepts_downstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame reaches a service; what asks for a reply is kept with the reply."""
        is_in = super().accepts_downstream(service, frame)
        if isinstance(frame, LLMContextFrame):
            self.owed.drop(frame)
        elif isinstance(frame, TTSSpeakFrame):
            self._speech_let_in.add(frame.id)
        return is_in

    def accepts_upstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame passes upwards; functions that were called earlier have their results."""
        return super().accepts_upstream(service, frame) or isinstance(frame, _FUNCTION_FRAMES)

    async def filter_output(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        """What becomes of a frame of a service: the reply is told in whole words, once.

        What a function says passes, whichever service called it and whoever works by now.
        """
        if self._replies and service is self.active:
            self._replies[0].has_answered |= is_answer(frame)
        if isinstance(frame, _FUNCTION_FRAMES) or self._is_said_by_function(frame):
            return (frame,)
        is_passing = frame in self.owed
        if isinstance(frame, FillerFrame) and not is_passing:
            return ()
        passed = await super().filter_output(service, frame)
        if is_passing or not passed or not self._replies:
            is_late = self._has_given_up and isinstance(frame, _REPLY_FRAMES)
            return () if is_late and not is_passing else passed
        reply = self._replies[0]
        match frame:
            case LLMFullResponseStartFrame():
                passed = () if reply.is_open else (frame,)
                reply.is_open = True
            case LLMTextFrame():
                if is_speakable(frame.text):
                    self._note_answer(reply)
                passed = self._told(reply, frame)
            case LLMThoughtTextFrame():
                self._await_token()
            case FunctionCallsStartedFrame():
                self._note_answer(reply)
                reply.has_called = True
                self._token.clear()
            case LLMFullResponseEndFrame() if is_cut_off():
                # It may be that of the reply before.
                if reply.is_open:
                    self._end_reply()
            case LLMFullResponseEndFrame() if self._is_empty(service, reply):
                passed = ()
                await self.fail(FailureKind.OTHER)
            case LLMFullResponseEndFrame():
                passed = (*self._rest(reply), frame)
                self._end_reply()
            case _:
                pass
        return passed

    def _is_empty(self, service: FrameProcessor, reply: _Reply) -> bool:
        is_meant = getattr(service, "may_be_silent", False) or may_be_empty(reply.frame.context)
        return not (reply.has_answered or is_meant)

    def _is_said_by_function(self, frame: Frame) -> bool:
        if not isinstance(frame, TTSSpeakFrame) or isinstance(frame, _OWN_SPEECH):
            return False
        return frame.id not in self._speech_let_in

    def _note_answer(self, reply: _Reply) -> None:
        if not reply.has_come:
            reply.has_come = True
            self.health_of[self.active].succeeded(time.monotonic() - reply.given_at)
        self._await_token()

    def _told(self, reply: _Reply, frame: LLMTextFrame) -> Iterable[Frame]:
        text = reply.words.add(frame.text)
        if not text:
            return ()
        reply.said += text
        return (frame if text == frame.text else _same(frame, text),)

    def _rest(self, reply: _Reply) -> Iterable[Frame]:
        text = reply.words.finish()
        return (LLMTextFrame(text),) if text else ()

    def _end_reply(self) -> None:
        self._replies.pop(0)
        self.progress.set()
        self._token.clear()
        if self._replies:
            self._replies[0].given_at = time.monotonic()
            self._await_token()

    def hand_over(self, before: FrameProcessor, service: FrameProcessor) -> list[Frame]:
        """The replies that are not done, ahead of what waits behind them."""
        frames = [self._asked_again(reply) for reply in self._replies]
        if self._replies and not self._replies[0].is_speculative:
            self._await_token()
        return [*frames, *super().hand_over(before, service)]

    def _asked_again(self, reply: _Reply) -> Frame:
        reply.given_at, reply.has_come = time.monotonic(), False
        reply.words = Continuation(reply.said)
        if reply.has_called:
            # Their results ask for the next reply.
            return LLMFullResponseEndFrame()
        context = reply.frame.context
        if is_speakable(reply.said):
            context = to_go_on(context, reply.said)
        frame = LLMContextFrame(context)
        if reply.is_speculative:
            frame.speculation = True
        return frame

    async def _token_is_late(self) -> None:
        if self._replies:
            await self.fail(FailureKind.LATE)

    async def give_up(self) -> None:
        """Apologises in the place of the reply."""
        if not self._replies:
            return
        reply = self._replies[0]
        owed = self.owed.take()
        self._forget()
        self._has_given_up = True
        if not reply.is_open:
            await self.push_frame(LLMFullResponseStartFrame())
        if apology := self._apology.behind(reply.said):
            await self.push_frame(LLMTextFrame(apology))
        await self.push_frame(LLMFullResponseEndFrame())
        for frame in owed:
            await self.push_frame(frame)


def _same(frame: LLMTextFrame, text: str) -> LLMTextFrame:
    """The same with another text."""
    other = type(frame)(text)
    other.skip_tts, other.append_to_context = frame.skip_tts, frame.append_to_context
    return other
