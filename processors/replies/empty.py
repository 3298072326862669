"""Replies in which nothing is said: whoever waits for one would wait in silence."""

import asyncio
import unicodedata

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    EndWorkerFrame,
    ErrorFrame,
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    TextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.utils.errors import ErrorCategory

from twilio_frames.processors.clips import SpeakClipFrame
from twilio_frames.processors.pipeline.gates import parts_around, parts_in
from twilio_frames.processors.replies.apology import ReplyApology
from twilio_frames.processors.replies.filler import FillerFrame

__all__ = ["EmptyReplies", "is_answer", "is_cut_off", "is_speakable", "may_be_empty"]

_ACTS = (
    *(FunctionCallsStartedFrame, FunctionCallInProgressFrame, SpeakClipFrame),
    *(EndFrame, EndWorkerFrame, CancelFrame),
)


def is_speakable(text: str) -> bool:
    """Whether there is anything in a text that a voice can say: not in spaces, dots and dashes."""
    return any(unicodedata.category(char)[0] in "LNS" for char in text)


def is_answer(frame: Frame) -> bool:
    """Whether a frame that an LLM pushes in a reply is one: words, a function's call, the end."""
    match frame:
        case FillerFrame():
            return False
        case TextFrame() | TTSSpeakFrame():
            return is_speakable(frame.text)
        case _:
            return isinstance(frame, _ACTS)


def may_be_empty(context: LLMContext) -> bool:
    """Whether a function's result came last: then there may be nothing to say."""
    messages = context.get_messages()
    last = messages[-1] if messages else None
    return isinstance(last, dict) and last.get("role") == "tool"


def is_cut_off() -> bool:
    """Whether a reply that is being ended was interrupted: services end those as well."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class EmptyReplies:
    """Has the apology said in the place of each reply of an LLM service that is empty.

    For services that do not look themselves: whatever they met, the caller waits. A reply that was
    interrupted is none.

    Args:
        llm: The service.
        apology: What is said; empty to stay silent.
    """

    def __init__(self, llm: LLMService, apology: str):
        self._apology = ReplyApology(apology)
        self._is_realtime = False
        self._has_answered = True
        self._has_failed = False
        llm.add_event_handler("on_before_process_frame", self._takes)
        llm.add_event_handler("on_before_push_frame", self._pushes)

    @classmethod
    def behind(cls, source: FrameProcessor, apology: str) -> "list[EmptyReplies]":
        """Looks after the services of a pipeline, but for those that say ``judges_replies``.

        Args:
            source: Of a pipeline that is being set up: its transport's input.
            apology: What is said.
        """
        _, parts = parts_around(source)
        judges = [part for part in parts if getattr(part, "judges_replies", False)]
        judged = {*judges, *(inner for judge in judges for inner in parts_in(judge))}
        return [
            cls(part, apology)
            for part in parts
            if isinstance(part, LLMService) and part not in judged
        ]

    def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, LLMContextFrame):
            self._has_answered = may_be_empty(frame.context)
            self._has_failed = False

    async def _pushes(self, llm: FrameProcessor, frame: Frame) -> None:
        match frame:
            case LLMServiceMetadataFrame():
                # It speaks itself: no voice would say what is put into its reply.
                self._is_realtime = frame.is_realtime_service
            case ErrorFrame() if frame.processor is llm:
                self._has_failed = True
            case LLMFullResponseEndFrame():
                await self._judge(llm)
            case _ if is_answer(frame):
                self._has_answered = True
            case _:
                pass

    async def _judge(self, llm: FrameProcessor) -> None:
        if self._has_answered or self._is_realtime or is_cut_off():
            return
        self._has_answered = True
        if not self._has_failed:
            await llm.push_error(
                "expected a reply with words or a function call, got an empty one",
                category=ErrorCategory.SERVER,
            )
        if apology := self._apology.take():
            await llm.push_frame(LLMTextFrame(apology))
