"""Deepgram hears the caller, in the mu-law that Twilio sent.

Import this module when the program starts, not when a call comes in: Pipecat's and Deepgram's
modules take half a second.
"""

import copy
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    SystemFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.types import is_given

from twilio_frames.errors import brought_by
from twilio_frames.pipecat_internals import (
    call_event_handler,
    register_event_handlers,
    take_deepgram_results,
)
from twilio_frames.processors.replies.apology import NOT_HEARD
from twilio_frames.services.line_audio import keep_phone_format
from twilio_frames.services.retry_policy import RetryPolicy

with brought_by("deepgram"):
    import httpx
    from deepgram import AsyncDeepgramClient
    from deepgram.listen.v1.types import (
        ListenV1Error,
        ListenV1Results,
        ListenV1SpeechStarted,
        ListenV1UtteranceEnd,
    )
    from pipecat.services.deepgram import stt as pipecat_deepgram
    from pipecat.services.deepgram.stt import DeepgramSTTSettings

    from twilio_frames.services.deepgram.connection import DeepgramConnection

__all__ = ["PhoneDeepgramSTTService", "UtteranceEndFrame"]

PHONE_SETTINGS: dict[str, Any] = {
    "model": "nova-3",
    "interim_results": True,
    "smart_format": True,
    "endpointing": 300,
    "utterance_end_ms": 1000,
}
"""What of Deepgram's settings is good for the phone. docs/vendors/deepgram.md says why."""

_UNSURE_SECS = 2.0
_LONGEST_SECS = 7 * 24 * 3600

# Pipecat makes a client for each service, and each of these an HTTP client that nobody uses and
# whose TLS context takes 30 ms on the event loop. One for all is enough.
_HTTP = httpx.AsyncClient(trust_env=False)


@dataclass
class UtteranceEndFrame(SystemFrame):
    """Deepgram has heard no word for ``utterance_end_ms``, however loud it may be.

    Parameters:
        last_word_end: When the last word ended, seconds of audio since the call began.
    """

    last_word_end: float


