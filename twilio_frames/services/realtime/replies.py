"""A realtime service that knows what it owes the caller, and what the caller heard of it."""

import asyncio
import base64
import inspect
import time
from typing import Any

from loguru import logger
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
from twilio_frames.processors.output.function_rounds import FunctionRoundsOverFrame
from twilio_frames.services.realtime.connection import RealtimeConnection
from twilio_frames.services.realtime.history_replay import HistoryReplay
from twilio_frames.services.realtime.speech import ModelSpeech, SpokenItem

_CUT_SECONDS = 1.5
_RETRIES = 2
_RETRY_SECONDS = 0.5
_CATEGORIES = {
    "rate_limit_exceeded": ErrorCategory.RATE_LIMIT,
    "insufficient_quota": ErrorCategory.QUOTA,
    "server_error": ErrorCategory.SERVER,
}
_NO_AUDIO = "words without audio"
_CUT = "max_output_tokens"
_MAY_WORK_LATER = frozenset({"rate_limit_exceeded", "server_error", _NO_AUDIO})


def _code_of(status: str | None, details: dict[str, Any], *, is_silent: bool) -> str:
    """Why an answer is not what was asked for; empty if it is, or if it was cancelled."""
    if status == "failed":
        failure = details.get("error") or {}
        return str(failure.get("code") or failure.get("type"))
    if (
        status == "incomplete"
        and (reason := details.get("reason"))
        and (not is_silent or reason != _CUT)
    ):
        # It ended well, and is not whole.
        return str(reason)
    return _NO_AUDIO if is_silent else ""


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
        self._past: HistoryReplay | None = None
        self._cut_timer: asyncio.Task[None] | None = None
        self._is_unheard = False
        self._bot_began_at: float | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._last_transcript = ""
        self._has_recogniser = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Tells the model what was heard; passes everything on to Pipecat's service."""
        match frame:
            case BotStartedSpeakingFrame():
                self._bot_began_at = time.monotonic()
            case BotStoppedSpeakingFrame():
                self._bot_began_at, self._is_unheard = None, False
                self._speech.note_silence()
            case SpeechCutFrame():
                await self._take_cut(frame)
            case STTMetadataFrame():
                self._has_recogniser = True
            case FunctionRoundsOverFrame():
                await self.push_error(frame.reproach, category=ErrorCategory.APPLICATION)
                await self._apologise()
                return
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
        self._last_transcript = evt.transcript
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
        is_silent = self._speech.current is not None and not self._speech.current.length
        if not is_dropped:
            await self._speech.end()
        code = _code_of(response.status, response.status_details or {}, is_silent=is_silent)
        if response.status == "failed":
            # Pipecat would report each as it comes, and in the vendor's words.
            response.status = "incomplete"
        await super()._handle_evt_response_done(evt)
        self._is_responding, self._response_id = False, None
        if code == _CUT:
            logger.warning(
                "expected a whole answer, got one that its limit of tokens cut off: raise "
                "max_output_tokens, or ask for shorter answers"
            )
        if code not in ("", _CUT) and not is_dropped:
            await self._answer_failed(code)
        elif (code == _CUT or response.status == "completed") and not is_dropped:
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
        if self._is_unheard and self._cut_timer is None:
            self._cut_timer = self.create_task(self._do_without_cut(time.monotonic()))

    async def _truncate_current_audio_response(self) -> None:
        """Pipecat would tell the model at once, by the clock; see :meth:`_take_cut`."""

    async def _take_cut(self, frame: SpeechCutFrame) -> None:
        item = self._speech.find(frame.context_id)
        if item is None:
            return
        await self._tell_heard(item, frame.heard_ms)
        timer, self._cut_timer = self._cut_timer, None
        if timer is not None:
            await self.cancel_task(timer)
        self._is_unheard = False
        await self._maybe_respond()

    async def _tell_heard(self, item: SpokenItem, heard_ms: int) -> None:
        self._speech.note_cut(item, heard_ms)
        if not item.length or heard_ms >= item.milliseconds:
            return
        if item.is_lost:
            await self._correct_past(item)
            return
        await self.send_client_event(
            events.ConversationItemTruncateEvent(
                item_id=item.id, content_index=item.content_index, audio_end_ms=heard_ms
            )
        )

    async def _do_without_cut(self, interrupted_at: float) -> None:
        """Goes by the clock if nobody says what was heard: its audio never got that far."""
        began_at = self._bot_began_at
        unheard = tuple(self._speech.unheard)
        await asyncio.sleep(_CUT_SECONDS)
        self._cut_timer, self._is_unheard = None, False
        left_ms = 0 if began_at is None else round(1000 * (interrupted_at - began_at))
        for item in unheard:
            heard_ms = min(left_ms, item.milliseconds)
            left_ms -= heard_ms
            await self._tell_heard(item, heard_ms)
        await self._maybe_respond()

    # Sessions.

    async def _lost(self) -> None:
        is_broken_off = self._speech.current is not None
        self._past = None
        await self._speech.break_off()
        if is_broken_off:
            await self.push_frame(LLMFullResponseEndFrame())
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
        self._past = HistoryReplay.of(
            self._context.get_messages(),
            self._speech.unheard,
            self._last_transcript,
            is_owed=self._debt.is_open,
        )
        await self._tell_past(self._past)
        await self._send_session_update()
        self._llm_needs_conversation_setup = False

    async def _correct_past(self, item: SpokenItem) -> None:
        """Tells a session anew what was said before it, now that less of it was heard."""
        past = self._past
        if past is None or not any(one is item for one in past.lost):
            # No session has been told of it: the context will have what was heard.
            return
        replaced, past.item_ids = past.item_ids, []
        await self._tell_past(past)
        for item_id in replaced:
            await self.send_client_event(events.ConversationItemDeleteEvent(item_id=item_id))

    async def _tell_past(self, past: HistoryReplay) -> None:
        if self._context is None:
            return
        context = LLMContext(
            past.messages, tools=self._context.tools, tool_choice=self._context.tool_choice
        )
        parameters: Any = self.get_llm_adapter().get_llm_invocation_params(context)
        if inspect.isawaitable(parameters):
            parameters = await parameters
        before = "root"
        for item in parameters["messages"]:
            self._messages_added_manually[item.id] = True
            past.item_ids.append(item.id)
            await self.send_client_event(
                events.ConversationItemCreateEvent(item=item, previous_item_id=before)
            )
            before = item.id
