"""Voices that stand by for one another."""

import time
from collections.abc import Iterable, Sequence
from typing import Unpack

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    ServiceUpdateSettingsFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService

from twilio_frames.frames import SpeechBrokenOffFrame, SpeechLeftOutFrame, WordBrokenOffFrame
from twilio_frames.pipecat_internals import push_behind_branches
from twilio_frames.processors.clips import SpeakClipFrame
from twilio_frames.processors.fallback.switch import Fallback, FallbackOptions
from twilio_frames.processors.fallback.vendor_health import FailureKind, VendorRole
from twilio_frames.processors.fallback.voices import Speech, Unspoken, WordTimes
from twilio_frames.processors.words.progress import SecondsBefore

_SPOKEN = (TTSStartedFrame, TTSStoppedFrame, TTSAudioRawFrame, AggregatedTextFrame)
_BYTES_PER_SAMPLE = 2


class TTSFallback(Fallback):
    """Voices of which the next takes over when one fails or falls silent.

    It stands where one TTS service stands. What was given to a voice and has not been spoken is
    spoken by the next, from the word where the first broke off, in order and once. The memory of
    the call holds what was heard of both.

    Example::

        tts = TTSFallback([PhoneCartesiaTTSService(api_key=key), EspeakTTSService(synthesiser)])
    """

    role = VendorRole.TTS

    def __init__(
        self,
        services: Sequence[TTSService],
        *,
        patience_secs: float = 1.5,
        **options: Unpack[FallbackOptions],
    ):
        """Makes the fallback of one call.

        Args:
            services: TTS services in order of preference, at least two.
            patience_secs: Seconds that a voice may take for the first audio of a text, and for each
                next piece. It must be less than the 3 s after which Pipecat takes a text for spoken
                in any case.
            **options: See :class:`FallbackOptions`.
        """
        super().__init__(services, **options)
        self._patience_secs = patience_secs
        self._unspoken = Unspoken()
        self._speeches: dict[str | None, Speech] = {}
        self._times = WordTimes()
        self._before = SecondsBefore()
        self._given_at: float | None = None
        self._closing: list[Frame] = []
        self._has_given_up = False
        self._audio = self.deadline(self._audio_is_late)

    @property
    def is_at_work(self) -> bool:
        """Whether there is a text to be spoken."""
        return self._unspoken.has_whole_text or self._words_announced > 0

    @property
    def _words_announced(self) -> int:
        return sum(speech.words_left for speech in self._speeches.values())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Has what begins to be said spoken by the first voice that may."""
        if direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, InterruptionFrame):
                self._unspoken.interrupt()
                self._speeches.clear()
                self._times = WordTimes()
                self._watch()
            elif isinstance(frame, LLMFullResponseStartFrame | TTSSpeakFrame):
                self._has_given_up = False
                if self._unspoken.is_empty and not self._speeches:
                    await self.choose()
        await super().process_frame(frame, direction)

    def accepts_downstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame reaches a voice; what it is to do is kept until it has done it."""
        if isinstance(frame, SystemFrame | ServiceUpdateSettingsFrame):
            return super().accepts_downstream(service, frame)
        if service is not self.active:
            return False
        self._unspoken.take(frame)
        self._watch()
        return True

    async def filter_output(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        """What becomes of a frame of a voice: nobody else has spoken it."""
        if isinstance(frame, SpeakClipFrame):
            # No voice says it: it comes by.
            self._unspoken.done(frame)
            return (frame,) if service is self.active else ()
        is_late = service is not self.active or self._has_given_up
        if is_late and (isinstance(frame, _SPOKEN) or service is not self.active):
            return ()
        if frame.pts and not isinstance(frame, TTSTextFrame):
            frame.pts += self._times.shift
        match frame:
            case TTSAudioRawFrame():
                self._note_audio(frame)
            case WordBrokenOffFrame():
                self._speech(frame.context_id).word_broken_off()
            case SpeechLeftOutFrame():
                # It is kept here, for the next voice.
                return ()
            case TTSStartedFrame():
                self._note_begin(frame)
            case TTSStoppedFrame():
                self._note_end(frame)
            case TTSTextFrame():
                self._note_words(frame)
            case AggregatedTextFrame() if frame.will_be_spoken:
                self._speech(frame.context_id).announce(frame)
            case _:
                self._unspoken.done(frame)
        self._watch()
        return (frame,)

    def _speech(self, context_id: str | None) -> Speech:
        if context_id not in self._speeches:
            speech = Speech(context_id, seconds_before=self._before.of(context_id))
            self._speeches[context_id] = speech
        return self._speeches[context_id]

    def _begun(self, context_id: str | None, now: int) -> Speech:
        """The speech of a context of which audio or a word has come."""
        speech = self._speech(context_id)
        if speech.follows_pts is None:
            speech.follows_pts = self._times.begin(now)
        return speech

    def _note_begin(self, frame: TTSStartedFrame) -> None:
        speech = self._speech(frame.context_id)
        if speech.secs:
            self._unspoken.spoke(speech.begun_again())
        speech.start(frame)

    def _note_audio(self, frame: TTSAudioRawFrame) -> None:
        if self._given_at is not None:
            self.health_of[self.active].succeeded(time.monotonic() - self._given_at)
            self._given_at = None
        secs = len(frame.audio) / (_BYTES_PER_SAMPLE * frame.num_channels * frame.sample_rate)
        now = self.get_clock().get_time()
        speech = self._begun(frame.context_id, now)
        self._times.has_audio()
        self._unspoken.spoke(speech.audio(secs, now))
        # A word that is begun again and again is no progress.
        if self.is_at_work and not speech.is_stuck:
            self._audio.set(self._patience_secs)

    def _note_words(self, frame: TTSTextFrame) -> None:
        speech = self._speech(frame.context_id)
        if frame.pts:
            speech = self._begun(frame.context_id, self.get_clock().get_time())
            frame.pts = self._times.of_word(frame.pts)
            self._unspoken.spoke(speech.word(frame))
            if speech.secs:
                self._times.has_audio()
        elif not speech.lead(frame):
            self._unspoken.spoke(speech.text(frame))

    def _note_end(self, frame: TTSStoppedFrame) -> None:
        speech = self._speeches.pop(frame.context_id, None)
        if isinstance(frame, SpeechBrokenOffFrame):
            # What else there was to say is left for the next voice.
            self._unspoken.spoke(speech.given_up() if speech is not None else 0)
        elif speech is not None:
            self._unspoken.spoke(speech.stopped())
            self._before.add(frame.context_id, speech.secs)

    def _watch(self) -> None:
        """Expects audio while there is something to be spoken."""
        if not self.is_at_work:
            self._audio.clear()
            self._given_at = None
            self.progress.set()
        elif not self._audio.is_set:
            self._given_at = time.monotonic()
            self._audio.set(self._patience_secs)

    async def _audio_is_late(self) -> None:
        speeches = list(self._speeches.values())
        if speeches and all(speech.may_be_complete for speech in speeches):
            # The voice waits for a while before it says that it is done.
            self._audio.set(self._patience_secs)
        elif self.is_at_work:
            await self.fail(FailureKind.LATE)

    def hand_over(self, before: FrameProcessor, service: FrameProcessor) -> list[Frame]:
        """What has not been spoken, beginning behind the word where the voice broke off."""
        self._break_off()
        self._times.take_over()
        self._given_at = time.monotonic()
        self._audio.set(self._patience_secs)
        return self._unspoken.frames()

    def _break_off(self) -> None:
        for speech in self._speeches.values():
            words, text = speech.broken_off()
            self._unspoken.spoke(words)
            if text:
                spoken = TTSTextFrame(text, "sentence", context_id=speech.context_id)
                spoken.append_to_context = speech.is_remembered
                self._closing.append(spoken)
                words = 0
            self._closing.append(
                SpeechBrokenOffFrame(context_id=speech.context_id, spoken_words=words)
            )
        self._speeches.clear()

    async def close_work(self) -> None:
        """Ends, for those behind, what the voice before was saying."""
        closing, self._closing = self._closing, []
        for frame in closing:
            await self.push_frame(frame)

    async def give_up(self) -> None:
        """Passes on what is not to be spoken, and stays silent."""
        self._break_off()
        left = self._unspoken.frames()
        self._unspoken = Unspoken()
        self._has_given_up = True
        self._watch()
        await self.close_work()
        for frame in left:
            if not isinstance(frame, TTSSpeakFrame | AggregatedTextFrame | LLMTextFrame):
                await push_behind_branches(self, frame)
