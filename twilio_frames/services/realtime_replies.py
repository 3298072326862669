"""A realtime service that knows what it owes the caller, and what the caller heard of it."""

import asyncio
import base64
import inspect
import time
from collections.abc import Iterator
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    LLMFullResponseEndFrame,
    STTMetadataFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime import events
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.time import time_now_iso8601

from twilio_frames.frames import SpeechCutFrame, TurnTranscriptionFrame
from twilio_frames.services.realtime_connection import RealtimeConnection
from twilio_frames.services.realtime_speech import ModelSpeech, SpokenItem

_CUT_SECONDS = 1.5
_RETRIES = 2
_RETRY_SECONDS = 0.5
_CATEGORIES = {
    "rate_limit_exceeded": ErrorCategory.RATE_LIMIT,
    "insufficient_quota": ErrorCategory.QUOTA,
    "server_error": ErrorCategory.SERVER,
}
_MAY_WORK_LATER = frozenset({"rate_limit_exceeded", "server_error"})
_WENT_ON = (
    "The telephone connection broke while you were saying this. Go on from there, without "
    "greeting again."
)


class _CancelEvent(events.ResponseCancelEvent):
    """Pipecat's, with the response that is meant."""

    response_id: str | None = None


class RealtimeReplies(RealtimeConnection):
    """Orders answers, hands them on as mu-law, and tells the model what was heard of them."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._speech = ModelSpeech(self.push_frame)
        self._is_responding = False
        self._is_next_owed = False
        self._drops_next = False
        self._response_id: str | None = None
        self._lost_speech: SpokenItem | None = None
        self._cut_timer: asyncio.Task[None] | None = None
        self._is_unheard = False
        self._bot_began_at: float | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._last_transcript = ""
        self._words_before = ""
        self._has_recogniser = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Tells the model what was heard; passes everything on to Pipecat's service."""
        match frame:
            case BotStartedSpeakingFrame():
                self._bot_began_at = time.monotonic()
            case BotStoppedSpeakingFrame():
                self._bot_began_at, self._is_unheard = None, False
            case SpeechCutFrame():
                await self._take_cut(frame)
            case STTMetadataFrame():
                self._has_recogniser = True
            case _:
                pass
        await super().process_frame(frame, direction)

    # What the model says.

    async def _handle_evt_audio_delta(self, evt: events.ResponseAudioDelta) -> None:
        item = await self._speech.item(evt.item_id, evt.content_index, evt.response_id)
        if item is None:
            return
        mulaw = base64.b64decode(evt.delta)
        await self.stop_ttfb_metrics()
        self._is_unheard = True
        self._debt.bot_heard(time.monotonic())
        await self._speech.audio(item, mulaw)

    async def _handle_evt_audio_transcript_delta(
        self, evt: events.ResponseAudioTranscriptDelta
    ) -> None:
        item = await self._speech.item(evt.item_id, evt.content_index, evt.response_id)
        if item is not None:
            await self._speech.words(item, evt.delta)

    async def handle_evt_input_audio_transcription_completed(
        self, evt: events.ConversationItemInputAudioTranscriptionCompleted
    ) -> None:
        """Hands the caller's words on; they stand in the next session if this one breaks."""
        self._last_transcript = f"{self._words_before} {evt.transcript}".strip()
        if not self._is_turn_detection_disabled():
            await super().handle_evt_input_audio_transcription_completed(evt)
            return
        await self._call_event_handler("on_conversation_item_updated", evt.item_id, None)
        if self._has_recogniser:
            # It has told the caller's words already.
            return
        words = TurnTranscriptionFrame(evt.transcript, "", time_now_iso8601(), result=evt)
        await self.push_frame(words, FrameDirection.UPSTREAM)

    async def _handle_evt_input_audio_transcription_delta(
        self, evt: events.ConversationItemInputAudioTranscriptionDelta
    ) -> None:
        # Where the turn is over already, half of its words are of no use.
        if not self._is_turn_detection_disabled():
            await super()._handle_evt_input_audio_transcription_delta(evt)

    def _note_event(self, event: dict[str, Any]) -> None:
        super()._note_event(event)
        if event["type"] == "response.created":
            self._is_responding = True
            self._response_id = (event.get("response") or {}).get("id")
            if self._drops_next:
                self._speech.drop(self._response_id)
            self._drops_next = False

    async def _handle_evt_response_done(self, evt: events.ResponseDone) -> None:
        response = evt.response
        is_dropped = self._speech.is_dropped(response.id)
        if not is_dropped:
            await self._speech.end()
        failure = (response.status_details or {}).get("error") or {}
        has_failed = response.status == "failed"
        if has_failed:
            # Pipecat would report each as it comes, and in the vendor's words.
            response.status = "incomplete"
        await super()._handle_evt_response_done(evt)
        self._is_responding, self._response_id = False, None
        if has_failed and not is_dropped:
            await self._answer_failed(str(failure.get("code") or failure.get("type")))
        elif response.status == "completed" and not is_dropped:
            self._session_works()
            self._answered()
        await self._maybe_respond()

    def _answered(self) -> None:
        """The answer that was owed is there."""
        self._debt.settle()

    # Orders.

    async def _create_response(self) -> None:
        self._debt.open(time.monotonic())
        if not self._api_session_ready:
            self._run_llm_when_api_session_ready = True
            if self._keeper is None and not self._is_refused:
                await self._connect()
        elif self._is_responding or self._cut_timer is not None:
            self._is_next_owed = True
        elif self._context is None:
            self._is_responding = True
            await self.send_client_event(events.ResponseCreateEvent())
        else:
            self._is_responding = True
            await super()._create_response()

    async def _maybe_respond(self) -> None:
        if self._is_next_owed and not self._is_responding and self._cut_timer is None:
            self._is_next_owed = False
            await self._create_response()

    async def _answer_failed(self, code: str) -> None:
        self._debt.retries += 1
        if code in _MAY_WORK_LATER and self._debt.is_open and self._debt.retries <= _RETRIES:
            delay = _RETRY_SECONDS * 2 ** (self._debt.retries - 1)
            self._retrying = self.create_task(self._respond_again(delay))
            return
        await self._tell(
            f"expected an answer of the model, got {code}: the caller hears an apology, and the "
            "next turn tries again",
            _CATEGORIES.get(code, ErrorCategory.UNKNOWN),
        )
        await self._apologise()

    async def _respond_again(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self._retrying = None
        if self._debt.is_open:
            await self._create_response()

    # Interruptions.

    async def _handle_interruption(self) -> None:
        self._debt.settle()
        self._is_next_owed = self._run_llm_when_api_session_ready = False
        # What Pipecat would order behind the response that ends here.
        self._response_create_owed = False
        self._speech.drop(self._response_id if self._is_responding else None)
        if self._is_responding:
            self._drops_next = self._response_id is None
            await self.send_client_event(_CancelEvent(response_id=self._response_id))
        await self.stop_all_metrics()
        if self._is_unheard and self._cut_timer is None and self._api_session_ready:
            self._cut_timer = self.create_task(self._do_without_cut(time.monotonic()))

    async def _truncate_current_audio_response(self) -> None:
        """Pipecat would tell the model at once, by the clock; see :meth:`_take_cut`."""

    async def _take_cut(self, frame: SpeechCutFrame) -> None:
        item = self._speech.find(frame.context_id)
        if item is None:
            return
        await self._truncate(item, frame.heard_ms)
        timer, self._cut_timer = self._cut_timer, None
        if timer is not None:
            await self.cancel_task(timer)
        self._is_unheard = False
        await self._maybe_respond()

    async def _truncate(self, item: SpokenItem, heard_ms: int) -> None:
        if item.length and heard_ms < item.milliseconds:
            await self.send_client_event(
                events.ConversationItemTruncateEvent(
                    item_id=item.id, content_index=item.content_index, audio_end_ms=heard_ms
                )
            )

    async def _do_without_cut(self, interrupted_at: float) -> None:
        """Truncates by the clock if nobody says what was heard: its audio never got that far."""
        began_at = self._bot_began_at
        await asyncio.sleep(_CUT_SECONDS)
        self._cut_timer, self._is_unheard = None, False
        if self._speech.last is not None:
            heard = 0.0 if began_at is None else interrupted_at - began_at
            await self._truncate(self._speech.last, round(1000 * heard))
        await self._maybe_respond()

    # Sessions.

    async def _lost(self) -> None:
        lost, self._lost_speech = self._speech.current, None
        if lost is not None:
            self._lost_speech = lost
            await self._speech.end()
            await self.push_frame(LLMFullResponseEndFrame())
        self._speech.forget()
        self._is_responding = self._drops_next = False
        self._response_id = None
        # What Pipecat's own way to disconnect forgets.
        self._response_active = self._response_create_owed = False
        self._open_function_calls = set()
        await super()._lost()
        if self._debt.is_open:
            await self._lost_answer()

    async def _lost_answer(self) -> None:
        self._debt.retries += 1
        self._run_llm_when_api_session_ready = self._debt.retries <= _RETRIES
        if not self._run_llm_when_api_session_ready:
            await self._tell(
                "expected an answer of the model, got none: the caller hears an apology, and the "
                "next turn tries again",
                ErrorCategory.CONNECTIVITY,
            )
            await self._apologise()

    async def _handle_evt_session_updated(self, evt: events.SessionUpdatedEvent) -> None:
        if not self._api_session_ready:
            self._was_ready = True
            await self._restore()
        await super()._handle_evt_session_updated(evt)

    async def _restore(self) -> None:
        """Lays before a new session what was said so far."""
        if self._context is None or not self._llm_needs_conversation_setup:
            return
        self._completed_tool_calls = set()
        await self._process_completed_function_calls(send_new_results=False)
        context = LLMContext(
            [*self._context.get_messages(), *self._unwritten(self._context)],
            tools=self._context.tools,
            tool_choice=self._context.tool_choice,
        )
        parameters: Any = self.get_llm_adapter().get_llm_invocation_params(context)
        if inspect.isawaitable(parameters):
            parameters = await parameters
        for item in parameters["messages"]:
            self._messages_added_manually[item.id] = True
            await self.send_client_event(events.ConversationItemCreateEvent(item=item))
        await self._send_session_update()
        self._llm_needs_conversation_setup = False

    def _unwritten(self, context: LLMContext) -> Iterator[Any]:
        """What was said last, and stands in the context only when it has been heard."""
        lost, self._lost_speech = self._lost_speech, None
        if lost is None:
            return
        messages = [message for message in context.get_messages() if isinstance(message, dict)]
        written = [(message.get("role"), message.get("content")) for message in messages[-3:]]
        if self._last_transcript and ("user", self._last_transcript) not in written:
            yield {"role": "user", "content": self._last_transcript}
        if not written or written[-1][0] != "assistant":
            yield {"role": "assistant", "content": lost.text.strip()}
        if self._debt.is_open:
            yield {"role": "developer", "content": _WENT_ON}
