"""An interruption waits a moment ahead of a voice that is about to tell what it was saying.

Voices tell where their words are ahead of the sound, along with it or behind it, and of whole
sentences behind it. An interruption has them forget what they were at. Where the caller cuts in
before it was told which words lie there, they could only be guessed. So the bot falls silent at
once, and the interruption goes on to the voice when the words at that place are known, or when the
moment is over. Whatever asks the LLM comes behind it, with what was heard.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import Frame, InterruptionFrame
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.tts_service import TTSService

from twilio_frames.frames import ServiceStopFrame
from twilio_frames.processors.pipeline.gates import parts_around, parts_in
from twilio_frames.processors.pipeline.patience import waited_for

__all__ = ["OwedWords"]

LONGEST_WAIT = 0.5
"""Seconds: a provider that makes speech at three times its pace has made 1.5 s more of a sentence;
a caller who has interrupted is still speaking."""


class OwedWords:
    """Keeps interruptions from voices for as long as they owe words of what was being heard.

    Args:
        fall_silent: Has the bot fall silent, for an interruption that is on its way.
        is_awaiting: Gives whether it is not known which words lie where the bot fell silent, or
            would now, and somebody is about to tell.
    """

    def __init__(self, fall_silent: Callable[[], Awaitable[None]], is_awaiting: Callable[[], bool]):
        self._fall_silent = fall_silent
        self._is_awaiting = is_awaiting
        self._told = asyncio.Event()
        self.waiting = 0
        """How many voices an interruption waits ahead of for news."""
        self._until = 0.0

    def ahead_of(self, output: FrameProcessor) -> None:
        """Looks after every voice that stands ahead of an output.

        Args:
            output: Of a pipeline that is being started.
        """
        ahead, _ = parts_around(output)
        for one in ahead:
            if _speaks(one):
                one.add_event_handler("on_before_process_frame", self._takes)

    def note(self) -> None:
        """Notes that something has come from a voice, or was dropped."""
        self._told.set()

    async def _takes(self, _: FrameProcessor, frame: Frame) -> None:
        if not isinstance(frame, InterruptionFrame) or isinstance(frame, ServiceStopFrame):
            return
        if not self._is_awaiting():
            return
        await self._fall_silent()
        now = time.monotonic()
        if now > self._until + LONGEST_WAIT:
            # Else the same interruption has waited ahead of another voice.
            self._until = now + LONGEST_WAIT
        self.waiting += 1
        try:
            left = max(0.0, self._until - time.monotonic())
            await waited_for(lambda: not self._is_awaiting(), self._told, left)
        finally:
            self.waiting -= 1


def _speaks(processor: FrameProcessor) -> bool:
    if isinstance(processor, ServiceSwitcher):
        return any(isinstance(one, TTSService) for one in parts_in(processor))
    return isinstance(processor, TTSService)
