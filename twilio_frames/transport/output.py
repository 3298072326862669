"""The transport's output: what speaks to the line, and knows when its pipeline is up."""

from typing import Any, Protocol

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from twilio_frames.frames import AudioGapFrame, BotHeldFrame, VendorSwitchedFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.pipeline.audio_warnings import advise_on_ends
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.params import TwilioParams
from twilio_frames.transport.playouts import Playouts
from twilio_frames.transport.taps import Audience

__all__ = ["SpeechFollower", "TwilioOutput"]

_TELLING: frozenset[type[Frame]] = frozenset({
    *(VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame),
    *(UserStartedSpeakingFrame, UserStoppedSpeakingFrame),
    *(BotStartedSpeakingFrame, BotStoppedSpeakingFrame, BotHeldFrame, InterruptionFrame),
    *(AudioGapFrame, VendorSwitchedFrame),
})  # fmt: skip
"""What followers are told of: some ten frames a turn."""


class SpeechFollower(Protocol):
    """Is told when caller and bot begin and end to speak, as the output learns and makes it.

    It costs a call next to nothing, where Pipecat's observers have every processor make a record of
    each frame. The method runs on the event loop, and returns at once.
    """

    def passed(self, frame: Frame) -> None:
        """The output has passed a frame on."""
        ...


class TwilioOutput(MulawOutput):
    """Speaks to the caller; a pipeline may have it alone, to announce something.

    Args:
        connection: The stream's.
        params: As for the transport.
        options: More arguments of :class:`MulawOutput`.
    """

    def __init__(self, connection: MediaConnection, params: TwilioParams, **options: Any):
        super().__init__(connection, params, **options)
        self._connection = connection
        self.followers = Audience(SpeechFollower, connection.taps.failures)
        """Who is told of speech."""
        self.hears: FrameProcessor | None = None
        """The input of the same transport."""
        self._playouts: Playouts | None = None

    @property
    def is_held(self) -> bool:
        """Whether the bot is silent since the caller may want to speak."""
        return self.pacer.is_held

    @property
    def spoke_at(self) -> float | None:
        """When the bot's first speech began to play, but for the line's delay; None before."""
        return self.pacer.spoke_at

    async def setup(self, setup: FrameProcessorSetup):
        """Attends to the pipeline's start."""
        await super().setup(setup)
        if setup.enable_tracing and setup.tracing_context is not None and self._playouts is None:
            self._playouts = Playouts(
                setup.tracing_context,
                self._sids,
                underruns=lambda: self.underruns,
                round_trip=lambda: self._connection.playback.round_trip,
            )
            self.followers.add(self._playouts)
        setup.pipeline_worker.add_event_handler("on_pipeline_started", self._pipeline_started)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Passes a frame on, and tells who follows."""
        if type(frame) in _TELLING and direction is FrameDirection.DOWNSTREAM:
            self.followers.tell("passed", frame)
        await super().push_frame(frame, direction)

    def _sids(self) -> dict[str, Any]:
        stream = self._connection.stream
        return {"call.sid": self._connection.call_sid, "stream.sid": stream.stream_sid}

    async def cleanup(self):
        """Ends the span of what was being said."""
        await super().cleanup()
        if self._playouts is not None:
            self._playouts.end()

    async def _pipeline_started(self, _worker: object, _frame: Frame) -> None:
        self._connection.checks.pipeline_is_up = True
        if self.hears is not None:
            advise_on_ends(self.pipeline_worker.pipeline, self.hears, self)
