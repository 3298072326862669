"""A conversation with a realtime model, over as many connections as it takes. No I/O.

Frames of the pipeline and events of the model go in, with the time; what is to be done about them
stands in :attr:`RealtimeSession.orders`.

Theory of operation
-------------------
*An answer is owed* from when it is ordered until it is there, or is not wanted any more. While
another one runs, or it is not known yet what was heard of the last, the order waits.

*What was heard* the output says, with a ``SpeechCutFrame``: there the model's message is truncated.
Where that does not come, no audio got that far, and the clock has to do.

*A session that breaks* takes all that the model knew with it. The next one is told of it anew:
the context, what of the bot's speech is still to be heard, and the turn that was not answered.
"""

from collections import deque
from typing import Any

from pipecat.frames import frames
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime import events
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.time import time_now_iso8601

from twilio_frames.frames import SpeechCutFrame, TurnTranscriptionFrame
from twilio_frames.services.realtime import orders
from twilio_frames.services.realtime.caller_turns import CallerTurns
from twilio_frames.services.realtime.function_results import FunctionResults
from twilio_frames.services.realtime.history_replay import HistoryReplay, items_of
from twilio_frames.services.realtime.orders import Do, Notify, Order, Push, Replay, Send
from twilio_frames.services.realtime.pending_response import (
    PendingResponse,
    category_of,
    failure_of,
)
from twilio_frames.services.realtime.speech import ModelSpeech, SpokenItem

Result = frames.FunctionCallResultFrame | frames.FunctionCallCancelFrame


