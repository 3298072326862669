"""The caller's side of a Twilio transport: the socket read into Pipecat frames."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    ClientConnectedFrame,
    EndFrame,
    EndWorkerFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    StartFrame,
    StopFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.transports.base_input import BaseInputTransport
from pipecat.utils.errors import ErrorCategory

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.audio.mulaw import NEARLY_SILENT
from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.frames import (
    BacklogFrame,
    CallAwayFrame,
    CallBackFrame,
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    DetourFrame,
    MarkReachedFrame,
    MulawInputFrame,
)
from twilio_frames.processors.output.function_rounds import FunctionRoundsOverFrame
from twilio_frames.processors.output.line_sound import LineFilter
from twilio_frames.processors.pipeline.audio_warnings import advise_on_ends
from twilio_frames.processors.replies.empty import EmptyReplies
from twilio_frames.processors.serializer import EventFrames
from twilio_frames.processors.vad import AudioSteps, PhoneVAD
from twilio_frames.protocol import INBOUND, Event, MarkEcho, Media, Start
from twilio_frames.transport.bot_echo import BotEcho
from twilio_frames.transport.coming_up import ComingUp, why_not_up
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.held_up import HoldUps
from twilio_frames.transport.params import TwilioParams
from twilio_frames.transport.reader import LineListener, LineReader
from twilio_frames.transport.taps import CallTaps

LONGEST_SECS = 30.0
"""Of audio. A pipeline that is this far behind answers nobody in time."""
_ASK_SECS = 5.0
_LOOK_SECS = 1.0
_QUIET_SECS = 0.1
_STILL_SECS = 0.1
"""How much silence may come together while a VAD takes the caller for silent, at least."""
_STILL_AFTER_SECS = 0.5
"""For so long nothing has sounded; that a short sound is over is told at once, for a hold."""


class TwilioInput(BaseInputTransport, LineListener):
    """Hears the caller. The first processor of a phone bot's pipeline.

    When the stream ends, for whatever reason, it pushes a
    :class:`twilio_frames.frames.CallEndedFrame` and asks the worker to end.

    Args:
        connection: The media connection.
        reader: Reads it.
        params: The transport's parameters.
        taps: Who hears the caller at the line.
        echo: What of the bot may come back along with the caller.
        on_started: Called with the ``start`` message when the pipeline has started.
        on_failed: Called with the error where a processor holds the pipeline up.
    """

    def __init__(
        self,
        connection: MediaConnection,
        reader: LineReader,
        params: TwilioParams,
        *,
        taps: CallTaps,
        echo: BotEcho,
        on_started: Callable[[Start], Awaitable[None]],
        on_failed: Callable[[BaseException], None],
        **kwargs,
    ):
        # Without queues and tasks of its own: nothing here takes long, or is to be cut short.
        super().__init__(params, enable_direct_mode=True, **kwargs)
        self._connection = connection
        self._reader = reader
        self._is_listening = params.audio_in_enabled and params.audio_in_passthrough
        self._taps = taps
        self._echo = echo
        self._longest_gap_secs = params.longest_gap_secs
        self._apology = params.apology
        self._on_started = on_started
        self._filter = LineFilter(params.audio_in_filter)
        self._on_failed = on_failed
        self._processor_timeout_secs = params.processor_timeout_secs
        self._event_frames = EventFrames()
        self._backlog = Backlog(connection.opened_at)
        self._step_secs = params.audio_in_step_secs
        self._steps = AudioSteps[Media](0.0, self._flush)
        self._vad: PhoneVAD | None = None
        self._hand_on: Callable[[InputAudioRawFrame], Awaitable[None]] = self.push_frame
        self._beginning: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._coming_up: ComingUp | None = None
        self._hold_ups: HoldUps | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Task[None] | None = None
        self.hears_silence = False
        """Whether the caller is not to be heard."""
        self.speaks: FrameProcessor | None = None
        """The output of the same transport."""
        self._held_up: ErrorFrame | None = None
        self._ended = False
        self._deaf = False
        self._is_behind = self._is_still = False
        self._silent_secs = 0.0
        self.take_key: Callable[[str], bool] = lambda _: False
        """Is offered each key that is pressed; what it takes goes into no pipeline."""

    @property
    def failure(self) -> ErrorFrame | None:
        """Why the pipeline did not come up, or stands still; None if it goes on, or may yet."""
        return self._held_up or (self._coming_up.failure if self._coming_up else None)

    async def setup(self, setup: FrameProcessorSetup):
        """Takes the rate at which the pipeline wants the caller's audio."""
        await super().setup(setup)
        if self._coming_up is None:
            self._coming_up = ComingUp(
                setup.pipeline_worker, on_started=self._pipeline_started, on_failed=self._give_up
            )
            pipeline = setup.pipeline_worker.pipeline
            self._hold_ups = HoldUps(pipeline, self.task_manager.current_tasks)
            self._look_soon()
        self._event_frames = self._new_event_frames()

    def _new_event_frames(self) -> EventFrames:
        return EventFrames(sample_rate=self.sample_rate, longest_gap_secs=self._longest_gap_secs)

    async def start(self, frame: StartFrame):
        """Starts to read."""
        await super().start(frame)
        if isinstance(self.next, PhoneVAD):
            self._vad, self._steps.secs = self.next, self.next.patience_secs
            self._hand_on = self._vad.hear if self._vad.is_direct else self.push_frame
        else:
            secs = self._step_secs
            self._vad, self._steps.secs = None, max(secs, _STILL_SECS) if secs else 0.0
        if self._beginning is None:
            self._beginning = self.create_task(self._begin())
            EmptyReplies.behind(self, self._apology)

    async def stop(self, frame: EndFrame):
        """Stops hearing. The socket is read on: marks are still to come."""
        self._deaf = True
        self._connection.checks.expect_end(time.monotonic())
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
        await self._reader.finish()
        if self._next_look is not None:
            self._next_look.cancel()
        for task in (self._beginning, self._giving_up, self._quiet):
            if task is not None and not task.done():
                await self.cancel_task(task)
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Takes a frame; apologises where nobody else has for an LLM that says nothing."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame | VADUserStoppedSpeakingFrame):
            self._is_still = isinstance(frame, VADUserStoppedSpeakingFrame)
        elif isinstance(frame, FunctionRoundsOverFrame):
            await self.push_error(frame.reproach, category=ErrorCategory.APPLICATION)
            if self._apology:
                await self.push_frame(TTSSpeakFrame(self._apology))

    async def _pipeline_started(self) -> None:
        self._connection.checks.pipeline_is_up = True
        if self.speaks is not None:
            advise_on_ends(self.pipeline_worker.pipeline, self, self.speaks)

    async def _give_up(self, error: ErrorFrame) -> None:
        # Not here: the processor that failed waits for it, and this ends the pipeline.
        self._giving_up = self.create_task(self._end_pipeline(why_not_up(error)))

    def _look_soon(self) -> None:
        if self._processor_timeout_secs is not None:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(_LOOK_SECS, self._look, self._processor_timeout_secs)

    def _look(self, limit: float) -> None:
        """Ends the call where a processor holds the pipeline up, and the caller hears nothing."""
        if self._connection.end_reason is not None:
            return
        self._look_soon()
        now = time.monotonic()
        silent = now - self._connection.playback.ends_at
        if silent < 0.0 or self._hold_ups is None:
            return
        holder = self._hold_ups.look(now, limit)
        if holder is not None and not self._connection.is_away and silent >= limit:
            text = (
                f"expected each processor to be done with a frame within {limit:g} s, got one "
                f"that holds it up: {holder}. Limit what it waits for, do it in a task of its "
                "own, or raise TwilioParams.processor_timeout_secs"
            )
            self._fail(text, holder.processor)
            self._giving_up = self.create_task(self._end_pipeline(text))

    def blame(self) -> None:
        """Names who has kept the pipeline from coming up in time."""
        holder = self._hold_ups.who_starts() if self._hold_ups and not self.failure else None
        if holder is not None:
            text = f"expected the pipeline to come up in time, got one that is held up: {holder}"
            self._fail(text, holder.processor)

    def _fail(self, text: str, processor: FrameProcessor) -> None:
        logger.error(f"call {self._connection.call_sid}: {text}")
        error = CallFailedError(text)
        self._held_up = ErrorFrame(text, exception=error, processor=processor)
        self._on_failed(error)

    async def _end_pipeline(self, reason: str) -> None:
        await self._connection.close(CallEndReason.ERROR, reason)
        await self.pipeline_worker.cancel(reason=reason)

    async def push_audio_frame(self, frame: InputAudioRawFrame):
        """Pushes the caller's audio, by way of the audio filter where there is one."""
        if self._deaf or not self._is_listening:
            return
        # Without the base class's queue, whose timeout costs a task for each frame, and whose task
        # a filter that raises would end.
        if self._filter.is_there:
            frame.audio = await self._filter.filtered(frame.audio)
            if isinstance(frame, MulawInputFrame):
                # As it came is not as it is to be heard.
                frame.mulaw = b""
        if frame.audio:
            await self._hand_on(frame)

    async def _begin(self) -> None:
        try:
            start = await self._reader.wait_for_start()
        except (StreamTimeoutError, CallFailedError) as error:
            await self.push_error(str(error), exception=error)
            await self.line_ended(self._connection.end_reason or CallEndReason.ERROR)
            return
        await self.push_frame(CallStartedFrame.of(start))
        await self.push_frame(ClientConnectedFrame())
        await self._on_started(start)
        await self._reader.tell(self)

    async def heard(self, event: Event | MarkEcho) -> None:
        """Pushes what came on the line; the caller's audio in steps."""
        frames = self._event_frames
        if isinstance(event, Media) and event.track == INBOUND and not frames.is_stale:
            pieces = [event]
            if self._steps.secs:
                secs = len(event.payload) / SAMPLE_RATE
                pieces = self._steps.take(event, secs, at_most=self._patience(event))
            if pieces and (audio := frames.audio(pieces)) is not None:
                await self._hear(audio)
            return
        if not isinstance(event, Media):
            await self._flush(self._steps.rest())
        for frame in frames.of(event):
            if isinstance(frame, MulawInputFrame):
                await self._hear(frame)
            elif isinstance(frame, InputDTMFFrame) and (
                self.hears_silence or self.take_key(frame.button.value)
            ):
                pass
            elif not self._deaf or isinstance(frame, MarkReachedFrame):
                await self.push_frame(frame)

    def _patience(self, media: Media) -> float:
        """How much audio may wait for what comes behind it, seconds."""
        is_sound = media.payload.translate(None, NEARLY_SILENT)
        if self._vad is None:
            secs = len(media.payload) / SAMPLE_RATE
            self._silent_secs = 0.0 if is_sound else self._silent_secs + secs
            is_still = self._is_still and self._silent_secs > _STILL_AFTER_SECS
            return math.inf if is_still else self._step_secs
        # What may be the beginning of speech does not wait.
        return self._vad.speech_patience_secs if is_sound else self._vad.patience_secs

    async def _flush(self, pieces: Sequence[Media]) -> None:
        """Pushes audio that waited."""
        if pieces and (audio := self._event_frames.audio(pieces)) is not None:
            await self._hear(audio)

    async def _hear(self, frame: MulawInputFrame) -> None:
        """Pushes some of the caller's audio, unless it is too much."""
        frame.bot = self._echo.at_ear(frame.timestamp, len(frame.mulaw))
        if self._taps.audience.listeners:
            self._taps.caller_heard(frame.mulaw, frame.timestamp)
        if not self._backlog.take(len(frame.mulaw) / SAMPLE_RATE, time.monotonic()):
            self._leave_out()
            return
        if self.hears_silence:
            frame.mulaw = mulaw_silence(len(frame.mulaw) / SAMPLE_RATE)
            frame.audio = bytes(len(frame.audio))
        await self.push_audio_frame(frame)
        if self._backlog.is_due:
            await self.push_frame(self._backlog.question())

    def _leave_out(self) -> None:
        if not self._is_behind:
            self._is_behind = True
            logger.warning(
                f"call {self._connection.call_sid}: the pipeline is {LONGEST_SECS:g} s behind "
                "the caller, or more came than anybody can have said; some is left out"
            )

    async def line_left(self, detour: DetourFrame) -> None:
        """Tells the pipeline that the caller is elsewhere; until they are back, it is silent."""
        await self._flush(self._steps.rest())
        await self.broadcast_frame(CallAwayFrame, detour=detour)
        self._quiet = self.create_task(self._be_quiet())

    async def _be_quiet(self) -> None:
        """Hears silence at the pace of a line: what was being said is over, recognisers live on."""
        rate = self.sample_rate
        while True:
            await asyncio.sleep(_QUIET_SECS)
            mulaw = mulaw_silence(_QUIET_SECS)
            pcm = bytes(2 * round(_QUIET_SECS * rate))
            await self.push_audio_frame(
                MulawInputFrame(audio=pcm, sample_rate=rate, num_channels=1, mulaw=mulaw)
            )

    async def line_back(self, back: CallBackFrame) -> None:
        """Tells the pipeline that the caller is there again."""
        quiet, self._quiet = self._quiet, None
        if quiet is not None:
            await self.cancel_task(quiet)
        self._event_frames = self._new_event_frames()
        await self.broadcast_frame(
            CallBackFrame,
            detour=back.detour,
            results=back.results,
            away_secs=back.away_secs,
            stream_sid=back.stream_sid,
        )

    async def line_ended(self, reason: CallEndReason) -> None:
        """Ends the pipeline."""
        if self._ended:
            return
        self._ended = True
        await self._flush(self._steps.rest())
        await self.push_frame(CallEndedFrame(reason=reason, detail=self._connection.end_detail))
        if not self._deaf:
            # What is being thought or said now has nobody left to hear it.
            await self.push_frame(InterruptionFrame())
            await self.push_frame(EndWorkerFrame(reason=reason.value), FrameDirection.UPSTREAM)


