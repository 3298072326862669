"""What comes down the pipeline, laid in the output queue of what the bot says."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipecat.audio.utils import is_silence
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BOT_VAD_STOP_SECS
from pipecat.utils.errors import ErrorCategory

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import (
    DetourFrame,
    MulawOutputFrame,
    SendMarkFrame,
    SpeechBrokenOffFrame,
    SpeechLeftOutFrame,
    WordBrokenOffFrame,
)
from twilio_frames.processors.clips import SpeakClipFrame, frames_on
from twilio_frames.processors.output.background import Background, LiveSound
from twilio_frames.processors.output.line_sound import SOUND_CONTROLS, LineSound
from twilio_frames.processors.pipeline.audio_warnings import advise_on_speech
from twilio_frames.processors.words import HeardTextFrame, WordAligner, heard_text
from twilio_frames.processors.words.progress import is_speakable
from twilio_frames.protocol.output_queue import OutputQueue

PAUSE = object()
"""Falls due where audio of which nothing says where it ends may have done so."""


class WriterParams(Protocol):
    """The parameters the writer reads; see :class:`twilio_frames.transport.TwilioParams`."""

    audio_out_enabled: bool


class QueueWriter:
    """Lays audio in the queue, words where their sound ends, other frames behind what came before.

    Args:
        output: In whose name frames are laid.
        queue: What is written.
        sound: Makes mu-law of audio.
        background: Takes sound that goes on and on.
        params: The transport's.
        is_speaking: Gives whether the caller hears the bot speak.
    """

    def __init__(
        self,
        output: FrameProcessor,
        queue: OutputQueue,
        sound: LineSound,
        background: Background,
        params: WriterParams,
        *,
        is_speaking: Callable[[], bool],
    ):
        self._output = output
        self._queue = queue
        self._sound = sound
        self._background = background
        self._live = LiveSound()
        self._stream_silence = math.inf
        self._params = params
        self._is_speaking = is_speaking
        self._words = WordAligner(self._lay_due, queue.audio)
        self._utterances = UtteranceAudio()
        self._utterances_open: set[str | None] = set()
        self._closing: LLMAssistantPushAggregationFrame | None = None
        self._in_reply = False
        self._alone: set[str | None] = set()
        self.gaps = 0
        """How often the output queue had been heard to its end while the bot was speaking."""
        self.words_unheard = 0
        """How many words for the memory have been laid and not been heard."""

    def take_unsounded(self) -> list[str]:
        """What was to be said and remembered, and made no sound; nothing before the reply's end."""
        return [] if self._in_reply else self._words.take_unsounded()

    def left_secs(self) -> float | None:
        """How much is left to say; None while that is not known."""
        left = (self._queue.length - self._queue.heard) / SAMPLE_RATE
        return None if self._utterances_open else left

    def cut(self) -> bool:
        """Lays what is known of the texts that are being spoken, ahead of a cut.

        Returns:
            Whether more was to be said than the words that were laid.
        """
        return self._words.cut(self._queue.sent)

    def awaits_words(self, place: int) -> bool:
        """Whether it is not known yet which words lie at a place, and somebody is about to tell."""
        return self._words.awaits_words(place)

    def cut_utterances(self, heard: int) -> dict[str | None, int]:
        """How many bytes were heard of each utterance that was not heard to its end.

        Args:
            heard: Up to where the output queue was heard.
        """
        return self._utterances.cut(heard)

    def follow_cut(self) -> None:
        """Goes on in the output queue as the cut has left it."""
        if not self._words.move(self._queue.length):
            self._sound.reset()
            self._utterances_open.clear()
            self._in_reply = False
            self._alone.clear()

    async def flush(self) -> None:
        """Lays the audio that was kept back for the samples behind it."""
        self._queue.add_audio(await self._sound.flush())

    async def lay(self, frame: Frame) -> None:
        """Lays a frame where it falls due."""
        if self._closing is not None and not isinstance(frame, TTSStoppedFrame):
            self._close()
        match frame:
            case SpeakClipFrame():
                await self._lay_clip(frame)
            case TTSAudioRawFrame():
                await self.lay_speech(frame)
            case TTSTextFrame():
                self.lay_text(frame)
            case LLMAssistantPushAggregationFrame():
                # Comes ahead of the end of the utterance, which places its last word.
                self._closing = frame
            case LLMFullResponseStartFrame():
                self._in_reply = True
                self._add(frame)
            case LLMFullResponseEndFrame():
                self._in_reply = False
                await self._end_reply(frame)
            case OutputAudioRawFrame():
                await self._lay_audio(frame)
            case _ if isinstance(frame, SOUND_CONTROLS):
                await self._sound.control(frame)
                self._add(frame)
            case WordBrokenOffFrame():
                await self.flush()
                self._words.word_broken_off(frame.context_id)
            case SpeechLeftOutFrame():
                self._words.leave_out(frame.context_id, frame.text)
            case SendMarkFrame():
                self._queue.add(frame, when_sent=True)
            case DetourFrame():
                self._queue.add(frame, is_protected=True, is_barrier=True)
            case TTSStartedFrame():
                self._utterances_open.add(frame.context_id)
                if frame.append_to_context and not self._in_reply:
                    self._alone.add(frame.context_id)
                self._words.start(frame)
                self._add(frame)
            case TTSStoppedFrame():
                await self.flush()
                if isinstance(frame, SpeechBrokenOffFrame):
                    self._words.broken_off(frame.context_id, frame.spoken_words)
                self._words.over(frame.context_id)
                self._forget(frame.context_id)
                self._end_utterance(frame.context_id)
                self._add(frame)
            case AggregatedTextFrame() if frame.will_be_spoken:
                self._words.announce(frame)
                self._add(frame)
            case AggregatedTextFrame() if self._words.show(frame):
                pass
            case _:
                self._add(frame)

    async def _end_reply(self, frame: LLMFullResponseEndFrame) -> None:
        for context_id in self._words.end_reply(self._queue.length):
            await self.flush()
            self._forget(context_id)
            self._queue.add(PAUSE)
        self._add(frame)

    def _forget(self, context_id: str | None) -> None:
        self._utterances_open.discard(context_id)
        self._utterances.over(context_id)

    def _end_utterance(self, context_id: str | None) -> None:
        if context_id in self._alone and self._closing is None:
            # Pipecat 1.12 forgets it where the speech was asked for while a reply was being spoken.
            self._closing = LLMAssistantPushAggregationFrame()
        self._alone.discard(context_id)
        self._close()

    def _close(self) -> None:
        closing, self._closing = self._closing, None
        if closing is not None:
            self._add(closing)

    def _add(self, frame: Frame) -> None:
        self._queue.add(frame, is_protected=not frame.interruptible)

    async def _lay_audio(self, frame: OutputAudioRawFrame) -> None:
        match frame:
            case _ if not self._params.audio_out_enabled:
                pass
            case SpeechOutputAudioRawFrame():
                await self._lay_stream(frame)
            case _:
                await self._lay_sound(frame)

    async def _lay_sound(self, frame: OutputAudioRawFrame) -> None:
        mulaw = await self._sound.mulaw_beside(frame)
        if self._live.is_live(time.monotonic(), len(mulaw) / SAMPLE_RATE):
            self._background.add(mulaw)
            # It has to be sent where nothing else is.
            self._queue.tell_news()
        else:
            self._queue.add_audio(mulaw, is_protected=not frame.interruptible, is_speech=False)

    async def _lay_stream(self, frame: SpeechOutputAudioRawFrame) -> None:
        """Lays a stream of speech and silence, of which nothing says where speech ends."""
        mulaw = await self._sound.mulaw_of(frame)
        secs = len(mulaw) / SAMPLE_RATE
        self._stream_silence = self._stream_silence + secs if is_silence(frame.audio) else 0.0
        self._queue.add_audio(
            mulaw,
            is_protected=not frame.interruptible,
            is_speech=self._stream_silence <= BOT_VAD_STOP_SECS,
        )
        self._queue.add(PAUSE)

    def lay_text(self, frame: TTSTextFrame) -> None:
        """Lays what a voice says of a word, or of a sentence, where its sound ends."""
        if self._closing is not None:
            self._close()
        if not self._params.audio_out_enabled or not self._words.text(frame):
            self._lay_due(heard_text(frame, frame.text), self._queue.length)

    async def lay_speech(self, frame: TTSAudioRawFrame) -> None:
        """Lays audio of a voice."""
        if self._closing is not None:
            self._close()
        if not self._params.audio_out_enabled:
            return
        if frame.sample_rate != SAMPLE_RATE:
            advise_on_speech(self._output, frame.sample_rate)
        ready = frame.mulaw if isinstance(frame, MulawOutputFrame) and self._sound.is_plain else b""
        mulaw = ready or await self._sound.mulaw_of(frame)
        if not mulaw:
            return
        queue, context_id, begin = self._queue, frame.context_id, self._queue.length
        if queue.heard >= begin and self._is_speaking():
            self.gaps += 1
        queue.add_audio(mulaw, is_protected=not frame.interruptible)
        self._words.audio(context_id, begin, queue.length, self._output.get_clock().get_time())
        if not frame.interruptible:
            return
        last = self._utterances.last
        if last is not None and last.context_id == context_id and last.end == begin:
            last.end = queue.length
        else:
            self._utterances.add(context_id, begin, queue.length, heard=queue.heard)

    async def _lay_clip(self, frame: SpeakClipFrame) -> None:
        if not self._params.audio_out_enabled:
            return
        await self.flush()
        is_protected, begin = not frame.interruptible, self._queue.length
        mulaw = await self._sound.mulaw_of(MulawOutputFrame.of(frame.clip.mulaw))
        self._queue.add_audio(mulaw, is_protected=is_protected)
        for due, at in frames_on(frame):
            if isinstance(due, HeardTextFrame):
                self._lay_due(due, begin + at)
            else:
                self._queue.add(due, at=begin + at, is_protected=is_protected)

    def _lay_due(self, frame: AggregatedTextFrame, end: int) -> None:
        is_word = isinstance(frame, HeardTextFrame)
        self.words_unheard += is_word and frame.append_to_context
        self._queue.add(
            frame,
            at=end,
            is_protected=not frame.interruptible,
            is_boundary=is_word,
            doubt=frame.doubt if is_word else 0,
        )


