"""A call without sound, which a bot takes for any other."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from pipecat.frames.frames import (
    ClientConnectedFrame,
    EndWorkerFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    TranscriptionFrame,
)
from pipecat.pipeline.base_pipeline import BasePipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from twilio_frames.call import Call
from twilio_frames.frames import (
    Act,
    CallEndedFrame,
    CallEndReason,
    CallStartedFrame,
    DigitsWantedFrame,
)
from twilio_frames.pipecat_internals import (
    call_event_handler,
    register_event_handlers,
    set_turn_strategies,
)
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.greeting import Greeting
from twilio_frames.protocol import Playback, Start
from twilio_frames.testing.text.line import TextEar, TextEnd, TextMouth, TextPassage, TextVoice
from twilio_frames.transport import TwilioTransport

_START = Start(
    stream_sid="MZ" + 32 * "0", call_sid="CA" + 32 * "0", account_sid="AC" + 32 * "0", tracks=()
)


class TextTransport(BaseTransport):
    """Stands in the place of a :class:`twilio_frames.transport.TwilioTransport`."""

    def __init__(self, start: Start):
        super().__init__()
        self.start = start
        self.mouth = TextMouth(name=f"{self}#input")
        self.ear = TextEar(self.mouth, name=f"{self}#output")
        self.end = TextEnd(name=f"{self}#end")
        self.end_reason: CallEndReason | None = None
        self.violations: dict[str, int] = {}
        self.underruns = 0
        self.listener_failures: dict[str, int] = {}
        self.pipeline_failure: ErrorFrame | None = None
        self.playback = Playback()
        self.opened_at = time.monotonic()
        self._transferring = False
        self._closed = asyncio.Event()
        events = ("client_connected", "client_disconnected", "call_started", "call_ended")
        register_event_handlers(self, *(f"on_{event}" for event in events))

    def input(self) -> FrameProcessor:
        """The processor where the caller's words come in."""
        return self.mouth

    def output(self) -> FrameProcessor:
        """The processor where the bot's words come out."""
        return self.ear

    async def wait_for_start(self) -> Start:
        """The call's ``start`` message."""
        return self.start

    async def greet(
        self, clip: Clip, *, append_to_context: bool = True, interruptible: bool = True
    ) -> None:
        """Says a clip first of all, or behind what has been said."""
        frame = SpeakClipFrame(clip, append_to_context)
        frame.interruptible = interruptible
        await self.ear.say_first(frame)

    async def begin(self) -> None:
        """Tells the bot that the stream has begun."""
        await self.mouth.push_frame(CallStartedFrame.of(self.start))
        await self.mouth.push_frame(ClientConnectedFrame())
        await call_event_handler(self, "on_client_connected", None)
        await call_event_handler(self, "on_call_started", self.start)

    async def hang_up(self) -> None:
        """Tells the bot that the caller has hung up."""
        if self.end_reason is None:
            await self.close(CallEndReason.CALLER_HUNG_UP)
            if self.mouth.is_deaf:
                # It is ending, and need not say to the end what nobody hears.
                await self.ear.hang_up()
                return
            await self.mouth.push_frame(InterruptionFrame())
            worker_frame = EndWorkerFrame(reason=CallEndReason.CALLER_HUNG_UP.value)
            await self.mouth.push_frame(worker_frame, FrameDirection.UPSTREAM)

    async def close(
        self, reason: CallEndReason = CallEndReason.BOT_HUNG_UP, detail: str = "closed"
    ) -> None:
        """Ends the call."""
        if self.end_reason is not None:
            return
        self.end_reason = CallEndReason.TRANSFERRED if self._transferring else reason
        self._closed.set()
        if self.mouth.started.is_set():
            await self.mouth.push_frame(CallEndedFrame(reason=self.end_reason, detail=detail))
        await call_event_handler(self, "on_call_ended", self.end_reason)
        if self.end_reason is not CallEndReason.BOT_HUNG_UP:
            await call_event_handler(self, "on_client_disconnected", None)

    def expect_transfer(self, expected: bool = True) -> None:
        """Notes that the call is about to get other TwiML."""
        self._transferring = expected

    @property
    def pipeline_is_up(self) -> bool:
        """Whether the pipeline has been up."""
        return self.mouth.started.is_set()

    def expect_end(self, reason: CallEndReason = CallEndReason.BOT_HUNG_UP) -> None:
        """Leaves the end to the pipeline: nobody holds a line meanwhile."""

    def expect_break_off(self) -> None:
        """Leaves the end as it is: nobody reads why the line was closed."""

    def hold_speech(self, is_held: bool = True) -> None:
        """Leaves the bot's words as they are: who reads them is there."""

    def see_to_actions(self, handler: Callable[[Act], None]) -> None:
        """Has somebody do what the pipeline asks for."""
        self.ear.on_action = handler

    def keep_out(self, is_private: bool, what: str) -> None:
        """Leaves it: there is no audio."""

    async def wait_for_close(self) -> None:
        """Waits until the call is over."""
        await self._closed.wait()

    def offer_keys(self, take: Callable[[str], bool]) -> None:
        """Lets somebody take keys before they go into the pipeline."""
        self.mouth.take_key = take

    async def want_digits(
        self,
        is_wanted: bool,
        *,
        is_private: bool,
        take_words: Callable[[str], None] | None = None,
    ) -> None:
        """Tells the pipeline that the caller is asked for digits, or is not any more."""
        await self.mouth.broadcast_frame(
            DigitsWantedFrame, is_wanted=is_wanted, is_private=is_private, take_words=take_words
        )

    def add_tap(self, tap: object) -> None:
        """Leaves a listener without anything to listen to."""

    def add_watcher(self, watcher: object) -> None:
        """Leaves a watcher without messages to see."""


