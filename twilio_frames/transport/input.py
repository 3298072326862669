"""The caller's side of a Twilio transport: the socket read into Pipecat frames."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    CancelFrame,
    ClientConnectedFrame,
    EndFrame,
    EndWorkerFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    StartFrame,
    StopFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.transports.base_input import BaseInputTransport
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.frames import (
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    FunctionRoundsOverFrame,
    MarkReachedFrame,
    MulawInputFrame,
)
from twilio_frames.processors.playout import AUTO_MARK
from twilio_frames.processors.serializer import EventFrames
from twilio_frames.protocol import Start
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.params import TwilioParams

_CHECK_INTERVAL = 0.5


class TwilioInput(BaseInputTransport):
    """Hears the caller. The first processor of a phone bot's pipeline.

    When the stream ends, for whatever reason, it pushes a
    :class:`twilio_frames.frames.CallEndedFrame` and asks the worker to end.

    Args:
        connection: The media connection.
        params: The transport's parameters.
        on_started: Called with the ``start`` message when the pipeline has started.
        on_ended: Called with the reason once the stream is over.
    """

    def __init__(
        self,
        connection: MediaConnection,
        params: TwilioParams,
        *,
        on_started: Callable[[Start], Awaitable[None]],
        on_ended: Callable[[CallEndReason], Awaitable[None]],
        **kwargs,
    ):
        super().__init__(params, **kwargs)
        self._connection = connection
        self._longest_gap_secs = params.longest_gap_secs
        self._apology = params.apology
        self._on_started = on_started
        self._on_ended = on_ended
        self._event_frames = EventFrames()
        self._reader: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ended = False
        self._deaf = False

    async def setup(self, setup: FrameProcessorSetup):
        """Takes the rate at which the pipeline wants the caller's audio."""
        await super().setup(setup)
        self._event_frames = EventFrames(
            sample_rate=self.sample_rate, longest_gap_secs=self._longest_gap_secs
        )

    async def start(self, frame: StartFrame):
        """Starts to read."""
        await super().start(frame)
        await self.set_transport_ready(frame)
        if self._reader is None:
            self._reader = self.create_task(self._read())

    async def stop(self, frame: EndFrame):
        """Stops hearing. The socket is read on: marks are still to come."""
        self._deaf = True
        await super().stop(frame)

    async def pause(self, frame: StopFrame):
        """Stops hearing until the next ``StartFrame``."""
        self._deaf = True
        await super().pause(frame)

    async def cancel(self, frame: CancelFrame):
        """Stops hearing."""
        self._deaf = True
        await super().cancel(frame)

    async def cleanup(self):
        """Stops reading and closes the socket, if nothing has yet."""
        await self._connection.close(CallEndReason.ERROR, "pipeline broke off")
        for task in (self._reader, self._watch):
            if task is not None:
                await self.cancel_task(task)
        self._reader = self._watch = None
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Takes a frame; apologises where nobody else has for an LLM that says nothing."""
        await super().process_frame(frame, direction)
        if isinstance(frame, FunctionRoundsOverFrame):
            await self.push_error(frame.reproach, category=ErrorCategory.APPLICATION)
            if self._apology:
                await self.push_frame(TTSSpeakFrame(self._apology))

    async def push_audio_frame(self, frame: InputAudioRawFrame):
        """Pushes the caller's audio, by way of the audio filter where there is one."""
        if self._deaf or not self._params.audio_in_enabled:
            return
        if self._params.audio_in_filter:
            await super().push_audio_frame(frame)
        elif self._params.audio_in_passthrough:
            # Without the base class's queue, whose timeout costs a task for each frame.
            await self.push_frame(frame)

    async def _read(self) -> None:
        try:
            start = await self._connection.wait_for_start()
        except (StreamTimeoutError, CallFailedError) as error:
            await self.push_error(str(error), exception=error)
            await self._finish()
            return
        self._watch = self.create_task(self._watch_line())
        await self.push_frame(CallStartedFrame.of(start))
        await self.push_frame(ClientConnectedFrame())
        await self._on_started(start)
        while (events := await self._connection.receive()) is not None:
            for event in events:
                for frame in self._event_frames.of(event):
                    await self._push(frame)
            if self._connection.end_reason is not None:
                break
        await self._finish()

    async def _push(self, frame: Frame) -> None:
        if isinstance(frame, MulawInputFrame):
            frame.bot_level = self._connection.bot_level()
            self._connection.caller_heard(frame.mulaw, frame.timestamp)
            await self.push_audio_frame(frame)
        elif isinstance(frame, MarkReachedFrame):
            if not frame.mark.startswith(AUTO_MARK):
                await self.push_frame(frame)
        elif not self._deaf:
            await self.push_frame(frame)

    async def _watch_line(self) -> None:
        awake = time.monotonic()
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            slept_from, awake = awake, time.monotonic()
            # After a stall of the event loop what arrived meanwhile has not been read yet.
            if awake - slept_from < 2 * _CHECK_INTERVAL and not self._connection.check_line():
                break
        # The reader finishes by itself where the socket wakes it; a half-open one does not.
        await self._finish()

    async def _finish(self) -> None:
        if self._ended:
            return
        self._ended = True
        reason = self._connection.end_reason or CallEndReason.ERROR
        await self._connection.close(reason, self._connection.end_detail)
        await self.push_frame(CallEndedFrame(reason=reason, detail=self._connection.end_detail))
        await self._on_ended(reason)
        if not self._deaf:
            # What is being thought or said now has nobody left to hear it.
            await self.push_frame(InterruptionFrame())
            await self.push_frame(EndWorkerFrame(reason=reason.value), FrameDirection.UPSTREAM)
