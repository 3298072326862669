"""Utterances that a TTS service cannot say to their end."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextProgressFrame,
    ControlFrame,
    Frame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.frames import MulawOutputFrame, SpeechBrokenOffFrame, WordBrokenOffFrame
from twilio_frames.pipecat_internals import call_event_handler, register_event_handlers
from twilio_frames.processors.replies.apology import Apology
from twilio_frames.services.redacting import RedactingTTSService

__all__ = ["PartialSpeechTTSService"]

_BARRIER_SECS = 0.5


@dataclass
class _StillWaitingFrame(ControlFrame):
    """Keeps Pipecat from ending an audio context whose audio is late."""


@dataclass
class _BrokenOffFrame(ControlFrame):
    """Stands in an audio context where the rest of it could not be said."""

    context_id: str = ""


@dataclass
class _BarrierFrame(ControlFrame):
    """Tells when what stands before it in an audio context has been pushed."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)


class PartialSpeechTTSService(RedactingTTSService):
    """A base that ends audio contexts, at their end or before, and keeps the memory right.

    What was not said does not enter the memory: Pipecat would take the words that are left when a
    context ends for words whose times a vendor forgot to tell.

    Args:
        apology_audio: Mu-law audio that is played when something cannot be said: once for each
            turn of the caller's, until :meth:`speaks_again`.
        **kwargs: Passed on.
    """

    def __init__(self, *, apology_audio: bytes = b"", **kwargs: Any):
        super().__init__(**kwargs)
        self._apology = Apology(apology_audio)
        self._apologies = count(1)
        register_event_handlers(self, "on_left_out")
        # Contexts that are ending by what stands in their queues, and those with words unsaid.
        self._ending: set[str] = set()
        self._broken_off: set[str] = set()

    def is_ending(self, context_id: str) -> bool:
        """Whether no more can be said in an audio context, though it may still play."""
        return context_id in self._ending

    async def leave_out(self, text: str) -> None:
        """Tells, by the event ``on_left_out`` (service, text), of a text that is never said."""
        await call_event_handler(self, "on_left_out", text)

    def speaks_again(self) -> None:
        """Notes that all is well: the next trouble is worth an apology of its own."""
        self._apology.begin_anew()

    async def still_waiting(self, context_id: str) -> None:
        """Keeps an audio context open whose audio is late; to be told every second or two."""
        await self.append_to_audio_context(context_id, _StillWaitingFrame())

    async def word_broken_off(self, context_id: str) -> None:
        """Tells that of the last word only a part was said; it is begun anew, or never said."""
        if self.audio_context_available(context_id):
            frame = WordBrokenOffFrame(context_id=context_id)
            await self.append_to_audio_context(context_id, frame)

    async def end_context(self, context_id: str) -> None:
        """Ends an audio context behind what was said in it."""
        await self._end_context(TTSStoppedFrame(context_id=context_id), context_id)

    async def break_off_context(self, context_id: str) -> None:
        """Ends an audio context whose rest cannot be said, and apologises.

        Its last word counts as said, unless :meth:`word_broken_off` told otherwise.
        """
        if self.audio_context_available(context_id):
            broken = _BrokenOffFrame(context_id=context_id)
            await self.append_to_audio_context(context_id, broken)
            stopped = SpeechBrokenOffFrame(context_id=context_id, spoken_words=1)
            await self._end_context(stopped, context_id)
            await self._apologise()

    async def _end_context(self, stopped: TTSStoppedFrame, context_id: str) -> None:
        if self.audio_context_available(context_id):
            self._ending.add(context_id)
            await self.append_to_audio_context(context_id, stopped)
            await self.remove_audio_context(context_id)

    async def all_handed_on(self) -> None:
        """Waits until what has come for the audio context in progress has been pushed."""
        context_id = self.get_active_audio_context_id()
        if context_id is None or not self.audio_context_available(context_id):
            return
        barrier = _BarrierFrame()
        await self.append_to_audio_context(context_id, barrier)
        try:
            async with asyncio.timeout(_BARRIER_SECS):
                await barrier.reached.wait()
        except TimeoutError:
            logger.debug(f"{self}: what was said is not all pushed yet")

    async def _apologise(self) -> None:
        if not (apology := self._apology.take()):
            return
        # A context of its own: the words before it end where their sound does.
        context_id = f"apology-{next(self._apologies)}"
        self._ending.add(context_id)
        await self.create_audio_context(context_id)
        for frame in (
            TTSStartedFrame(context_id=context_id, append_to_context=False),
            MulawOutputFrame.of(apology, context_id=context_id),
            TTSStoppedFrame(context_id=context_id),
        ):
            await self.append_to_audio_context(context_id, frame)
        await self.remove_audio_context(context_id)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes frames; to a caller who goes on another apology is due, rather than silence."""
        if isinstance(frame, UserStoppedSpeakingFrame):
            self._apology.begin_anew()
        await super().process_frame(frame, direction)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, unless it is a word that was not said."""
        match frame:
            case _StillWaitingFrame():
                return
            case _BarrierFrame():
                frame.reached.set()
                return
            case _BrokenOffFrame():
                self._broken_off.add(frame.context_id)
                return
            case TTSTextFrame() | AggregatedTextProgressFrame():
                if frame.context_id in self._broken_off:
                    return
            case _:
                pass
        await super().push_frame(frame, direction)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Forgets a context; Pipecat calls it."""
        self._forget_context(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forgets a context; Pipecat calls it."""
        self._forget_context(context_id)

    def _forget_context(self, context_id: str) -> None:
        self._ending.discard(context_id)
        self._broken_off.discard(context_id)

    async def _record_context_audio_outcome(self, context_id: str, received_audio: bool) -> None:
        # Why a context that was broken off is silent has been told.
        if received_audio or context_id not in self._broken_off:
            await super()._record_context_audio_outcome(context_id, received_audio)
