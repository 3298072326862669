"""Google speaks to the caller, in mu-law as Twilio wants it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import texttospeech_v1 as google_tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.google.tts import GoogleTTSService

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.pipecat_internals import google_location
from twilio_frames.processors.replies.apology import Apology
from twilio_frames.services.google.access import (
    GoogleAccess,
    GoogleClient,
    NoCredentialsError,
    category_of,
)
from twilio_frames.services.line_audio import keep_phone_format
from twilio_frames.services.redacting import RedactingTTSService
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.untimed_speech import Pace, UntimedSpeech

__all__ = ["PhoneGoogleTTSService"]

_RETRY = RetryPolicy(at_once=0)
_END: Any = object()


class _ShortError(ConnectionError):
    """A stream ended well, with far too little audio."""


class PhoneGoogleTTSService(RedactingTTSService, GoogleTTSService):
    """Pipecat's Google voice for a phone call: mu-law from Google to the caller's ear.

    Audio is asked for as mu-law at 8 kHz and goes out as it comes. Credentials are read, and the
    connection is made, while the pipeline is set up. Of a text whose audio breaks off or hangs,
    what is left is asked for again, from a pause near by or from the word that broke off. Google
    tells no word times: a word in doubt is said twice. What is not spoken in the end does not enter
    the memory; it is one error of the pipeline, and the caller hears the apology.

    Args:
        credentials: A service account's JSON.
        credentials_path: A file with it.
        location: A region's endpoint; None for the global one.
        target: ``host:port`` of another server that speaks as Google does, without TLS.
        apology_audio: Mu-law audio that is played when something cannot be said, once for each
            turn of the caller's.
        time_limit: Seconds that each piece of audio may take.
        attempts: How often a text is asked for at most.
        **kwargs: Passed to Pipecat's service: ``settings`` with the voice …

    Raises:
        ConfigurationError: If another sample rate is asked for.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        credentials_path: str | None = None,
        location: str | None = None,
        target: str = "",
        apology_audio: bytes = b"",
        time_limit: float = 2.0,
        attempts: int = 3,
        **kwargs: Any,
    ):
        keep_phone_format(kwargs, instead="GoogleTTSService")
        super().__init__(location=location, **kwargs)
        self._google = GoogleClient(
            google_tts.TextToSpeechAsyncClient,
            TextToSpeechGrpcAsyncIOTransport,
            GoogleAccess(credentials=credentials, credentials_path=credentials_path, target=target),
        )
        self._apology = Apology(apology_audio)
        self._time_limit = time_limit
        self._attempts = attempts
        self._opening: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._speech: UntimedSpeech | None = None
        self._silent_context: str | None = None

    # Pipecat's own reads files and makes the client while the event loop waits.
    def _create_client(self, credentials: str | None, credentials_path: str | None) -> Any:
        return None

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Begins to make the client."""
        await super().setup(setup)
        self._opening = self.create_task(self._open(), name="open")

    async def cleanup(self) -> None:
        """Closes the connection."""
        await super().cleanup()
        if self._opening is not None:
            await self.cancel_task(self._opening)
        await self._google.close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes frames; to a caller who goes on another apology is due, rather than silence."""
        if isinstance(frame, UserStoppedSpeakingFrame):
            self._apology.begin_anew()
        await super().process_frame(frame, direction)

    async def _open(self) -> None:
        location = google_location(self)
        region = f"{location}-" if location else ""
        try:
            await self._google.open(f"{region}texttospeech.googleapis.com")
        except NoCredentialsError as error:
            await self._give_up(error)

    async def _stream_tts(
        self,
        streaming_config: google_tts.StreamingSynthesizeConfig,
        text: str,
        context_id: str,
        prompt: str | None = None,
    ) -> AsyncGenerator[Frame, None]:
        audio = streaming_config.streaming_audio_config
        audio.audio_encoding = google_tts.AudioEncoding.MULAW
        audio.sample_rate_hertz = SAMPLE_RATE
        self._speech, self._silent_context = UntimedSpeech(text, pace=self._pace), context_id
        await self.start_tts_usage_metrics(text)
        async for mulaw in self._lasting(streaming_config, self._speech):
            await self.stop_ttfb_metrics()
            self._silent_context = None
            yield MulawOutputFrame.of(mulaw, context_id=context_id)

    async def _lasting(
        self, config: google_tts.StreamingSynthesizeConfig, speech: UntimedSpeech
    ) -> AsyncIterator[bytes]:
        """A text's audio, however often Google has to be asked."""
        if self._opening is not None:
            await asyncio.wait({self._opening}, timeout=self._time_limit)
        for attempt in range(self._attempts):
            try:
                async for mulaw in self._ask(config, speech):
                    yield mulaw
                return
            except (GoogleAPICallError, TimeoutError, _ShortError) as error:
                if kept := speech.lose():
                    yield kept
                if not speech.rest:
                    return
                is_last = attempt + 1 == self._attempts
                if is_last or category_of(error).is_permanent:
                    await self._give_up(error)
                    break
                logger.warning(f"{self}: a text is asked for again ({type(error).__name__})")
                await asyncio.sleep(_RETRY.pause_after(attempt + 1))
        if apology := self._apology.take():
            await self.cancel_ttfb_metrics()
            yield apology

    async def _ask(
        self, config: google_tts.StreamingSynthesizeConfig, speech: UntimedSpeech
    ) -> AsyncIterator[bytes]:
        """The audio of what is left of a text, asked for once."""
        if (client := self._google.client) is None:
            raise TimeoutError("no client yet")
        async with asyncio.timeout(self._time_limit):
            call = await client.streaming_synthesize(_requests(config, speech.rest))
        responses = aiter(call)
        try:
            while True:
                reading = asyncio.ensure_future(anext(responses, _END))
                async for mulaw in self._while_reading(reading, speech):
                    yield mulaw
                if (response := reading.result()) is _END:
                    break
                # gRPC gives None for what it cannot read.
                speech.take(response.audio_content if response is not None else b"")
        finally:
            cast(Any, call).cancel()
        if speech.is_short:
            raise _ShortError("expected a text's audio, got a stream that ended well without it")
        if last := speech.finish():
            yield last

    async def _while_reading(
        self, reading: asyncio.Future[Any], speech: UntimedSpeech
    ) -> AsyncIterator[bytes]:
        """What is due of a text's audio while more of it is waited for."""
        due_by = time.monotonic() + self._time_limit
        try:
            while not reading.done():
                if mulaw := speech.due(time.monotonic()):
                    yield mulaw
                left = due_by - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                # Unlike a time-out around the reading, this leaves the stream as it is.
                await asyncio.wait({reading}, timeout=min(left, 0.1))
        finally:
            reading.cancel()

    async def _give_up(self, error: Exception) -> None:
        # Not the exception's text, which may hold what was to be said.
        await self.push_error(
            f"expected Google to speak, got {type(error).__name__}: check the credentials, the "
            "quota, the voice and the network",
            exception=error,
            category=category_of(error),
        )

    async def append_to_audio_context(self, context_id: str | None, frame: Any) -> None:
        """Queues a frame behind the audio before it; of a text that broke off, what was said."""
        if isinstance(frame, TTSTextFrame) and self._speech is not None and self._speech.rest:
            frame.text = self._speech.said
            frame.append_to_context = frame.append_to_context and bool(frame.text)
        await super().append_to_audio_context(context_id, frame)

    async def on_turn_context_completed(self) -> None:
        """Ends the audio context of a response, also of one that made no sound."""
        silent, self._silent_context = self._silent_context, None
        await super().on_turn_context_completed()
        # Pipecat leaves such a context to its time-out of some seconds.
        if silent and self.audio_context_available(silent):
            await self.append_to_audio_context(silent, TTSStoppedFrame(context_id=silent))
            await self.remove_audio_context(silent)


async def _requests(
    config: google_tts.StreamingSynthesizeConfig, text: str
) -> AsyncIterator[google_tts.StreamingSynthesizeRequest]:
    yield google_tts.StreamingSynthesizeRequest(streaming_config=config)
    yield google_tts.StreamingSynthesizeRequest(input=google_tts.StreamingSynthesisInput(text=text))
