"""Speech recognition of one utterance at a time, by your own coroutine."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    STTMuteFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.time import time_now_iso8601
from pipecat.utils.tracing.service_decorators import traced_stt

from twilio_frames.frames import NoWordsFrame
from twilio_frames.pipecat_internals import is_in_utterance, speaker_of, utterance_so_far

__all__ = ["UtteranceSTTService"]


class UtteranceSTTService(SegmentedSTTService):
    """Base of a recogniser that hears whole utterances, as the VAD before it cuts them.

    The audio ends here: no processor behind it gets any. An utterance begins before the VAD
    noticed it and ends when the VAD did, so that no word loses its edges. Utterances are
    recognised one after the other while frames keep flowing, and each gives one final
    ``TranscriptionFrame``, or a :class:`twilio_frames.frames.NoWordsFrame`. An exception in
    ``transcribe()``, or an answer that takes too long, is reported as an error of the pipeline, and
    the call goes on.

    Example::

        class Parrot(UtteranceSTTService):
            async def transcribe(self, pcm):
                return f"{len(pcm) / 16000:.1f} seconds of speech"
    """

    def __init__(
        self,
        *,
        before_secs: float = 0.7,
        longest_secs: float = 30.0,
        time_limit: float = 20.0,
        **kwargs: Any,
    ):
        """Makes the service.

        Args:
            before_secs: How much an utterance holds from before the VAD said that it began. The
                VAD's own ``start_secs`` are part of it.
            longest_secs: What is said after so long is dropped, until the next utterance.
            time_limit: Seconds that ``transcribe()`` may take.
            **kwargs: Passed to Pipecat's ``SegmentedSTTService``.
        """
        defaults = {
            "audio_passthrough": False,
            "settings": STTSettings(model=None, language=None),
            # The utterance ends with the silence that made the VAD end it.
            "trailing_silence_secs": 0.0,
        }
        super().__init__(**{**defaults, **kwargs})
        self._before_secs = before_secs
        self._longest_secs = longest_secs
        self._time_limit = time_limit

    @abstractmethod
    async def transcribe(self, pcm: bytes) -> str | None:
        """Recognises one utterance. Never block the event loop in it.

        Args:
            pcm: Signed 16-bit mono samples at ``self.sample_rate``, without a header.

        Returns:
            The words, or None where nobody spoke.
        """

    @property
    def wants_wav_segments(self) -> bool:
        """No: the samples come as they are."""
        return False

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Makes a frame of one utterance's words, or of there being none."""
        await self.start_processing_metrics()
        text = await self._transcribe_or_report(audio)
        await self.stop_processing_metrics()
        if text:
            yield TranscriptionFrame(text, speaker_of(self), time_now_iso8601(), finalized=True)
        else:
            yield NoWordsFrame()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Has no words of an utterance that was muted, and forgets what came before it."""
        ends = self.is_muted and isinstance(frame, VADUserStoppedSpeakingFrame)
        was_muted = ends and not utterance_so_far(self)
        await super().process_frame(frame, direction)
        if was_muted:
            # Whoever waits for the words of a turn is not to wait in vain.
            await self.push_frame(NoWordsFrame())
        elif isinstance(frame, STTMuteFrame) and not is_in_utterance(self):
            utterance_so_far(self).clear()

    async def process_audio_frame(
        self, frame: InputAudioRawFrame, direction: FrameDirection
    ) -> None:
        """Keeps the audio of the utterance, and a little of the time before the next one.

        Of a caller who is muted (``STTMuteFrame``) none is kept.
        """
        if self.is_muted:
            return
        await super().process_audio_frame(frame, direction)
        if is_in_utterance(self):
            del utterance_so_far(self)[self._bytes(self._longest_secs) :]
        else:
            del utterance_so_far(self)[: -self._bytes(self._before_secs) or None]

    def _bytes(self, seconds: float) -> int:
        return int(seconds * self.sample_rate) * 2

    async def _transcribe_or_report(self, audio: bytes) -> str | None:
        # Any exception of the subclass's code ends here, or the caller would not be heard again.
        try:
            async with asyncio.timeout(self._time_limit):
                return await self.transcribe(audio)
        except TimeoutError as error:
            reason, cause = "transcribe() took too long", error
        except Exception as error:
            # Not the exception's text, which may hold the caller's words.
            reason, cause = f"transcribe() raised {type(error).__name__}", error
        await self.push_error(reason, exception=cause, category=ErrorCategory.APPLICATION)
        return None
