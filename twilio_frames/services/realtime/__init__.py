"""OpenAI's Realtime models on the phone line: mu-law both ways, and a memory of what was heard.

Theory of operation
-------------------
The model hears and speaks mu-law, so the caller's bytes go out as Twilio sent them and the model's
come to the ear as it made them.

*Whose turn it is* the pipeline says, as with any other service: ``PhoneVAD`` and the turn
strategies before this service. Only what they take for a turn reaches the model. While the caller
may want to speak the output is held; a cough costs a moment of silence and leaves no trace. What is
as long as a word, and too short to be a turn for its length, is transcribed by the model's session
and deleted there unless its words interrupt; see ``overlap_probe``. With ``turn_detection`` in the
session the server decides instead, and cuts its reply off itself.

*What is said and heard* is :class:`RealtimeSession`'s to know, which does no I/O. The service here
brings it frames and events, carries out its orders, and keeps a connection up for it.
"""

import asyncio
import inspect
import itertools
import time
from typing import Any, ClassVar

from pipecat.frames import frames
from pipecat.frames.frames import Frame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import (
    OpenAIRealtimeLLMService,
    OpenAIRealtimeLLMSettings,
)
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.types import is_given

from twilio_frames.frames import MulawOutputFrame, VendorRole
from twilio_frames.pipecat_internals import (
    call_event_handler,
    register_event_handlers,
    sync_tool_handlers,
)
from twilio_frames.processors.output.function_rounds import FunctionRoundsOverFrame
from twilio_frames.processors.replies.apology import Apology
from twilio_frames.services.connection_keeper import Failure
from twilio_frames.services.realtime import orders
from twilio_frames.services.realtime.connection import RealtimeConnection
from twilio_frames.services.realtime.session import RealtimeSession, Result
from twilio_frames.services.realtime.settings import (
    complete_settings,
    phone_session,
    without_unsupported,
)
from twilio_frames.services.retry_policy import RetryPolicy

__all__ = ["PhoneOpenAIRealtimeLLMService"]


