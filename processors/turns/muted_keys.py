"""Keys that are pressed while the caller is not listened to count when the caller is again.

Pipecat's mute strategies have the aggregator drop what is said, so that nobody talks over an
announcement, or while a function runs. A key is no speech, but Pipecat's ``DTMFAggregator`` makes a
transcription of it, and so may a processor of one's own, which is dropped alike. Those are kept
here until the mute is over.
"""

from collections import deque

from pipecat.frames.frames import (
    Frame,
    InputDTMFFrame,
    TranscriptionFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
)
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.pipeline import PipelineSink, PipelineSource
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.transports.base_input import BaseInputTransport

from twilio_frames.processors.pipeline.gates import parts_around

__all__ = ["PRESSED", "MutedKeys"]

PRESSED = "twilio_frames_pressed"
"""In the metadata of a transcription that was made of keys."""

_MAKES_NONE = (STTService, BaseInputTransport, PipelineSource, PipelineSink, BasePipeline)


class MutedKeys:
    """Keeps what was pressed from being dropped with what was said.

    Args:
        user: Who drops it.
        makers: Who may make a transcription of keys: a ``DTMFAggregator``, or whoever pushes one
            while it is given an ``InputDTMFFrame``.
    """

    _MOST_KEPT: int = 100
    """Keys that are remembered; more presses than a muted stretch has."""

    def __init__(self, user: LLMUserAggregator, makers: list[FrameProcessor]):
        self._user = user
        self._is_muted = False
        self._pressed: deque[int] = deque(maxlen=self._MOST_KEPT)
        self._kept: deque[TranscriptionFrame] = deque(maxlen=self._MOST_KEPT)
        self._taking_key: set[FrameProcessor] = set()
        self._passing: deque[int] = deque(maxlen=self._MOST_KEPT)
        user.add_event_handler("on_before_process_frame", self._user_takes)
        user.add_event_handler("on_after_push_frame", self._user_has_pushed)
        for maker in makers:
            maker.add_event_handler("on_before_process_frame", self._maker_takes)
            maker.add_event_handler("on_after_process_frame", self._maker_has_taken)
            maker.add_event_handler("on_before_push_frame", self._maker_pushes)

    @classmethod
    def ahead_of(cls, output: FrameProcessor) -> "list[MutedKeys]":
        """Has every user's aggregator ahead of an output keep keys.

        Args:
            output: Of a pipeline that is being set up.
        """
        parts, _ = parts_around(output)
        return [
            cls(user, makers)
            for place, user in enumerate(parts)
            if isinstance(user, LLMUserAggregator) and (makers := _makers_in(parts[:place]))
        ]

    def _maker_takes(self, maker: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, InputDTMFFrame):
            self._taking_key.add(maker)
        elif isinstance(frame, TranscriptionFrame):
            self._passing.append(frame.id)

    def _maker_has_taken(self, maker: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, InputDTMFFrame):
            self._taking_key.discard(maker)

    def _maker_pushes(self, maker: FrameProcessor, frame: Frame) -> None:
        if not isinstance(frame, TranscriptionFrame) or frame.id in self._passing:
            return
        if maker in self._taking_key or isinstance(maker, DTMFAggregator):
            self._pressed.append(frame.id)
            frame.metadata[PRESSED] = True

    def _user_takes(self, _: FrameProcessor, frame: Frame) -> None:
        if self._is_muted and isinstance(frame, TranscriptionFrame) and frame.id in self._pressed:
            # The first of several begins a turn, whose interruption would drop the others.
            frame.interruptible = False
            self._kept.append(frame)

    async def _user_has_pushed(self, _: FrameProcessor, frame: Frame) -> None:
        if isinstance(frame, UserMuteStartedFrame):
            self._is_muted = True
        elif isinstance(frame, UserMuteStoppedFrame):
            self._is_muted = False
            while self._kept:
                await self._user.queue_frame(self._kept.popleft())


def _makers_in(parts: list[FrameProcessor]) -> list[FrameProcessor]:
    return [
        one
        for one in parts
        if not isinstance(one, _MAKES_NONE)
        and not type(one).__module__.startswith("twilio_frames.")
    ]
