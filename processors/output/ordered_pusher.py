"""What falls due as it is heard, handed on in the order in which it happened.

Pipecat's processors take system frames at once and others one after the other; an interruption
overtakes the others, and drops what has not been taken yet. So whatever an assistant's memory is
made of goes on as a system frame of the same kind: words, the beginning and end of utterances and
of replies, function calls. These never overtake each other, nor does an interruption overtake them.

The results of functions, and what else a pipeline carries, stay as they are: Pipecat's memory looks
in its queue for further results before it asks the LLM. None of these can overtake the frames that
it belongs to.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from types import new_class

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallsStartedFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMThoughtEndFrame,
    LLMThoughtStartFrame,
    LLMThoughtTextFrame,
    SystemFrame,
    TextFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from twilio_frames.processors.clips import SpeakClipFrame

_REMEMBERED = (
    *(TextFrame, TTSStartedFrame, TTSStoppedFrame, LLMAssistantPushAggregationFrame),
    *(LLMFullResponseStartFrame, LLMFullResponseEndFrame, FunctionCallInProgressFrame),
    *(LLMThoughtStartFrame, LLMThoughtTextFrame, LLMThoughtEndFrame),
    # It says whose the words behind it are.
    SpeakClipFrame,
)


class OrderedPusher:
    """The way from the output to the processors behind it.

    Args:
        push: Pushes a frame downstream.
    """

    def __init__(self, push: Callable[[Frame], Awaitable[None]]):
        self._push = push
        self._functions: dict[str, FunctionCallCancelFrame | None] = {}
        self._protected: dict[str | None, TTSStartedFrame] = {}
        self._reopened: set[str | None] = set()
        self._is_interrupting = False
        self.reply_end: Frame | None = None
        """The end of a reply that waits for what comes behind it."""

    def expect(self, frame: FunctionCallsStartedFrame) -> None:
        """Notes function calls that fall due later."""
        self._functions |= {call.tool_call_id: None for call in frame.function_calls}

    def holds_back(self, frame: FunctionCallCancelFrame) -> bool:
        """Keeps the cancellation of a function call that has not fallen due itself.

        Returns:
            False if it is not, or no more: the cancellation may go on.
        """
        if frame.tool_call_id not in self._functions:
            return False
        self._functions[frame.tool_call_id] = frame
        return True

    async def push(self, frame: Frame) -> None:
        """Hands on what fell due."""
        if (end := self.reply_end) is not None:
            self.reply_end = None
            await self._push(_in_order(end))
        if self._is_interrupting and isinstance(frame, LLMFullResponseEndFrame):
            self.reply_end = frame
            return
        await self._push(frame if isinstance(frame, SystemFrame) else _in_order(frame))
        match frame:
            case FunctionCallInProgressFrame():
                cancellation = self._functions.pop(frame.tool_call_id, None)
                if cancellation is not None:
                    # It was cancelled before the words ahead of it had been heard.
                    await self._push(cancellation)
            case TTSStartedFrame() if not frame.interruptible:
                self._protected[frame.context_id] = frame
            case TTSStoppedFrame():
                await self._end_utterance(frame)
            case _:
                pass

    def interrupting(self) -> None:
        """An interruption is coming: where a reply ends right before it, it ends the reply.

        At the end of a reply, the memory of a speech-to-speech model writes what the caller has
        said by then, which may be the words that interrupt, ahead of the reply.
        """
        self._is_interrupting = True

    async def interrupted(self) -> None:
        """It has been handed on: opens a message for what is heard in spite of it."""
        self._is_interrupting, self.reply_end = False, None
        for started in self._protected.values():
            self._reopened.add(started.context_id)
            await self._push(_in_order(_again(started)))

    async def _end_utterance(self, frame: TTSStoppedFrame) -> None:
        self._protected.pop(frame.context_id, None)
        if frame.context_id in self._reopened:
            self._reopened.discard(frame.context_id)
            await self._push(_in_order(LLMAssistantPushAggregationFrame()))


def _in_order(frame: Frame) -> Frame:
    """Makes a system frame of one that the memory takes."""
    if isinstance(frame, _REMEMBERED) and not isinstance(frame, SystemFrame):
        # The frame itself, not a copy: whoever follows it knows it by its id and metadata.
        object.__setattr__(frame, "__class__", _system_kind(type(frame)))
    return frame


@cache
def _system_kind(kind: type[Frame]) -> type[Frame]:
    return new_class(kind.__name__, (kind, SystemFrame))


def _again(started: TTSStartedFrame) -> TTSStartedFrame:
    frame = TTSStartedFrame(started.context_id)
    frame.append_to_context = started.append_to_context
    frame.interruptible = started.interruptible
    frame.transport_destination = started.transport_destination
    return frame