class PhoneOpenAIRealtimeLLMService(RealtimeConnection):
    """A Realtime model of OpenAI's on a phone call.

    Stands between the two halves of the context, in the place of STT, LLM and TTS. It needs a VAD
    and turn strategies before it, such as ``PhoneVAD`` and ``PhoneContextAggregator``; with
    ``turn_detection`` given in the session, Pipecat's ``ExternalUserTurnStrategies`` instead.

    Event handlers available: ``on_conversation_item_created`` and
    ``on_conversation_item_updated`` (service, item_id, item).

    Args:
        api_key: OpenAI's key.
        base_url: The address of the Realtime API, or of another server that speaks it.
        settings: Those of Pipecat's ``OpenAIRealtimeLLMService``. Audio is mu-law whatever they
            say; the caller's words are transcribed unless they say how; turns are the pipeline's
            unless they say otherwise.
        policy: How long to wait for a connection, and how often to try again.
        filler_audio: Mu-law, played once when an answer keeps the caller waiting.
        apology_audio: Mu-law, played when no answer will come.
        patience_secs: Silence after which the filler is played.
        answer_secs: Silence of the model's while it owes an answer, after which its session counts
            as dead.
        batch_secs: How much of the caller's audio goes in one message.
        words_secs: How long the transcript of a short sound over the bot is waited for, so that a
            word interrupts and an 'uh-huh' does not; 0.0 to go by the length of speech alone.
        start_audio_paused: Whether the caller's audio is left out to begin with.
        **kwargs: Passed to Pipecat's ``LLMService``.
    """

    Settings = OpenAIRealtimeLLMSettings
    adapter_class = OpenAIRealtimeLLMService.adapter_class
    vendor_role = VendorRole.REALTIME
    judges_replies: ClassVar[bool] = True

    LOOK_SECS = 0.1
    """How often it is looked what is due."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = "wss://api.openai.com/v1/realtime",
        settings: OpenAIRealtimeLLMSettings | None = None,
        policy: RetryPolicy | None = None,
        filler_audio: bytes = b"",
        apology_audio: bytes = b"",
        patience_secs: float = 2.0,
        answer_secs: float = 5.0,
        batch_secs: float = 0.06,
        words_secs: float = 0.8,
        start_audio_paused: bool = False,
        **kwargs: Any,
    ):
        settings = complete_settings(settings)
        super().__init__(
            api_key=api_key,
            base_url=f"{base_url}?model={settings.model}",
            policy=policy,
            settings=settings,
            **kwargs,
        )
        self._filler_audio = filler_audio
        self._apology = Apology(apology_audio)
        self._patience_secs = patience_secs
        self._answer_secs = answer_secs
        self._session = RealtimeSession(
            server_decides=not self._turns_are_the_pipelines,
            batch_secs=batch_secs,
            words_secs=words_secs,
        )
        self._session.turns.is_paused = start_audio_paused
        self._carrying = asyncio.Lock()
        self._carrier: asyncio.Task[Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._has_begun = asyncio.Event()
        self._clips = itertools.count(1)
        register_event_handlers(
            self, "on_conversation_item_created", "on_conversation_item_updated"
        )

    # Pipecat's part.

    def can_generate_metrics(self) -> bool:
        """Yes."""
        return True

    @property
    def accepts_intermediate_function_call_results(self) -> bool:
        """Yes: they are told beside the call, which takes one."""
        return True

    @property
    def _properties(self) -> events.SessionProperties:
        given: Any = self.settings
        return given.session_properties

    @property
    def _turns_are_the_pipelines(self) -> bool:
        audio = self._properties.audio
        return bool(audio and audio.input and audio.input.turn_detection is False)

    def service_metadata_frame(self) -> frames.LLMServiceMetadataFrame:
        """Tells that the model speaks, and whether its server decides whose turn it is."""
        decides = not self._turns_are_the_pipelines
        return frames.LLMServiceMetadataFrame(
            service_name=self.name,
            is_realtime_service=True,
            user_turn_strategies=ExternalUserTurnStrategies() if decides else None,
        )

    def _service_tools(self) -> Any:
        return self._properties.tools

    def set_audio_input_paused(self, paused: bool) -> None:
        """Leaves out the caller's audio, or takes it again."""
        self._session.turns.is_paused = paused

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Begins to connect: the call's first moments are not the connection's."""
        await super().setup(setup)
        self._tasks = [self.create_task(self.keeper.run()), self.create_task(self._watch())]

    async def start(self, frame: frames.StartFrame) -> None:
        """Starts; tells the pipeline that no turn need wait for its words."""
        await super().start(frame)
        if self._turns_are_the_pipelines and not self._session.turns.has_recogniser:
            await self.broadcast_frame(
                frames.STTMetadataFrame, service_name=self.name, ttfs_p99_latency=0.0
            )

    async def stop(self, frame: frames.EndFrame) -> None:
        """Closes the session."""
        await super().stop(frame)
        await self._disconnect()

    async def cancel(self, frame: frames.CancelFrame) -> None:
        """Closes the session."""
        await super().cancel(frame)
        await self._disconnect()

    async def cleanup(self) -> None:
        """Closes the session."""
        await super().cleanup()
        await self._disconnect()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Lets the session know of a frame, and passes it on."""
        if isinstance(frame, FunctionRoundsOverFrame):
            await self.push_error(frame.reproach, category=ErrorCategory.APPLICATION)
            await self._apologize()
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.LLMSetToolsFrame):
            sync_tool_handlers(self, frame.tools)
        self._session.take_frame(frame, direction, time.monotonic())
        await self._carry_out()
        await self.push_frame(frame, direction)
        if isinstance(frame, frames.StartFrame):
            self._has_begun.set()

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame; tells the model what came of a function."""
        if isinstance(frame, Result) and direction is FrameDirection.DOWNSTREAM:
            self._session.take_result(frame)
            await self._carry_out()
        await super().push_frame(frame, direction)

    async def _update_settings(self, delta: Any) -> dict[str, Any]:
        if is_given(delta.session_properties):
            delta.session_properties = phone_session(delta.session_properties)
        changed = await super()._update_settings(delta)
        if changed.keys() & {"session_properties", "system_instruction"}:
            await self._configure()
        return changed

    # The session's orders.

    async def _carry_out(self) -> None:
        """Does what the session wants done by now, in order."""
        if self._carrier is asyncio.current_task():
            # What this comes of is being carried out: its turn will come.
            return
        async with self._carrying:
            self._carrier = asyncio.current_task()
            try:
                while self._session.orders:
                    await self._carry(self._session.orders.popleft())
            finally:
                self._carrier = None

    async def _carry(self, order: orders.Order) -> None:
        match order:
            case orders.Send(event):
                await self.send_client_event(event)
            case orders.Push(frame, direction):
                await self.push_frame(frame, direction)
            case orders.Broadcast(kind, fields):
                await self.broadcast_frame(kind, **fields)
            case orders.Configure():
                await self._configure()
            case orders.Replay():
                await self._replay(order)
            case orders.Call(call_id, name, arguments):
                context: Any = self._session.context
                called = frames.FunctionCallFromLLM(
                    function_name=name, tool_call_id=call_id, arguments=arguments, context=context
                )
                await self.run_function_calls([called])
            case orders.Notify(event, item_id, item):
                await call_event_handler(self, event, item_id, item)
            case orders.Report(text, category):
                await self.tell(text, category)
            case orders.CountTokens(tokens):
                await self.start_llm_usage_metrics(tokens)
            case _:
                await self._do(order)

    async def _do(self, what: orders.Do) -> None:
        match what:
            case orders.Do.BREAK_OFF:
                self.keeper.break_off()
            case orders.Do.PLAY_FILLER:
                await self._play(self._filler_audio)
            case orders.Do.APOLOGIZE:
                await self._apologize()
            case orders.Do.NOTE_SUCCESS:
                self._apology.begin_anew()
                await self.keeper.prove()
            case orders.Do.METER_ASKED:
                await self.start_processing_metrics()
                await self.start_ttfb_metrics()
            case orders.Do.METER_FIRST_BYTE:
                await self.stop_ttfb_metrics()
            case orders.Do.METER_DONE:
                await self.stop_processing_metrics()
            case orders.Do.METER_NOTHING:
                await self.stop_all_metrics()

    async def _converted(self, context: LLMContext) -> dict[str, Any]:
        settings: Any = self.settings
        found: Any = self.get_llm_adapter().get_llm_invocation_params(
            context, system_instruction=settings.system_instruction
        )
        return await found if inspect.isawaitable(found) else found

    async def _configure(self) -> None:
        session = self._properties.model_copy()
        self._session.modalities = ["audio"]
        if session.output_modalities and "audio" not in session.output_modalities:
            self._session.modalities = ["text"]
        tools: Any = None
        if (context := self._session.context) is not None:
            converted = await self._converted(context)
            session.instructions = converted["system_instruction"] or session.instructions
            tools = converted["tools"]
        own: Any = session.tools
        session.tools = tools or self.get_llm_adapter().from_standard_tools(own)
        await self.send_client_event(
            events.SessionUpdateEvent(session=without_unsupported(session))
        )

    async def _replay(self, order: orders.Replay) -> None:
        context = self._session.context
        if context is None:
            return
        told = LLMContext(order.past.messages, tools=context.tools, tool_choice=context.tool_choice)
        before = None if order.is_first else "root"
        for item in (await self._converted(told))["messages"]:
            self._session.note_replayed(order.past, item.id)
            await self.send_client_event(
                events.ConversationItemCreateEvent(item=item, previous_item_id=before)
            )
            before = before and item.id

    # The connection.

    async def _disconnect(self) -> None:
        self._session.is_ready = False
        await self.stop_all_metrics()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await self.cancel_task(task)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.LOOK_SECS)
            if self._has_begun.is_set():
                self._session.tick(
                    time.monotonic(),
                    patience_secs=self._patience_secs,
                    answer_secs=self._answer_secs,
                )
                await self._carry_out()
            if not self._session.is_ready and self.keeper.age_secs > self._answer_secs:
                self.keeper.break_off()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._session.pending.is_open

    def note_event(self, event: dict[str, Any], now: float) -> None:
        """Lets the session know of an event of any kind."""
        self._session.note_event(event, now)

    async def take_event(self, event: Any, now: float) -> None:
        """Lets the session know of an event that Pipecat has a model of."""
        self._session.take_event(event, now)
        await self._carry_out()

    async def on_lost(self, failure: Failure) -> None:
        """Lets the session know that the model has forgotten it all."""
        self._session.lost()
        await self._carry_out()

    async def on_outage(self, failure: Failure) -> None:
        """Reports that nobody answers, and tells the caller; the next turn may be answered."""
        await self._has_begun.wait()
        if not self.is_idle:
            self._apology.begin_anew()
        self._session.give_up()
        await super().on_outage(failure)
        await self._apologize()

    async def _apologize(self) -> None:
        self._session.pending.settle()
        await self._play(self._apology.take())

    async def _play(self, mulaw: bytes) -> None:
        if not mulaw:
            return
        context_id = f"{self.name}#clip{next(self._clips)}"
        started = frames.TTSStartedFrame(context_id=context_id)
        started.append_to_context = False
        await self.push_frame(started)
        await self.push_frame(MulawOutputFrame.of(mulaw, context_id=context_id))
        await self.push_frame(frames.TTSStoppedFrame(context_id=context_id))
