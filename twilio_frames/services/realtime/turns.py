"""Whose turn it is, as a realtime service tells its model."""

import base64
import time
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime import events
from pipecat.utils.time import time_now_iso8601

from twilio_frames.frames import (
    CallerPausedFrame,
    CallerSpeakingFrame,
    NoWordsFrame,
    ResumeFrame,
    WordsAwaitedFrame,
)
from twilio_frames.services.caller_audio import CallerAudio
from twilio_frames.services.line_audio import LineAudio
from twilio_frames.services.realtime.history_replay import is_written
from twilio_frames.services.realtime.overlap_probe import OverlapProbe, ProbeSegment
from twilio_frames.services.realtime.replies import RealtimeReplies


class RealtimeTurns(RealtimeReplies):
    """Hands the model what the caller says in turns, and finds out whether it is one.

    Args:
        batch_secs: How much of the caller's audio goes in one message.
        words_secs: How long the words of a short sound over the bot are waited for.
        **kwargs: Passed on.
    """

    def __init__(self, *, batch_secs: float, words_secs: float, **kwargs: Any):
        super().__init__(**kwargs)
        self._audio = CallerAudio(
            flows=not self._is_turn_detection_disabled(), batch_secs=batch_secs
        )
        self._words_secs = words_secs
        self._inquiry = OverlapProbe()
        self._is_muted = False
        self._line_audio = LineAudio()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follows when the caller speaks; passes everything on to Pipecat's service."""
        match frame:
            case UserMuteStartedFrame() | UserMuteStoppedFrame():
                self._is_muted = isinstance(frame, UserMuteStartedFrame)
            case CallerSpeakingFrame():
                await self._follow_speech(frame.speech_secs)
            case VADUserStartedSpeakingFrame():
                self._audio.mark_onset(frame.start_secs)
            case CallerPausedFrame(is_certain=False):
                self._audio.forget_onset()
            case CallerPausedFrame():
                await self._take_pause(frame)
            case ResumeFrame():
                self._audio.forget_onset()
                self._inquiry.dismiss()
                await self._delete_withdrawn()
            case _:
                pass
        await super().process_frame(frame, direction)

    # The caller's audio.

    async def _send_user_audio(self, frame: InputAudioRawFrame) -> None:
        self._audio.hear(self._line_audio.mulaw_of(frame))
        await self._send_batches()

    async def _send_batches(self, *, rest: bool = False) -> None:
        if self._link is None or not self._api_session_ready:
            return
        for batch in self._audio.batches(rest=rest):
            await self._append(batch)

    async def _append(self, mulaw: bytes) -> None:
        audio = base64.b64encode(mulaw).decode()
        await self.send_client_event(events.InputAudioBufferAppendEvent(audio=audio))

    # What was said over the bot, before it is a turn.

    async def _follow_speech(self, speech_secs: float) -> None:
        if not self._audio.onset_is_known and not self._audio.in_turn:
            # What is left of an earlier false alarm has nothing to do with this.
            await self._withdraw_all()
        self._audio.mark_onset(speech_secs)
        self._inquiry.note_speech(speech_secs)

    async def _take_pause(self, frame: CallerPausedFrame) -> None:
        self._inquiry.note_speech(frame.speech_secs)
        if not self._may_ask() or not self._inquiry.is_due(frame.silence_secs):
            return
        stretch = self._audio.take_snippet()
        self._inquiry.ask(stretch)
        await self._append(self._audio.between(*stretch))
        await self.send_client_event(events.InputAudioBufferCommitEvent())
        await self.broadcast_frame(WordsAwaitedFrame, secs=self._words_secs)

    def _may_ask(self) -> bool:
        is_doubtful = self._bot_speaks and not self._audio.in_turn and not self._is_muted
        decides_here = not self._audio.flows and not self._has_recogniser
        has_session = self._api_session_ready and not self._audio_input_paused
        return is_doubtful and decides_here and has_session and self._words_secs > 0.0

    async def handle_evt_input_audio_transcription_completed(
        self, evt: events.ConversationItemInputAudioTranscriptionCompleted
    ) -> None:
        """Hands the caller's words on, in a turn or before it is clear that it is one."""
        snippet = self._inquiry.transcribed(evt.item_id, evt.transcript)
        if snippet is None:
            await super().handle_evt_input_audio_transcription_completed(evt)
            self._last_transcript = self._inquiry.turn_words or evt.transcript
            return
        await self._call_event_handler("on_conversation_item_updated", evt.item_id, None)
        if not self._inquiry.is_withdrawn(snippet):
            await self._tell_words(snippet, evt)

    async def _tell_words(self, snippet: ProbeSegment, evt: Any) -> None:
        if snippet.words:
            # The turn strategy judges by them, and the memory takes them in if it is a turn.
            words = TranscriptionFrame(snippet.words, "", time_now_iso8601(), result=evt)
            await self.push_frame(words, FrameDirection.UPSTREAM)
            return
        self._inquiry.withdraw(snippet)
        await self._delete_withdrawn()
        await self.push_frame(NoWordsFrame(), FrameDirection.UPSTREAM)

    async def _handle_evt_conversation_item_added(self, evt: events.ConversationItemAdded) -> None:
        await super()._handle_evt_conversation_item_added(evt)
        await self._delete_withdrawn()

    async def _withdraw_all(self) -> None:
        self._inquiry.withdraw_all()
        await self._delete_withdrawn()

    async def _delete_withdrawn(self) -> None:
        if not self._inquiry.is_open:
            self._audio.drop_snippets()
        for item_id in self._inquiry.take_deletions():
            await self.send_client_event(events.ConversationItemDeleteEvent(item_id=item_id))

    async def _create_response(self) -> None:
        await self._withdraw_all()
        await super()._create_response()

    def _note_event(self, event: dict[str, Any]) -> None:
        super()._note_event(event)
        if event["type"] == "input_audio_buffer.committed":
            self._inquiry.committed(str(event.get("item_id")))

    async def _take_error(self, error: dict[str, Any]) -> bool:
        if error.get("code") == "input_audio_buffer_commit_empty":
            self._inquiry.commit_refused()
        return await super()._take_error(error)

    # Turns, as the pipeline tells of them.

    async def _handle_user_started_speaking(self, frame: Frame) -> None:
        if not self._audio.flows:
            self._inquiry.begin_turn()
            self._audio.begin_turn()
            if self._api_session_ready:
                await self._send_again()
            await self._send_batches()

    async def _handle_user_stopped_speaking(self, frame: Frame) -> None:
        if self._audio.flows or not self._audio.in_turn:
            return
        is_held = self._inquiry.end_turn()
        self._audio.end_turn(self._inquiry.turn_end if is_held else None)
        if self._api_session_ready:
            is_whole = is_held and not self._inquiry.lost_stretches
            await (self._leave_silence_out() if is_whole else self._commit())
        await self._create_response()

    async def _commit(self) -> None:
        await self._send_batches(rest=True)
        self._inquiry.turn_committed(self._audio.sent_behind(self._inquiry.turn_end))
        await self.send_client_event(events.InputAudioBufferCommitEvent())

    async def _leave_silence_out(self) -> None:
        self._last_transcript = self._inquiry.turn_words
        await self.send_client_event(events.InputAudioBufferClearEvent())

    async def _send_again(self) -> None:
        """Gives the session what another had of this turn: words where the pipeline has them."""
        words = self._inquiry.lost_words
        if words and not self._has_written(words):
            text = events.ItemContent(type="input_text", text=words)
            item = events.ConversationItem(type="message", role="user", content=[text])
            self._messages_added_manually[item.id] = True
            await self.send_client_event(events.ConversationItemCreateEvent(item=item))
        for stretch in self._inquiry.lost_stretches:
            await self._append(self._audio.between(*stretch))

    def _has_written(self, words: str) -> bool:
        return self._context is not None and is_written(words, self._context.get_messages())

    # Turns, as the server tells of them.

    async def _handle_evt_speech_started(self, evt: events.InputAudioBufferSpeechStarted) -> None:
        self._audio.mark_onset()
        self._audio.begin_turn()
        await super()._handle_evt_speech_started(evt)

    async def _handle_evt_speech_stopped(self, evt: events.InputAudioBufferSpeechStopped) -> None:
        self._audio.end_turn()
        self._debt.open(time.monotonic())
        await super()._handle_evt_speech_stopped(evt)

    def _answered(self) -> None:
        super()._answered()
        self._audio.answered()