@dataclass(slots=True)
class UtteranceStretch:
    """Audio of one utterance without a gap."""

    context_id: str | None
    begin: int
    end: int
    before: int
    """How much audio of the same utterance lies before it."""


class UtteranceAudio:
    """Follows utterances along the queue; tells how much of each was heard when they are cut."""

    def __init__(self) -> None:
        self.last: UtteranceStretch | None = None
        """The last stretch, if its utterance goes on: audio right behind it prolongs it."""
        self._stretches: deque[UtteranceStretch] = deque()
        self._going_on: dict[str | None, UtteranceStretch] = {}

    def add(self, context_id: str | None, begin: int, end: int, *, heard: int) -> None:
        """Notes audio that does not go on where the last ended.

        Args:
            context_id: The utterance it belongs to.
            begin: Where it begins in the output queue.
            end: Where it ends.
            heard: Up to where the output queue has been heard; what lies before is forgotten.
        """
        while self._stretches and self._stretches[0].end <= heard:
            self._stretches.popleft()
        earlier = self._going_on.get(context_id)
        before = earlier.before + earlier.end - earlier.begin if earlier else 0
        self.last = UtteranceStretch(context_id, begin, end, before)
        self._stretches.append(self.last)
        self._going_on[context_id] = self.last

    def over(self, context_id: str | None) -> None:
        """Notes that an utterance has no more audio."""
        if self._going_on.pop(context_id, None) is self.last:
            self.last = None

    def cut(self, heard: int) -> dict[str | None, int]:
        """Forgets everything; gives what was not heard to its end.

        Args:
            heard: Up to where the output queue was heard.

        Returns:
            How many bytes of each of these utterances were heard.
        """
        cuts: dict[str | None, int] = {}
        for stretch in self._stretches:
            if stretch.end > heard and stretch.context_id not in cuts:
                cuts[stretch.context_id] = stretch.before + max(0, heard - stretch.begin)
        self._stretches.clear()
        self._going_on.clear()
        self.last = None
        return cuts


class SayAgain:
    """Texts that were to be spoken and made no sound: each is asked for once more.

    Args:
        output: Behind the voice; pushes what asks for them, and reports what stays silent.
    """

    def __init__(self, output: FrameProcessor):
        self._output = output
        self._asked: deque[str] = deque(maxlen=8)

    async def settle(self, texts: Sequence[str]) -> None:
        """Acts on texts that made no sound.

        Args:
            texts: What nobody heard, in order.
        """
        wanted = [text for text in texts if is_speakable(text)]
        # What is left of a text ends as it does.
        again = [one for one in wanted if not any(asked.endswith(one) for asked in self._asked)]
        if again:
            text = " ".join(again)
            self._asked.append(text)
            # Whichever TTS service is in use takes it on its way up.
            await self._output.push_frame(TTSSpeakFrame(text), FrameDirection.UPSTREAM)
        if len(again) < len(wanted):
            await self._output.push_error(
                "expected the TTS service to speak a text, got no sound, at the second time "
                "either: the caller has not heard it, and it is not remembered. Look at the "
                "service's errors",
                category=ErrorCategory.UNKNOWN,
            )

    def forget(self) -> None:
        """Nothing of what was said so far matters any more: the caller has interrupted."""
        self._asked.clear()
