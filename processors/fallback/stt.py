"""Recognisers that stand by for one another."""

import time
from collections.abc import Iterable, Sequence
from typing import Unpack

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    STTMuteFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.stt_service import STTService
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import NoWordsFrame
from twilio_frames.processors.fallback.switch import Fallback, FallbackOptions
from twilio_frames.processors.fallback.untranscribed_speech import UnansweredSpeech
from twilio_frames.processors.fallback.vendor_health import FailureKind, VendorRole
from twilio_frames.processors.replies.apology import NOT_HEARD, Apology

_VAD = (VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame)
_HISTORY = (InputAudioRawFrame, *_VAD)
_WORDS = (TranscriptionFrame, InterimTranscriptionFrame)
# Words that come so shortly before the VAD hears the end of speech are its last ones.
_LAST_WORDS_SECS = 1.0
# What is shorter need not have been speech.
_SURELY_SPEECH_SECS = 0.8


class STTFallback(Fallback):
    """Recognisers of which the next takes over when one fails or hears nothing.

    It stands where one STT service stands, behind the VAD. When the active one reports an error,
    the next is given the audio that no words have come for, so that none is lost. When the caller
    has spoken and no words come in time, the next is asked as well: if it hears words, it takes
    over; if it does not, that was a noise, and nothing changes.

    Example::

        stt = STTFallback([PhoneDeepgramSTTService(api_key=key), keyless_stt])
    """

    role = VendorRole.STT

    def __init__(
        self,
        services: Sequence[STTService],
        *,
        patience_secs: float = 2.0,
        keep_secs: float = 15.0,
        apology: str = NOT_HEARD,
        **options: Unpack[FallbackOptions],
    ):
        """Makes the fallback of one call.

        Args:
            services: STT services in order of preference, at least two.
            patience_secs: Seconds that words may take from where the VAD heard the end of speech.
            keep_secs: How much audio is kept for the next recogniser.
            apology: Said when none of them hears what surely was speech; empty to stay silent.
            **options: See :class:`FallbackOptions`.
        """
        super().__init__(services, **options)
        self._patience_secs = patience_secs
        self._apology = Apology(apology)
        self._speech = UnansweredSpeech(keep_secs=keep_secs)
        self._given: set[int] = set()
        self._asked: FrameProcessor | None = None
        self._ended_at: float | None = None
        self._began_at = 0.0
        self._words_at = 0.0
        self._is_muted = False
        self._words = self.deadline(self._words_are_late)
        self._second_words = self.deadline(self._nobody_heard)

    @property
    def is_at_work(self) -> bool:
        """Whether there is speech that no words have come for."""
        return self._speech.is_unanswered

    @property
    def takes_errors_for_failures(self) -> bool:
        """Always: a recogniser that reports an error may not hear what is said next."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follows the VAD; has an utterance heard by the first recogniser that may."""
        if direction is FrameDirection.DOWNSTREAM:
            match frame:
                case VADUserStartedSpeakingFrame():
                    self._words.clear()
                    self._ended_at, self._began_at = None, time.monotonic()
                    if not self._speech.is_unanswered:
                        await self.choose()
                case STTMuteFrame():
                    self._is_muted = frame.mute
                    self._nobody_waits()
                case _:
                    pass
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self._await_words(frame.stop_secs)

    def _await_words(self, stop_secs: float) -> None:
        now = time.monotonic()
        self._ended_at = now - stop_secs
        has_last_words = self._words_at > max(self._began_at, now - _LAST_WORDS_SECS)
        if has_last_words and self._words_at >= self._ended_at:
            # The recogniser heard the end of speech before the VAD was sure of it.
            self.health_of[self.active].note_first_byte(self._words_at - self._ended_at)
        if has_last_words or self._is_muted:
            self._nobody_waits()
        elif self._asked is not None:
            self._second_words.set(self._patience_secs)
        else:
            self._words.set(self._patience_secs)

    def accepts_downstream(self, service: FrameProcessor, frame: Frame) -> bool:
        """Whether a frame reaches a service; speech reaches one that is asked as well."""
        if isinstance(frame, _HISTORY) and frame.id in self._given:
            return False
        is_in = super().accepts_downstream(service, frame)
        if is_in and service is self.active:
            self._speech.take(frame)
        return is_in or (service is self._asked and isinstance(frame, _HISTORY))

    async def filter_output(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        """What becomes of a frame of a service: words, of one service at a time."""
        if isinstance(frame, InputAudioRawFrame) and frame.id in self._given:
            return ()
        if isinstance(frame, TTSSpeakFrame) and frame not in self.owed:
            # A service's own apology, while another can do its part.
            return () if len(self.strategy.usable_services) else (frame,)
        if service is not self.active and service is self._asked:
            return await self._answer_of_asked(service, frame)
        passed = await super().filter_output(service, frame)
        if passed:
            self._note_answer(frame)
        elif isinstance(frame, _VAD):
            # It went in when this service was active, and may be owed to those behind.
            passed = (frame,)
        return passed

    async def _answer_of_asked(self, service: FrameProcessor, frame: Frame) -> Iterable[Frame]:
        if isinstance(frame, _WORDS) and frame.text.strip():
            self.health_of[self.active].failed(FailureKind.LATE)
            await self.switch_to(service, FailureKind.LATE)
            self._asked = None
            self._second_words.clear()
            self._note_answer(frame)
            return (frame,)
        if isinstance(frame, NoWordsFrame) and not self._speech.is_speaking:
            self._nobody_waits()
            return (frame,)
        # The VAD's are owed to those behind, if the active service is stuck with them.
        return (frame,) if isinstance(frame, _VAD) else ()

    def _note_answer(self, frame: Frame) -> None:
        if isinstance(frame, InterimTranscriptionFrame):
            if self._words.is_set:
                self._words.set(self._patience_secs)
        elif isinstance(frame, TranscriptionFrame | NoWordsFrame):
            took = None if self._ended_at is None else time.monotonic() - self._ended_at
            self.health_of[self.active].succeeded(took)
            self._words_at = time.monotonic()
            self._apology.begin_anew()
            self._nobody_waits()

    def _nobody_waits(self) -> None:
        """Whether it was words or noise: nobody waits for more of it."""
        self._speech.answer()
        self._words.clear()
        self._second_words.clear()
        self._asked = None
        if not self._speech.is_speaking:
            self._ended_at = None

    def hand_over(self, before: FrameProcessor, service: FrameProcessor) -> list[Frame]:
        """The audio that no words have come for, unless the service has it already."""
        others = super().hand_over(before, service)
        if service is self._asked:
            return others
        self._asked = None
        if self._ended_at is not None and self._speech.is_unanswered:
            self._words.set(self._patience_secs)
        return [*others, *self._speech_to_give()]

    def _speech_to_give(self) -> list[Frame]:
        frames = self._speech.frames()
        self._given = {frame.id for frame in frames}
        return frames

    async def _words_are_late(self) -> None:
        """Asks the next recogniser; the active one may yet be first."""
        self._tried = {self.active}
        second = self.next_service()
        if second is None or not self._speech.is_unanswered:
            await self._nobody_heard()
            return
        self._asked = second
        for frame in self._speech_to_give():
            await second.queue_frame(frame)
        self._second_words.set(self._patience_secs)

    async def _nobody_heard(self) -> None:
        was_speech = self._speech.speech_secs >= _SURELY_SPEECH_SECS
        self._nobody_waits()
        if was_speech and self._apology.is_due:
            await self.push_error(
                "expected words for what the VAD took for speech, got none from two vendors (stt): "
                "see that they hear the call's audio, and how much noise there is",
                category=ErrorCategory.UNKNOWN,
            )
            await self.give_up()

    async def _until_done(self) -> None:
        """Does not wait: behind the end nobody uses what the caller says."""

    async def give_up(self) -> None:
        """Says that the caller cannot be heard, once until somebody is heard again."""
        if apology := self._apology.take():
            await self.push_frame(TTSSpeakFrame(apology, append_to_context=False))