class TextCall(Call):
    """A call whose pipeline runs without its services for sound.

    Args:
        parameters: What the TwiML passed to the stream; ``from`` and ``to`` among them.
    """

    def __init__(self, parameters: Mapping[str, str]):
        start = Start(
            stream_sid=_START.stream_sid,
            call_sid=_START.call_sid,
            account_sid=_START.account_sid,
            tracks=("inbound",),
            custom_parameters=dict(parameters),
        )
        self.line = TextTransport(start)
        super().__init__(cast(TwilioTransport, self.line), start)
        self.context: LLMContext | None = None
        """The conversation's memory, once the bot has a pipeline."""

    async def greet(self, greeting: Clip | Greeting | str) -> None:
        """Says a greeting first of all; nothing is recorded for it."""
        if isinstance(greeting, Greeting):
            greeting = greeting.clip or greeting.text
        await super().greet(greeting)

    async def run(
        self,
        pipeline: BasePipeline | PipelineWorker,
        *,
        greeting: Clip | Greeting | str | None = None,
        begin_with: Sequence[Frame] = (),
        **options: Any,
    ) -> CallEndReason | None:
        """Runs the bot's pipeline, with what deals with sound taken out of it."""
        whole = pipeline.pipeline if isinstance(pipeline, PipelineWorker) else pipeline
        _take_sound_out(whole)
        _insert(self.line.end, whole.processors, len(whole.processors) - 1)
        self.context = next(_memories(whole), None)
        beginning = asyncio.create_task(self._begin())
        try:
            return await super().run(pipeline, greeting=greeting, begin_with=begin_with, **options)
        finally:
            beginning.cancel()

    async def _begin(self) -> None:
        await self.line.mouth.started.wait()
        await self.line.begin()


class _TextIsTurn(BaseUserTurnStopStrategy):
    """The caller's turn is over as soon as its text is there."""

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        if isinstance(frame, TranscriptionFrame):
            await self.trigger_user_turn_stopped()
        return ProcessFrameResult.CONTINUE


def _take_sound_out(pipeline: FrameProcessor) -> None:
    """Replaces a pipeline's VAD, STT and TTS, and has turns begin and end as the caller's texts do.

    What stands in a pipeline within it, a switcher of services say, is replaced as well. Do it
    before the pipeline runs: what has been replaced is never set up, and so connects to nobody.
    """
    parts = pipeline.processors
    for place, part in enumerate(tuple(parts)):
        if isinstance(part, STTService | VADProcessor | TTSService):
            stand_in = TextVoice() if isinstance(part, TTSService) else TextPassage()
            del parts[place]
            _insert(stand_in, parts, place)
        elif isinstance(part, LLMUserAggregator | UserTurnProcessor):
            _take_turns_as_told(part)
        else:
            _take_sound_out(part)


def _insert(part: FrameProcessor, parts: list[FrameProcessor], place: int) -> None:
    parts[place - 1].link(part)
    part.link(parts[place])
    parts.insert(place, part)


def _take_turns_as_told(part: LLMUserAggregator | UserTurnProcessor) -> None:
    strategies = UserTurnStrategies(
        start=[TranscriptionUserTurnStartStrategy()], stop=[_TextIsTurn()]
    )
    set_turn_strategies(part, strategies)


def _memories(part: FrameProcessor) -> Iterator[LLMContext]:
    if isinstance(part, LLMUserAggregator):
        yield part.context
    for inner in part.processors:
        yield from _memories(inner)
