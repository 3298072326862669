"""A TTS service that takes over in mid-reply says what the one before it has taken and not said.

Pipecat's ``ServiceSwitcher`` gives the next words of a reply to the next service. Those of a
sentence that was not complete yet wait in the first one for the rest, which never comes.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from loguru import logger
from pipecat.frames.frames import (
    ControlFrame,
    Frame,
    LLMTextFrame,
    ServiceSwitcherRequestMetadataFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService

from twilio_frames.pipecat_internals import take_kept_text
from twilio_frames.processors.pipeline.gates import parts_around
from twilio_frames.processors.pipeline.patience import waited_for

__all__ = ["SwitchedVoices"]

LONGEST_WAIT = 1.0
"""Seconds that a service waits for what the one before it had, with what follows that."""


@dataclass
class _LastFrame(ControlFrame):
    """Where a service takes this, it has taken all that it was given before the switch.

    Parameters:
        text: What it keeps of a sentence.
        taken: Set when that is known.
        is_late: Whether nobody waits for it any more.
    """

    text: str = field(default="", repr=False)
    taken: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    is_late: bool = False


class SwitchedVoices:
    """Has each service of a switcher say what the one before it kept of a sentence.

    Args:
        active: The one that is in use.
        services: All of them.
    """

    def __init__(self, active: TTSService, services: Iterable[TTSService]):
        self._active = active
        for service in services:
            service.add_event_handler("on_before_process_frame", self._takes)

    @classmethod
    def ahead_of(cls, output: FrameProcessor) -> "list[SwitchedVoices]":
        """Looks after every switcher of TTS services that stands ahead of an output.

        Args:
            output: Of a pipeline that is being started.
        """
        ahead, _ = parts_around(output)
        found: list[SwitchedVoices] = []
        for switcher in ahead:
            if isinstance(switcher, ServiceSwitcher):
                voices = [one for one in switcher.services if isinstance(one, TTSService)]
                active = switcher.strategy.active_service
                if isinstance(active, TTSService):
                    found.append(cls(active, voices))
        return found

    async def _takes(self, service: TTSService, frame: Frame) -> None:
        match frame:
            case ServiceSwitcherRequestMetadataFrame() if frame.service is service:
                await self._take_over(service)
            case _LastFrame():
                await self._give_up(service, frame)
            case _:
                pass

    async def _take_over(self, service: TTSService) -> None:
        before, self._active = self._active, service
        if before is service:
            return
        last = _LastFrame()
        await before.queue_frame(last)
        if not await waited_for(last.taken.is_set, last.taken, LONGEST_WAIT):
            last.is_late = True
            logger.warning(
                f"{service}: {before}, which it has replaced, is still at a text after "
                f"{LONGEST_WAIT} s: what else that was given is said when it lets go of it"
            )
        if last.text:
            await service.process_frame(LLMTextFrame(last.text), FrameDirection.DOWNSTREAM)

    async def _give_up(self, service: TTSService, frame: _LastFrame) -> None:
        text = await take_kept_text(service)
        if frame.is_late and text:
            await self._active.queue_frame(LLMTextFrame(f"{text} "))
        else:
            frame.text = f"{text} " * bool(text)
        frame.taken.set()
