"""The bot's voice on the line: what it says, paced, and what falls due as it is heard.

Theory of operation
-------------------
Everything that comes down the pipeline is laid in an *output queue*: audio, and behind it the
frames that follow it. Audio leaves the queue for Twilio; a frame leaves it for the rest of the
pipeline when the audio before it has been *heard*. So the words in the assistant's memory, the end
of speaking, the end of the call all follow the caller's ear.

Twilio plays what it has at 8000 bytes a second. Sent exactly in time, every stall of the event loop
is a hole in the sentence; sent all at once, too much would have to be taken back. So Twilio is kept
a *lead* ahead, on an absolute clock: after a stall the following messages leave without a pause
until the lead is whole again. A mark goes behind each message and at the end of each word; its
echo says what was heard (see ``twilio_frames.protocol.playback``).

When the caller begins to speak, speech is *held*: sending stops, Twilio's buffer is cleared, the
unheard rest is kept. An interruption drops the rest, after the words that were heard have been
handed on; a false alarm lets it play on from the last word's end (``hold.py``).
"""

import asyncio
import time
from contextlib import suppress

from loguru import logger
from pipecat.frames.frames import (
    BotSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    MixerControlFrame,
    OutputDTMFFrame,
    OutputDTMFUrgentFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    OutputTransportReadyFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.transports.base_output import BaseOutputTransport

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_silence
from twilio_frames.frames import (
    BacklogFrame,
    CallActionFrame,
    CallActionUrgentFrame,
    CallBackFrame,
    CallEndReason,
    CallerPausedFrame,
    CallerSpeakingFrame,
    DetourFrame,
    HeardAudioFrame,
    HeardSoundFrame,
    MarkSentFrame,
    ReplyHeardFrame,
    ReplyStartedFrame,
    SaidSoFarFrame,
    SendMarkFrame,
    SpeechCutFrame,
)
from twilio_frames.processors.clips import SpeakClipFrame
from twilio_frames.processors.output.background import Background
from twilio_frames.processors.output.early_start import EarlyStart
from twilio_frames.processors.output.function_rounds import (
    FunctionRounds,
    FunctionRoundsOverFrame,
    named_result,
)
from twilio_frames.processors.output.heard_first import HeardFirst
from twilio_frames.processors.output.hold import Hold
from twilio_frames.processors.output.leaving import Leaving
from twilio_frames.processors.output.line_face import Line, OutputTiming
from twilio_frames.processors.output.line_sound import LineSound
from twilio_frames.processors.output.ordered_pusher import OrderedPusher
from twilio_frames.processors.output.owed_words import OwedWords
from twilio_frames.processors.output.pacer import HeardAudio, OutputPacer
from twilio_frames.processors.output.queue_writer import QueueWriter, SayAgain
from twilio_frames.processors.output.speech_gate import SpeechGateFrame
from twilio_frames.processors.output.switched_voices import SwitchedVoices
from twilio_frames.processors.pipeline.audio_warnings import advise_on_audio, advise_on_recognisers
from twilio_frames.processors.pipeline.gates import is_followed
from twilio_frames.processors.turns.muted_keys import MutedKeys
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import SendMark
from twilio_frames.protocol.output_queue import Piece
from twilio_frames.safe_logging import report_unforeseen

__all__ = ["MulawOutput"]

# For those who wait until nobody has said anything for some seconds.
_BOT_SPEAKING_SECS = 1.0
_NEXT_KEY_SECS = 0.25
_BYTES_A_MILLISECOND = SAMPLE_RATE // 1000
_DOWN = FrameDirection.DOWNSTREAM
_FINISHED = object()
"""Falls due when the last thing has been said."""


class MulawOutput(BaseOutputTransport):
    """Speaks to the caller. The last thing of a phone bot's pipeline but the assistant's memory.

    Takes Pipecat's audio of any rate and :class:`twilio_frames.frames.MulawOutputFrame`. Whatever
    else comes down the pipeline goes on when the audio before it has been heard; a
    :class:`twilio_frames.frames.SendMarkFrame` sets a mark behind the audio queued before it.

    Args:
        line: The way to Twilio.
        params: Pipecat's transport parameters, with those of :class:`OutputTiming`.
    """

    def __init__(self, line: Line, params, **kwargs):
        super().__init__(params, **kwargs)
        self._line = line
        self._timing: OutputTiming = params
        self._background = Background(getattr(params, "audio_out_mixer", None))
        self.pacer = OutputPacer(
            line,
            params,
            self._background,
            deliver=self._due,
            on_sent=self._piece_sent,
            on_heard=self._audio_heard,
        )
        self.heard_out, self.words_ahead = self.pacer.heard_out, self.pacer.words_ahead
        self._early_start = EarlyStart(self.pacer, line)
        self._pusher = OrderedPusher(self.push_frame)
        self._queue = self.pacer.queue
        self._sound = LineSound(
            getattr(params, "audio_out_filter", None), getattr(params, "audio_out_volume", 1.0)
        )
        self._writer = QueueWriter(
            self,
            self._queue,
            self._sound,
            self._background,
            params,
            is_speaking=lambda: self._is_speaking,
        )
        self._end_silence_secs = params.audio_out_end_silence_secs
        self._has_left_out = self._is_speaking = False
        self._runner: asyncio.Task[None] | None = None
        self._finished = asyncio.Event()
        self._hold = Hold(
            self,
            self.pacer,
            hold_secs=params.hold_secs if params.holds else None,
            left_secs=self._writer.left_secs,
        )
        self._owed_words = OwedWords(
            self._hold.fall_silent, lambda: self._writer.awaits_words(self.pacer.position)
        )
        self._rounds = FunctionRounds(params.function_rounds_limit)
        self._say_again = SayAgain(self)
        self._has_words, self._is_followed = False, True
        self._leaving = Leaving(self, line, self.pacer)
        self._first_words: list[SpeakClipFrame] = []
        self._speaking_due_at = 0.0

    async def setup(self, setup: FrameProcessorSetup):
        """Looks at what stands ahead of it."""
        await super().setup(setup)
        MutedKeys.ahead_of(self)

    async def start(self, frame: StartFrame):
        """Makes ready to speak."""
        await super().start(frame)
        await self._start_background()
        self._is_followed = is_followed(self)
        await self._early_start.come_up(is_audio_wanted=self._is_followed)
        advise_on_recognisers(self)
        advise_on_audio(self)
        if self._runner is None:
            self._runner = self.create_task(self._early_start.running())
            HeardFirst.around(self)
            SwitchedVoices.ahead_of(self)
            self._owed_words.ahead_of(self)
        while self._first_words:
            await self._lay(self._first_words.pop(0))
        await self.push_frame(OutputTransportReadyFrame(), FrameDirection.UPSTREAM)

    async def _start_background(self) -> None:
        try:
            await self._background.start()
        except Exception as error:
            # The call goes on without: nobody has rung for it.
            kind = report_unforeseen(error, "a mixer that was to be started")
            await self.push_error(f"{kind} in the mixer: the call goes on without it")

    def hold_speech(self, is_held: bool = True, *, by: str = "") -> None:
        """Keeps what the bot says from being heard until it is told otherwise, by whoever does."""
        self.pacer.shut(is_held, by)

    async def say_first(self, frame: SpeakClipFrame) -> None:
        """Says a clip as soon as the line lets it, whether or not the pipeline is up."""
        if self._early_start.is_up or self._sound.is_plain:
            await self._lay(frame)
            self._early_start.begin()
        else:
            # A filter runs only once the pipeline does.
            self._first_words.append(frame)

    async def stop(self, frame: EndFrame):
        """Says what is queued, waits until it has been heard, and closes the line."""
        await self._writer.flush()
        self._queue.add_audio(mulaw_silence(self._end_silence_secs))
        self._queue.add(_FINISHED, is_protected=True)
        self.pacer.wake()
        while not (self._line.is_over or self._finished.is_set()):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._finished.wait()
        await self._line.close(CallEndReason.BOT_HUNG_UP, "pipeline ended")

    async def cancel(self, frame: CancelFrame):
        """Stops at once and closes the line; what Twilio still holds may be cut off."""
        await self._stop_tasks()
        await self._line.close(CallEndReason.BOT_HUNG_UP, "pipeline cancelled")

    async def cleanup(self):
        """Closes the line, if nothing has yet."""
        await super().cleanup()
        await self._stop_tasks()
        await self._line.close(CallEndReason.ERROR, "pipeline broke off")

    async def _stop_tasks(self) -> None:
        await self._hold.stop()
        await self._background.stop()
        runner, self._runner = self._runner, None
        if runner is not None:
            await self.cancel_task(runner)

    async def leave_at_once(self, detour: DetourFrame) -> bool:
        """Leaves the line in the middle of what is being said; see :class:`Leaving`."""
        return await self._leaving.at_once(detour)

    async def say_on(self) -> None:
        """Says on what was held for a line that was to be left."""
        await self.pacer.resume()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Lays what comes down the pipeline in the output queue; acts on the rest at once."""
        # The base class would send and push by its own clock.
        await FrameProcessor.process_frame(self, frame, direction)
        is_voice = isinstance(frame, TTSAudioRawFrame | TTSTextFrame)
        if is_voice and direction is _DOWN and not isinstance(frame, SystemFrame | SpeakClipFrame):
            if isinstance(frame, TTSTextFrame):
                self._writer.lay_text(frame)
            else:
                await self._writer.lay_speech(frame)
            if self._owed_words.waiting:
                self._owed_words.note()
            return
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                await self.start(frame)
            case EndFrame() | CancelFrame():
                await (self.stop(frame) if isinstance(frame, EndFrame) else self.cancel(frame))
                await self.push_frame(frame, direction)
            case InterruptionFrame():
                await self._interrupt(frame, direction)
            case OutputDTMFUrgentFrame() | OutputDTMFFrame():
                await self._press(frame.to_string())
            case OutputTransportMessageUrgentFrame() | OutputTransportMessageFrame():
                self._leave_out(frame)
            case _ if self._rounds.are_over(frame, direction):
                rounds = self._timing.function_rounds_limit or 0
                await self.push_frame(FunctionRoundsOverFrame(rounds), FrameDirection.UPSTREAM)
            case FunctionCallsStartedFrame():
                self._pusher.expect(frame)
                await self.push_frame(frame, direction)
            case FunctionCallCancelFrame() if self._pusher.holds_back(frame):
                pass
            case BacklogFrame():
                frame.passed()
            case CallBackFrame():
                await self.push_frame(frame, direction)
                await self.say_on()
            case SpeechGateFrame():
                self.hold_speech(not frame.is_open)
                frame.passed.set()
            case CallActionUrgentFrame():
                await self._leaving.act(frame.act)
            case CallerSpeakingFrame() | CallerPausedFrame() if not self._is_followed:
                await self._hold.follow(frame)
            case InputAudioRawFrame() if not self._is_followed and direction is _DOWN:
                pass
            case SystemFrame():
                self._rounds.note(frame)
                await self.push_frame(frame, direction)
                await self._hold.follow(frame)
            case _ if direction is not _DOWN:
                await self.push_frame(frame, direction)
            case MixerControlFrame():
                await self._background.control(frame)
            case _:
                await self._lay(frame)

    async def _press(self, digits: str) -> None:
        """Has Twilio press keys, with those that were asked for right before them."""
        keys = self._leaving.press(digits)
        if keys is not None:
            # Keys of one number come one by one: they are pressed together.
            silence = mulaw_silence(_NEXT_KEY_SECS)
            self._queue.add_audio(silence, is_protected=True, is_speech=False)
            await self._lay(keys)

    def _leave_out(
        self, frame: OutputTransportMessageFrame | OutputTransportMessageUrgentFrame
    ) -> None:
        """Leaves out a program's own message, and says so once; of RTVI's, Pipecat's own, never."""
        is_rtvi = isinstance(frame.message, dict) and frame.message.get("label") == "rtvi-ai"
        if not is_rtvi and not self._has_left_out:
            self._has_left_out = True
            logger.warning(
                f"a media stream carries no messages of a program's own; {type(frame).__name__} is "
                "left out, this one and all others. For a mark there is SendMarkFrame"
            )

    async def _interrupt(self, frame: InterruptionFrame, direction: FrameDirection) -> None:
        is_protected = self._queue.is_protected
        await self._hold.interrupting(is_protected=is_protected)
        was_unfinished = self._writer.cut()
        self._owed_words.note()
        self._pusher.interrupting()
        survivors = await self.pacer.interrupt()
        await self._tell_cuts(self._queue.sent if is_protected else self._queue.heard)
        self._writer.follow_cut()
        is_cut = was_unfinished or self._writer.words_unheard
        if is_cut and not is_protected and self._timing.cut_mark and self._has_words:
            await self.push_frame(HeardTextFrame(self._timing.cut_mark, "word"))
        if not is_protected:
            self._writer.words_unheard = 0
            self._has_words = False
            self._say_again.forget()
        await self.push_frame(frame, direction)
        # The memory has made a message of the words that were heard.
        await self._pusher.interrupted()
        for thing in survivors:
            await self._due(thing)
        if not is_protected:
            await self._stopped_speaking()

    async def _tell_cuts(self, heard: int) -> None:
        cut = self._line.playback.cut
        bound_ms = -(-cut.bound // _BYTES_A_MILLISECOND) if cut else 0
        for context_id, length in self._writer.cut_utterances(heard).items():
            await self.broadcast_frame(
                SpeechCutFrame,
                context_id=context_id,
                heard_ms=length // _BYTES_A_MILLISECOND,
                bound_ms=bound_ms,
            )

    async def _lay(self, frame: Frame) -> None:
        if isinstance(frame, LLMFullResponseStartFrame):
            await self.push_frame(ReplyStartedFrame(), FrameDirection.UPSTREAM)
        elif isinstance(frame, FunctionCallResultFrame):
            frame.result = named_result(frame.result)
        await self._writer.lay(frame)
        if self._owed_words.waiting:
            self._owed_words.note()
        if isinstance(frame, TTSStoppedFrame | LLMFullResponseEndFrame):
            await self._say_again.settle(self._writer.take_unsounded())

    @property
    def underruns(self) -> int:
        """How often the caller heard a hole in a sentence because its audio came too late."""
        return self.pacer.underruns + self._writer.gaps

    async def _piece_sent(self, piece: Piece) -> None:
        if not self._is_speaking:
            self._is_speaking = True
            await self.broadcast_frame(BotStartedSpeakingFrame)
        if (now := time.monotonic()) >= self._speaking_due_at:
            self._speaking_due_at = now + _BOT_SPEAKING_SECS
            await self.broadcast_frame(BotSpeakingFrame)
        self.pacer.tells_sent_at = self._speaking_due_at

    async def _audio_heard(self, audio: HeardAudio) -> None:
        # Whoever stands behind a transport takes the time at which audio comes for its own.
        kind = HeardAudioFrame if audio.is_speech else HeardSoundFrame
        await self.push_frame(kind(decode_mulaw(audio.mulaw), SAMPLE_RATE, 1))

    async def _stopped_speaking(self, *, surely: bool = True) -> None:
        # Behind one utterance the next may be heard without a pause.
        if self._is_speaking and (surely or not self._queue.speaks_on):
            self._is_speaking, self.pacer.tells_sent_at = False, 0.0
            await self.broadcast_frame(BotStoppedSpeakingFrame)

    async def _due(self, thing: object) -> None:
        match thing:
            case HeardTextFrame():
                self._writer.words_unheard -= thing.append_to_context
                self._has_words = self._has_words or thing.append_to_context
                if self._rounds.rounds:
                    self._rounds.note(thing)
                # It is a system frame already: nothing but a kept end goes ahead of it.
                # A word tells a subclass nothing of who begins and ends to speak.
                push = super().push_frame if self._pusher.reply_end is None else self._pusher.push
                await push(thing)
            case SendMarkFrame():
                await self._set_mark(thing)
            case SaidSoFarFrame():
                thing.heard.set()
                if isinstance(thing, CallActionFrame):
                    await self._leaving.act(thing.act)
            case DetourFrame():
                await self._stopped_speaking()
                await self._leaving.leave(thing)
            case TTSStoppedFrame():
                await self._stopped_speaking(surely=False)
                await self._pusher.push(thing)
            case Frame():
                self._rounds.note(thing)
                if isinstance(thing, LLMFullResponseEndFrame | LLMAssistantPushAggregationFrame):
                    # What is heard from here on is another message.
                    self._has_words = False
                await self._pusher.push(thing)
                if isinstance(thing, LLMFullResponseEndFrame):
                    await self.push_frame(ReplyHeardFrame(), FrameDirection.UPSTREAM)
            case _ if thing is _FINISHED:
                self._finished.set()
            case _:
                await self._stopped_speaking(surely=False)

    async def _set_mark(self, frame: SendMarkFrame) -> None:
        if await self._line.send(SendMark(name=frame.mark)):
            position = self._line.playback.sent
            await self.broadcast_frame(MarkSentFrame, mark=frame.mark, position=position)
