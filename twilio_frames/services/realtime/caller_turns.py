"""What the caller says, in turns, as a realtime model is told of it. No I/O."""

import base64
from collections import deque
from collections.abc import Sequence
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
from twilio_frames.services.realtime.history_replay import is_written, message_item
from twilio_frames.services.realtime.orders import Broadcast, Order, Push, Send
from twilio_frames.services.realtime.overlap_probe import OverlapProbe


class CallerTurns:
    """Hands the model what the caller says in turns, and finds out whether it is one.

    Args:
        orders: Where what is to be done is put.
        server_decides: Whether the server detects turns.
        batch_secs: How much of the caller's audio goes in one message.
        words_secs: How long the words of a short sound over the bot are waited for.
    """

    def __init__(
        self, orders: deque[Order], *, server_decides: bool, batch_secs: float, words_secs: float
    ):
        self.audio = CallerAudio(flows=server_decides, batch_secs=batch_secs)
        self.probe = OverlapProbe()
        self.has_recogniser = False
        """Whether somebody else tells the caller's words."""
        self.is_paused = False
        """Whether the caller's audio is left out."""
        self.own_items: set[str] = set()
        """What the model was told of, and is yet to confirm."""
        self._orders = orders
        self._words_secs = words_secs
        self._is_muted = False
        self._line_audio = LineAudio()

    def take_frame(self, frame: Frame, *, may_ask: bool) -> None:
        """Follows when the caller speaks, and takes the audio.

        Args:
            frame: Of the pipeline.
            may_ask: Whether the bot speaks, and there is a session that can be asked for words.
        """
        match frame:
            case InputAudioRawFrame() if not self.is_paused:
                self.audio.hear(self._line_audio.mulaw_of(frame))
            case UserMuteStartedFrame() | UserMuteStoppedFrame():
                self._is_muted = isinstance(frame, UserMuteStartedFrame)
            case CallerSpeakingFrame():
                self._follow_speech(frame.speech_secs)
            case VADUserStartedSpeakingFrame():
                self.audio.mark_onset(frame.start_secs)
            case CallerPausedFrame(is_certain=False):
                self.audio.forget_onset()
            case CallerPausedFrame():
                self._take_pause(frame, may_ask=may_ask)
            case ResumeFrame():
                self.audio.forget_onset()
                self.probe.dismiss()
                self.delete_withdrawn()
            case _:
                pass

    def send_batches(self, *, is_ready: bool, rest: bool = False) -> None:
        """Sends the audio that is the model's by now, if there is a session."""
        if is_ready:
            for batch in self.audio.batches(rest=rest):
                self._append(batch)

    def _append(self, mulaw: bytes) -> None:
        audio = base64.b64encode(mulaw).decode()
        self._orders.append(Send(events.InputAudioBufferAppendEvent(audio=audio)))

    # What was said over the bot, before it is a turn.

    def _follow_speech(self, speech_secs: float) -> None:
        if not self.audio.onset_is_known and not self.audio.in_turn:
            # What is left of an earlier false alarm has nothing to do with this.
            self.withdraw_all()
        self.audio.mark_onset(speech_secs)
        self.probe.note_speech(speech_secs)

    def _take_pause(self, frame: CallerPausedFrame, *, may_ask: bool) -> None:
        self.probe.note_speech(frame.speech_secs)
        decides_here = not self.audio.flows and not self.has_recogniser and self._words_secs > 0.0
        is_doubtful = not self.audio.in_turn and not self._is_muted and not self.is_paused
        if not (may_ask and decides_here and is_doubtful):
            return
        if not self.probe.is_due(frame.silence_secs):
            return
        stretch = self.audio.take_snippet()
        self.probe.ask(stretch)
        self._append(self.audio.between(*stretch))
        self._orders.append(Send(events.InputAudioBufferCommitEvent()))
        self._orders.append(Broadcast(WordsAwaitedFrame, {"secs": self._words_secs}))

    def take_transcript(
        self, event: events.ConversationItemInputAudioTranscriptionCompleted
    ) -> bool:
        """Takes the words of a sound over the bot; gives whether they were that."""
        segment = self.probe.transcribed(event.item_id, event.transcript)
        if segment is None:
            return False
        if self.probe.is_withdrawn(segment):
            return True
        frame: Frame = NoWordsFrame()
        if segment.words:
            # The turn strategy judges by them, and the memory takes them in if it is a turn.
            frame = TranscriptionFrame(segment.words, "", time_now_iso8601(), result=event)
        else:
            self.probe.withdraw(segment)
            self.delete_withdrawn()
        self._orders.append(Push(frame, FrameDirection.UPSTREAM))
        return True

    def withdraw_all(self) -> None:
        """Has the model forget what did not become a turn."""
        self.probe.withdraw_all()
        self.delete_withdrawn()

    def delete_withdrawn(self) -> None:
        """Has the model forget what need not be waited for any more."""
        if not self.probe.is_open:
            self.audio.drop_snippets()
        for item_id in self.probe.take_deletions():
            self._orders.append(Send(events.ConversationItemDeleteEvent(item_id=item_id)))

    # Turns.

    def server_began(self) -> None:
        """The server has heard a turn begin."""
        self.audio.mark_onset()
        self.audio.begin_turn()

    def begin_turn(self) -> None:
        """A turn has begun, as the pipeline takes it."""
        self.probe.begin_turn()
        self.audio.begin_turn()

    def end_turn(self, *, is_ready: bool) -> bool:
        """The turn is over; gives whether the session has been told of all of it before."""
        is_held = self.probe.end_turn()
        self.audio.end_turn(self.probe.turn_end if is_held else None)
        if not is_ready:
            return False
        is_whole = is_held and not self.probe.lost_stretches
        if is_whole:
            # What is left is silence.
            self._orders.append(Send(events.InputAudioBufferClearEvent()))
        else:
            self.commit(is_ready=True)
        return is_whole

    def commit(self, *, is_ready: bool) -> None:
        """Has the model take what it was sent for a turn."""
        self.send_batches(is_ready=is_ready, rest=True)
        self.probe.turn_committed(self.audio.sent_behind(self.probe.turn_end))
        self._orders.append(Send(events.InputAudioBufferCommitEvent()))

    def send_again(self, messages: Sequence[Any]) -> None:
        """Gives a session what another had of this turn: words where the pipeline has them.

        Args:
            messages: The context's, in which they may stand.
        """
        words = self.probe.lost_words
        if words and not is_written(words, messages):
            item = message_item(words, "user")
            self.own_items.add(item.id)
            self._orders.append(Send(events.ConversationItemCreateEvent(item=item)))
        for stretch in self.probe.lost_stretches:
            self._append(self.audio.between(*stretch))

    def commit_refused(self, error: dict[str, Any]) -> None:
        """Notes an error that the model reports."""
        if error.get("code") == "input_audio_buffer_commit_empty":
            self.probe.commit_refused()
