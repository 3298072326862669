"""What falls due as it is heard, handed on in the order in which it happened.

Pipecat's processors take system frames at once and others one after the other, and an interruption
drops what they have not taken yet. Words are system frames, or an interruption would overtake them.
What else an assistant's memory is made of is not: the beginning and end of replies, function calls.
So that it stands in the memory where it happened, words wait until what fell due before them has
been taken, and function calls that an interruption leaves go on behind it, when the words that were
heard have become a message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallsStartedFrame,
    LLMAssistantPushAggregationFrame,
    SystemFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from twilio_frames.processors.words import HeardTextFrame

# A processor takes two turns of the event loop for a frame; a few may stand before the memory.
_TURNS = 12


@dataclass
class _CancelledFunctionFrame(SystemFrame, FunctionCallInProgressFrame):
    """The beginning of a function call; a system frame, or its cancellation would overtake it."""


class OrderedPusher:
    """The way from the output to the processors behind it.

    Args:
        push: Pushes a frame downstream.
    """

    def __init__(self, push: Callable[[Frame], Awaitable[None]]):
        self._push = push
        self._is_busy = False
        self._kept: list[Frame] | None = None
        self._functions: dict[str, FunctionCallCancelFrame | None] = {}
        self._protected: dict[str | None, TTSStartedFrame] = {}
        self._reopened: set[str | None] = set()

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
        if self._kept is not None and not frame.interruptible and not _is_system(frame):
            self._kept.append(frame)
            return
        match frame:
            case HeardTextFrame():
                await self._let_pass()
            case FunctionCallInProgressFrame():
                await self._begin_function(frame)
                return
            case TTSStartedFrame() if not frame.interruptible:
                self._protected[frame.context_id] = frame
            case TTSStoppedFrame():
                await self._end_utterance(frame)
            case _:
                pass
        self._is_busy = self._is_busy or not _is_system(frame)
        await self._push(frame)

    async def settle(self) -> None:
        """Waits until what was handed on has been taken."""
        if self._is_busy:
            await _turns()

    def interrupting(self) -> None:
        """From here on what survives an interruption waits for it to be handed on."""
        self._kept = []

    async def interrupted(self) -> None:
        """The interruption has been handed on: what survives it follows."""
        kept, self._kept = self._kept or [], None
        for started in self._protected.values():
            # The memory has closed the message; what is heard of this utterance from here on needs
            # another.
            self._reopened.add(started.context_id)
            await self._push(_again(started))
        for frame in kept:
            await self.push(frame)

    async def _let_pass(self) -> None:
        if self._is_busy:
            self._is_busy = False
            await _turns()

    async def _begin_function(self, frame: FunctionCallInProgressFrame) -> None:
        cancellation = self._functions.pop(frame.tool_call_id, None)
        if cancellation is None:
            self._is_busy = True
            await self._push(frame)
            return
        # It was cancelled before the words ahead of it had been heard.
        begun = {f.name: getattr(frame, f.name) for f in fields(frame) if f.init}
        await self._push(_CancelledFunctionFrame(**begun))
        await self._push(cancellation)

    async def _end_utterance(self, frame: TTSStoppedFrame) -> None:
        self._protected.pop(frame.context_id, None)
        if frame.context_id in self._reopened:
            self._reopened.discard(frame.context_id)
            await self._push(LLMAssistantPushAggregationFrame())


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _is_system(frame: Frame) -> bool:
    return isinstance(frame, SystemFrame)


def _again(started: TTSStartedFrame) -> TTSStartedFrame:
    frame = TTSStartedFrame(started.context_id)
    frame.append_to_context = started.append_to_context
    frame.interruptible = started.interruptible
    frame.transport_destination = started.transport_destination
    return frame