class RealtimeSession:
    """What is said by either side, and what the model is told of it.

    Args:
        server_decides: Whether the server detects turns.
        batch_secs: How much of the caller's audio goes in one message.
        words_secs: How long the words of a short sound over the bot are waited for.
    """

    def __init__(self, *, server_decides: bool, batch_secs: float, words_secs: float):
        self.orders: deque[Order] = deque()
        self.is_ready = False
        """Whether the model has taken the session's settings."""
        self.needs_setup = True
        """Whether the model is still to be told of the context."""
        self.context: LLMContext | None = None
        self.pending = PendingResponse()
        self.bot_speaks = False
        self.modalities: list[Any] = ["audio"]
        """What answers are made of."""
        self._now = 0.0
        self._speech = ModelSpeech(lambda frame: self._do(Push(frame)))
        self._functions = FunctionResults()
        self.turns = CallerTurns(
            self.orders, server_decides=server_decides, batch_secs=batch_secs, words_secs=words_secs
        )
        self.last_transcript = ""
        """What the caller said last, as far as the model has told."""
        self._past: HistoryReplay | None = None
        # The answer that is being given.
        self._is_responding = self._is_next_owed = self._drops_next = False
        self._responds_when_ready = False
        self._response_id: str | None = None
        self._retry_at: float | None = None

    @property
    def _messages(self) -> list[Any]:
        return [] if self.context is None else self.context.get_messages()

    def _do(self, *wanted: Order) -> None:
        self.orders.extend(wanted)

    def _send(self, *sent: events.ClientEvent) -> None:
        self._do(*map(Send, sent))

    # What the pipeline tells.

    def take_frame(self, frame: frames.Frame, direction: FrameDirection, now: float) -> None:
        """Takes a frame that passes by."""
        self._now = now
        self.turns.take_frame(frame, may_ask=self.is_ready and self.bot_speaks)
        match frame:
            case frames.BotStartedSpeakingFrame():
                self.bot_speaks = True
                self._speech.note_sound(now)
            case frames.BotStoppedSpeakingFrame():
                self.bot_speaks = False
                self._speech.note_silence()
            case SpeechCutFrame():
                self._take_cut(frame)
            case frames.STTMetadataFrame():
                self.turns.has_recogniser = True
            case frames.LLMContextFrame():
                self._take_context(frame.context, is_asked=direction is FrameDirection.UPSTREAM)
            case frames.InputAudioRawFrame():
                self.turns.send_batches(is_ready=self.is_ready)
            case frames.InterruptionFrame():
                self._interrupt()
            case frames.UserStartedSpeakingFrame():
                self._begin_turn()
            case frames.UserStoppedSpeakingFrame():
                self._end_turn()
            case frames.LLMMessagesAppendFrame():
                self._take_messages(frame)
            case frames.LLMSetToolsFrame():
                self._do(orders.Configure())
            case _:
                pass

    def take_result(
        self, frame: frames.FunctionCallResultFrame | frames.FunctionCallCancelFrame
    ) -> None:
        """Takes what came of a function."""
        if isinstance(frame, frames.FunctionCallResultFrame):
            item = self._functions.came(frame)
        else:
            item = self._functions.cancelled(frame)
        if item is not None:
            self._send(events.ConversationItemCreateEvent(item=item))

    def _take_context(self, context: LLMContext, *, is_asked: bool) -> None:
        is_first, self.context = self.context is None, context
        if is_first:
            self._functions.take_as_told(context.get_messages())
            self._order_response()
            return
        for item in self._functions.untold(context.get_messages()):
            self._send(events.ConversationItemCreateEvent(item=item))
        # One that goes up comes from the context's other end, which asks for an answer to them.
        if is_asked and self._functions.await_response:
            self._order_response()

    def _take_messages(self, frame: frames.LLMMessagesAppendFrame) -> None:
        if not self.is_ready or self.needs_setup:
            return
        for item in items_of(frame.messages):
            self._send(events.ConversationItemCreateEvent(item=item))
        self._functions.await_response = True

    def tick(self, now: float, *, patience_secs: float, answer_secs: float) -> None:
        """Does what is due.

        Args:
            now: The time.
            patience_secs: Silence after which the caller is told to wait.
            answer_secs: Silence of the model's after which its session counts as dead.
        """
        self._now = now
        if self.bot_speaks:
            self.pending.bot_heard(now)
        elif self.pending.needs_bridge(now, patience_secs):
            self.pending.is_bridged = True
            self._do(Do.PLAY_FILLER)
        if (heard := self._speech.without_cut(now)) is not None:
            for item, heard_ms in heard:
                self._tell_heard(item, heard_ms)
            self._maybe_respond()
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            if self.pending.is_open:
                self._order_response()
        if self.is_ready and self.pending.is_overdue(now, answer_secs):
            self.pending.news_at = now
            self._do(Do.BREAK_OFF)

    # What the model tells.

    def note_event(self, event: dict[str, Any], now: float) -> None:
        """Takes note of an event of any kind, ahead of :meth:`take_event`."""
        self._now = self.pending.news_at = now
        if event["type"] == "input_audio_buffer.committed":
            self.turns.probe.committed(str(event.get("item_id")))
        elif event["type"] == "error":
            self.turns.commit_refused(event.get("error") or {})
        elif event["type"] == "response.created":
            self._functions.await_response = False
            self._is_responding = True
            self._response_id = (event.get("response") or {}).get("id")
            if self._drops_next:
                self._speech.drop(self._response_id)
            self._drops_next = False

    def take_event(self, event: Any, now: float) -> None:
        """Takes an event that Pipecat has a model of."""
        self._now = now
        match event:
            case events.SessionCreatedEvent():
                self._do(orders.Configure())
            case events.SessionUpdatedEvent():
                self._take_readiness()
            case events.ConversationItemAdded(item=item):
                self._take_item(item)
            case events.ConversationItemDone(item=item):
                self._do(Notify("on_conversation_item_updated", item.id, item))
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._take_transcript(event)
            case events.ResponseAudioDelta() | events.ResponseAudioTranscriptDelta():
                if self._speech.take(event):
                    self.pending.bot_heard(now)
                    self._do(Do.METER_FIRST_BYTE)
            case events.ResponseTextDelta(delta=text) if text:
                self._do(Push(frames.LLMTextFrame(text)))
            case events.ResponseFunctionCallArgumentsDone():
                if call := self._functions.called(event.call_id, event.arguments):
                    self._do(call)
            case events.ResponseDone():
                self._take_end(event.response)
            case events.InputAudioBufferSpeechStarted():
                self.turns.server_began()
                self._do(orders.Broadcast(frames.ProposedUserStartedSpeakingFrame))
            case events.InputAudioBufferSpeechStopped():
                self.turns.audio.end_turn()
                self.pending.open(now)
                self._do(Do.METER_ASKED, orders.Broadcast(frames.ProposedUserStoppedSpeakingFrame))
            case events.ConversationItemInputAudioTranscriptionDelta(delta=text):
                # Where the turn is over already, half of its words are of no use.
                if self.turns.audio.flows:
                    words = frames.InterimTranscriptionFrame(
                        text, "", time_now_iso8601(), result=event
                    )
                    self._do(Push(words, FrameDirection.UPSTREAM))
            case _:
                pass

    def _take_item(self, item: events.ConversationItem) -> None:
        if item.type == "function_call":
            self._functions.announced(item)
        self._do(Notify("on_conversation_item_created", item.id, item))
        if item.id in self.turns.own_items:
            self.turns.own_items.discard(item.id)
        elif item.role == "assistant":
            self._do(Push(frames.LLMFullResponseStartFrame()))
        self.turns.delete_withdrawn()

    def _take_transcript(
        self, event: events.ConversationItemInputAudioTranscriptionCompleted
    ) -> None:
        self._do(Notify("on_conversation_item_updated", event.item_id))
        if self.turns.take_transcript(event):
            return
        self.last_transcript = self.turns.probe.turn_words or event.transcript
        if not self.turns.audio.flows and self.turns.has_recogniser:
            # It has told the caller's words already.
            return
        kind = frames.TranscriptionFrame if self.turns.audio.flows else TurnTranscriptionFrame
        words = kind(event.transcript, "", time_now_iso8601(), result=event)
        self._do(Push(words, FrameDirection.UPSTREAM))

    def _take_end(self, response: Any) -> None:
        is_dropped = self._speech.is_dropped(response.id)
        is_silent = self._speech.current is not None and not self._speech.current.length
        if not is_dropped:
            self._speech.end()
        if response.usage is not None:
            self._do(orders.CountTokens.of(response.usage))
        self._do(Do.METER_DONE, Push(frames.LLMFullResponseEndFrame()))
        self._do(
            *(Notify("on_conversation_item_updated", one.id, one) for one in response.output or [])
        )
        self._is_responding, self._response_id = False, None
        failure = failure_of(response, is_silent=is_silent)
        if failure and not is_dropped:
            self._answer_failed(failure)
        elif response.status in ("completed", "incomplete") and not is_dropped:
            self._do(Do.NOTE_SUCCESS)
            self.pending.settle()
            self.turns.audio.answered()
        self._maybe_respond()

    def _answer_failed(self, code: str) -> None:
        if (pause := self.pending.pause_after(code)) is not None:
            self._retry_at = self._now + pause
        else:
            self._tell_no_answer(code, category_of(code))

    def _tell_no_answer(self, got: str, category: ErrorCategory) -> None:
        text = (
            f"expected an answer of the model, got {got}: the caller hears an apology, and the "
            "next turn tries again"
        )
        self._do(orders.Report(text, category), Do.APOLOGIZE)

    # Orders of answers.

    def _order_response(self) -> None:
        self.turns.withdraw_all()
        self.pending.open(self._now)
        if not self.is_ready:
            self._responds_when_ready = True
        elif self._is_responding or self._speech.awaits_cut:
            self._is_next_owed = True
        else:
            self._respond()

    def _respond(self) -> None:
        self._is_responding = True
        if self.context is None:
            self._send(events.ResponseCreateEvent())
            return
        if self.needs_setup:
            self.needs_setup = False
            written = HistoryReplay(list(self.context.get_messages()), [], goes_on=False)
            self._do(Replay(written, is_first=True), orders.Configure())
        self._do(Push(frames.LLMFullResponseStartFrame()), Do.METER_ASKED)
        properties = events.ResponseProperties(output_modalities=self.modalities)
        self._send(events.ResponseCreateEvent(response=properties))

    def _maybe_respond(self) -> None:
        if self._is_next_owed and not self._is_responding and not self._speech.awaits_cut:
            self._is_next_owed = False
            self._order_response()

    # Interruptions.

    def _interrupt(self) -> None:
        self.pending.settle()
        self._is_next_owed = self._responds_when_ready = False
        self._speech.drop(self._response_id if self._is_responding else None)
        if self._is_responding:
            self._drops_next = self._response_id is None
            self._send(orders.CancelEvent(response_id=self._response_id))
        self._do(Do.METER_NOTHING)
        self._speech.interrupt(self._now)

    def _take_cut(self, frame: SpeechCutFrame) -> None:
        item = self._speech.find(frame.context_id)
        if item is None:
            return
        self._tell_heard(item, frame.heard_ms)
        self._speech.note_cut_told()
        self._maybe_respond()

    def _tell_heard(self, item: SpokenItem, heard_ms: int) -> None:
        self._speech.note_cut(item, heard_ms)
        if not item.length or heard_ms >= item.milliseconds:
            return
        if item.is_lost:
            self._correct_past(item)
            return
        self._send(
            events.ConversationItemTruncateEvent(
                item_id=item.id, content_index=item.content_index, audio_end_ms=heard_ms
            )
        )

    # Turns, as the pipeline tells of them.

    def _begin_turn(self) -> None:
        if self.turns.audio.flows:
            return
        self.turns.begin_turn()
        if self.is_ready:
            self.turns.send_again(self._messages)
        self.turns.send_batches(is_ready=self.is_ready)

    def _end_turn(self) -> None:
        if self.turns.audio.flows or not self.turns.audio.in_turn:
            return
        is_told = self.turns.end_turn(is_ready=self.is_ready)
        if is_told:
            self.last_transcript = self.turns.probe.turn_words
        self._order_response()

    # Sessions.

    def lost(self) -> None:
        """The connection is gone, and with it all that the model knew."""
        if self._speech.current is not None:
            # Part of the answer is heard, so the turn has been taken in.
            self.turns.audio.answered()
        self.turns.probe.lost()
        is_broken_off = self._speech.current is not None
        self._past = None
        self._speech.break_off()
        if is_broken_off:
            self._do(Push(frames.LLMFullResponseEndFrame()))
        self._is_responding = self._drops_next = self.is_ready = False
        self._response_id = None
        self._functions.session_lost()
        self.needs_setup = True
        self._do(Do.METER_NOTHING)
        if self.pending.is_open:
            self._responds_when_ready = self.pending.may_retry()
            if not self._responds_when_ready:
                self._tell_no_answer("none", ErrorCategory.CONNECTIVITY)

    def give_up(self) -> None:
        """There is no connection: what was ordered is not wanted any more when there is one."""
        self.pending.settle()
        self._responds_when_ready = False

    def _take_readiness(self) -> None:
        if not self.is_ready:
            self._restore()
        self.is_ready = True
        if self._responds_when_ready:
            self._responds_when_ready = False
            self._order_response()

    def _restore(self) -> None:
        """Lays before a new session what was said so far."""
        if self.context is not None and self.needs_setup:
            self.needs_setup = False
            messages = self.context.get_messages()
            self._functions.take_as_told(messages)
            self._past = HistoryReplay.of(
                messages,
                self._speech.unheard,
                self.last_transcript,
                is_owed=self.pending.is_open,
            )
            self._do(Replay(self._past), orders.Configure())
        audio, probe = self.turns.audio, self.turns.probe
        audio.start_over(probe.turn_end)
        if audio.flows:
            # The server hears the turn again, and answers by itself.
            self._responds_when_ready &= not audio.is_unanswered
        elif audio.is_unanswered:
            self.turns.send_again(self._messages)
            is_told = audio.is_sent and not probe.lost_stretches
            if not audio.in_turn and not is_told:
                self.turns.commit(is_ready=True)

    def _correct_past(self, item: SpokenItem) -> None:
        """Tells a session anew what was said before it, now that less of it was heard."""
        past = self._past
        if past is None or not any(one is item for one in past.lost):
            # No session has been told of it: the context will have what was heard.
            return
        replaced, past.item_ids = past.item_ids, []
        self._do(Replay(past))
        self._send(*(events.ConversationItemDeleteEvent(item_id=one) for one in replaced))

    def note_replayed(self, past: HistoryReplay, item_id: str) -> None:
        """Notes that an item of the model's tells of the past."""
        self.turns.own_items.add(item_id)
        past.item_ids.append(item_id)