class PhoneDeepgramSTTService(DeepgramConnection):
    """Pipecat's Deepgram service for a phone call: mu-law as it came, and no word lost.

    Deepgram gets the bytes that Twilio sent; audio of another transport is made mu-law once. The
    audio ends here: no processor behind it gets any. A connection that breaks, or falls silent
    although something was said, is replaced, and the new one is sent all that has no final result
    yet. Where Deepgram refuses for good, or cannot be reached for too long, that is one error of
    the pipeline, the service is not usable in Pipecat's sense (a ``ServiceSwitcher`` goes over to
    another one) and the caller hears the apology.

    Event handlers:
        on_connected, on_disconnected: There is a connection; there is none.
        on_connection_error: Why there is none.
        on_speech_started: ``vad_events`` was asked for, and the caller began to speak at so many
            seconds of audio since the call began.
        on_utterance_end: As :class:`UtteranceEndFrame`.

    Args:
        api_key: Deepgram's key.
        base_url: Another server that speaks as Deepgram does.
        settings: What differs from :data:`PHONE_SETTINGS`, ``keyterm`` say.
        apology: Said when the caller cannot be heard, and again if the caller speaks nonetheless;
            empty to stay silent.
        policy: How long to wait for Deepgram, and how often to ask again.
        buffer_secs: How much audio is kept meanwhile.
        **kwargs: Passed to Pipecat's ``DeepgramSTTService``.

    Raises:
        ConfigurationError: If another encoding or sample rate than mu-law at 8 kHz is asked for.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = "",
        settings: DeepgramSTTSettings | None = None,
        apology: str = NOT_HEARD,
        policy: RetryPolicy | None = None,
        buffer_secs: float = 30.0,
        **kwargs: Any,
    ):
        keep_phone_format(kwargs, instead="DeepgramSTTService", encoding="mulaw")
        usual = {"audio_passthrough": False, "ttfs_p99_latency": 1.0}
        with _light_clients():
            super().__init__(
                api_key=api_key,
                base_url=base_url,
                settings=_phone_settings(settings),
                apology=apology,
                policy=policy,
                buffer_secs=buffer_secs,
                **{**usual, **kwargs},
            )
        self._has_met_garbage = False
        register_event_handlers(self, "on_speech_started", "on_utterance_end")

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Sends audio to Deepgram, and asks for the last words when the caller falls silent."""
        await super().process_frame(frame, direction)
        is_silent = isinstance(frame, VADUserStoppedSpeakingFrame)
        if is_silent and self.is_usable and not self.is_out:
            self.request_finalize()
            self.finalize()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Has mu-law audio sent; what was said comes later."""
        if audio:
            self.send_audio(audio)
        yield None

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame; words behind which Deepgram heard the end of speech are finalized."""
        if isinstance(frame, TranscriptionFrame) and getattr(frame.result, "speech_final", False):
            frame.finalized = True
        await super().push_frame(frame, direction)

    async def take_message(self, message: Any) -> None:
        """Takes one of Deepgram's messages."""
        begin = self.unanswered.stream_begin
        match message:
            case ListenV1Results() if _is_whole(message):
                await self._take_results(message)
            case ListenV1UtteranceEnd() if _is_time(message.last_word_end):
                end = begin + message.last_word_end
                await self.push_frame(UtteranceEndFrame(last_word_end=end))
                await call_event_handler(self, "on_utterance_end", end)
            case ListenV1SpeechStarted() if _is_time(message.timestamp):
                await call_event_handler(self, "on_speech_started", begin + message.timestamp)
            case ListenV1Error():
                await self.push_error(
                    f"Deepgram reports an error of its own: {message.variant}",
                    category=ErrorCategory.SERVER,
                )
            case _ if getattr(message, "type", None) != "Metadata":
                self._note_garbage()

    async def _take_results(self, results: ListenV1Results) -> None:
        end = results.start + results.duration
        has_words = bool(
            results.channel.alternatives and results.channel.alternatives[0].transcript
        )
        if results.is_final:
            await self.keeper.prove()
        try:
            await take_deepgram_results(self, results)
        except ValueError:  # A language that Pipecat has no name for.
            self._note_garbage()
        if results.is_final:
            self.unanswered.answered(end)
        elif not has_words:
            # Nobody has spoken so far. In what came last there may be the begin of a word.
            self.unanswered.answered(end - _UNSURE_SECS)

    def _note_garbage(self) -> None:
        if not self._has_met_garbage:
            self._has_met_garbage = True
            logger.warning(f"{self}: got something that is no message of Deepgram's; left out")


@contextmanager
def _light_clients() -> Iterator[None]:
    """While it lasts, Deepgram's clients share one HTTP client."""
    light: Any = partial(AsyncDeepgramClient, httpx_client=_HTTP)
    pipecat_deepgram.AsyncDeepgramClient = light  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    finally:
        pipecat_deepgram.AsyncDeepgramClient = AsyncDeepgramClient  # pyright: ignore[reportPrivateImportUsage]


def _phone_settings(settings: DeepgramSTTSettings | None) -> DeepgramSTTSettings:
    merged = DeepgramSTTSettings() if settings is None else copy.copy(settings)
    for name, value in PHONE_SETTINGS.items():
        if not is_given(getattr(merged, name)) and name not in merged.extra:
            setattr(merged, name, value)
    return merged


def _is_whole(results: ListenV1Results) -> bool:
    """Whether a message has what it should: Deepgram's client does not look."""
    alternatives = getattr(results.channel, "alternatives", None)
    return (
        isinstance(alternatives, list)
        and all(isinstance(getattr(one, "transcript", None), str) for one in alternatives)
        and _is_time(results.start)
        and _is_time(results.duration)
    )


def _is_time(value: object) -> bool:
    # Python's JSON knows NaN, and numbers beyond a float's: neither lies between these. Of the last
    # word's end -1 tells that there is none.
    return isinstance(value, int | float) and -1 <= value <= _LONGEST_SECS