class Backlog:
    """Counts the caller's audio that is in a pipeline, and bounds it.

    Pipecat's queues have no bound: a pipeline slower than speech would keep all that it has not
    worked off. Two things bound it. No caller can have spoken for longer than the line is up. And
    now and then a frame goes along with the audio; it reaches the output when the audio before it
    has been worked off. Where it does not for too long, what the caller says is left out until it
    does.

    No clock is read here.

    Args:
        now: When the line began, in seconds of any clock.
    """

    def __init__(self, now: float):
        self.left_out = 0.0
        """Seconds of audio that were left out."""
        self.is_due = False
        """Whether it is time for another question."""
        self._began = now
        self._taken = 0.0
        self._worked_off = 0.0
        self._asked_at = 0.0
        self._is_asking = self._is_answered = False

    def take(self, seconds: float, now: float) -> bool:
        """Whether there is place for another piece of audio."""
        has_been_spoken = self._taken + seconds <= now - self._began + LONGEST_SECS
        is_behind = self._is_answered and self._taken - self._worked_off > LONGEST_SECS
        if is_behind or not has_been_spoken:
            self.left_out += seconds
            return False
        self._taken += seconds
        self.is_due = not self._is_asking and self._taken - self._asked_at >= _ASK_SECS
        return True

    def question(self) -> BacklogFrame:
        """The frame that is to go along with the audio taken so far, once it is due."""
        self._is_asking, self.is_due = True, False
        self._asked_at = taken = self._taken

        def passed() -> None:
            self._is_asking, self._is_answered = False, True
            self.is_due = self._taken - self._asked_at >= _ASK_SECS
            self._worked_off = taken

        return BacklogFrame(passed)
