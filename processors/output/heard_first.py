"""What was heard of the bot stands in the memory before the caller's answer to it does.

Theory of operation
-------------------
A conversation's memory has two ends. The user's, before the LLM, writes what the caller said and
asks the LLM; the assistant's, behind the output, writes what was heard of the bot. An interruption
goes from the one to the other, and what was heard is known only when Twilio has told where it
stopped. A turn that is over as soon as it begins, one whose words come late say, would be written
meanwhile, and answered by an LLM that has not seen what it is an answer to.

So the user's end sends a *fence* after whatever it has pushed before, through the same processors,
and writes when that has come out of the assistant's end: system frames never overtake each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    LLMMessagesTransformFrame,
    LLMMessagesUpdateFrame,
    LLMRunFrame,
    SystemFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_response_universal import (
    LLMAssistantAggregator,
    LLMUserAggregator,
)
from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.pipecat_internals import wrap_writes, write_waiting_words, writes_by_response
from twilio_frames.processors.pipeline.gates import parts_around
from twilio_frames.processors.pipeline.patience import waited_for

__all__ = ["HeardFirst", "MemoryFenceFrame"]

LONGEST_WAIT = 2.0
"""Seconds: twice what the output takes at most to find out what was heard."""

_ASKS = (
    LLMRunFrame,
    LLMMessagesAppendFrame,
    LLMMessagesUpdateFrame,
    LLMMessagesTransformFrame,
)


@dataclass
class MemoryFenceFrame(SystemFrame):
    """Where this comes out of the memory's end, all that was pushed before it has been taken.

    Parameters:
        ends_message: Whether what is heard from here on is to be a message of its own.
        passed: Set when it has come out.
    """

    ends_message: bool = False
    passed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class HeardFirst:
    """Has the user's end of a memory wait for the assistant's.

    Args:
        user: The end before the LLM.
        assistant: The end behind the output, of the same memory.
    """

    def __init__(self, user: LLMUserAggregator, assistant: LLMAssistantAggregator):
        self._user = user
        self._assistant = assistant
        self._onsets = 0
        self._is_over = False
        wrap_writes(user, turn=self._behind_what_was_heard, other=self._behind_the_fence)
        if user.previous is not None:
            user.previous.add_event_handler("on_before_push_frame", _keep_words)
        user.add_event_handler("on_before_process_frame", self._user_takes)
        assistant.add_event_handler("on_before_process_frame", self._assistant_takes)
        assistant.add_event_handler("on_after_process_frame", self._assistant_has_taken)

    @classmethod
    def around(cls, output: FrameProcessor) -> "list[HeardFirst]":
        """Joins the ends of every memory that stand on either side of an output.

        Args:
            output: Of a pipeline that is being started.
        """
        ahead, behind = parts_around(output)
        users = [one for one in ahead if isinstance(one, LLMUserAggregator)]
        assistants = [one for one in behind if isinstance(one, LLMAssistantAggregator)]
        return [
            cls(user, assistant)
            for user in users
            for assistant in assistants
            if user.context is assistant.context
        ]

    def _behind_what_was_heard(
        self, write: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def write_turn(*, run_llm: bool = True) -> str:
            if not self._user.aggregation_string():
                return ""
            onsets = self._onsets
            await self._wait(ends_message=True)
            if onsets != self._onsets and not self._is_over:
                # The caller goes on, and so does the turn.
                return ""
            return await write(run_llm=run_llm)

        return write_turn

    def _behind_the_fence(
        self, write: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def wait_and_write(*args: Any, **kwargs: Any) -> Any:
            await self._wait()
            return await write(*args, **kwargs)

        return wait_and_write

    async def _wait(self, *, ends_message: bool = False) -> None:
        if writes_by_response(self._user):
            # There the response writes the turn, and its own words are on their way.
            return
        fence = MemoryFenceFrame(ends_message=ends_message)
        await self._user.push_frame(fence)
        if not await waited_for(fence.passed.is_set, fence.passed, LONGEST_WAIT):
            logger.warning(
                f"{self._user}: what was heard of the bot has not got to {self._assistant} in "
                f"{LONGEST_WAIT} s, so the LLM is asked without; a processor between them blocks "
                "on a frame, or keeps a SystemFrame that it does not know instead of pushing it"
            )

    async def _user_takes(self, _: FrameProcessor, frame: Frame) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                self._onsets += 1
            case EndFrame() | CancelFrame():
                self._is_over = True
            case _ if isinstance(frame, _ASKS):
                await self._wait()
            case _:
                pass

    async def _assistant_takes(self, _: FrameProcessor, frame: Frame) -> None:
        # A speech-to-speech model's response waits a while for the words that it answers. Where it
        # is cut meanwhile, those that are there come first.
        if isinstance(frame, InterruptionFrame):
            await write_waiting_words(self._user)

    async def _assistant_has_taken(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, MemoryFenceFrame):
            if frame.ends_message:
                await self._end_message()
            frame.passed.set()

    async def _end_message(self) -> None:
        """Writes what was heard so far of a bot that speaks on."""
        if text := self._assistant.aggregation_string():
            await self._assistant.reset()
            self._assistant.add_messages([{"role": "assistant", "content": text}])


def _keep_words(_: FrameProcessor, frame: Frame) -> None:
    """Has no interruption drop words that wait, or break off the turn that is being written.

    The words before them begin a turn, which interrupts.
    """
    if isinstance(frame, TranscriptionFrame):
        frame.interruptible = False
