"""Google speaks to the caller, in mu-law as Twilio wants it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import texttospeech_v1 as google_tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)
from loguru import logger
from pipecat.frames.frames import Frame, TTSStoppedFrame, TTSTextFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.google.tts import GoogleTTSService

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.services.broken_off import DiscreetTTSService
from twilio_frames.services.google_access import GoogleAccess, NoCredentialsError, category_of
from twilio_frames.services.patience import pause_after

__all__ = ["PhoneGoogleTTSService"]

_WORDS_PER_SECOND = 2.5
_FIRST_PAUSE = 0.3
_END: Any = object()


class PhoneGoogleTTSService(DiscreetTTSService, GoogleTTSService):
    """Pipecat's Google voice for a phone call: mu-law from Google to the caller's ear.

    Audio is asked for as mu-law at 8 kHz and goes out as it comes. Credentials are read, and the
    connection is made, while the pipeline is set up. A text whose audio breaks off or hangs is
    asked for again, and goes on where it broke off. What is not spoken in the end does not enter
    the memory; it is one error of the pipeline, and the caller hears the apology.

    Args:
        credentials: A service account's JSON.
        credentials_path: A file with it.
        location: A region's endpoint; None for the global one.
        target: ``host:port`` of another server that speaks as Google does, without TLS.
        apology_audio: Mu-law audio that is played, once, when something cannot be said.
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
        if kwargs.setdefault("sample_rate", SAMPLE_RATE) != SAMPLE_RATE:
            raise ConfigurationError(
                f"expected sample_rate={SAMPLE_RATE}, got {kwargs['sample_rate']!r}: leave it out, "
                "or use Pipecat's GoogleTTSService"
            )
        super().__init__(location=location, **kwargs)
        self._access = GoogleAccess(
            credentials=credentials, credentials_path=credentials_path, target=target
        )
        self._apology_audio = apology_audio
        self._has_apologised = False
        self._time_limit = time_limit
        self._attempts = attempts
        self._phone_client: google_tts.TextToSpeechAsyncClient | None = None
        self._opening: asyncio.Task[None] | None = None
        # Of the text that was spoken last: how much of it, and whether that was all.
        self._spoken_bytes = 0
        self._is_whole = True
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
        if self._phone_client is not None:
            await self._phone_client.transport.close()

    async def _open(self) -> None:
        try:
            credentials, _ = await self._access.identify()
        except NoCredentialsError as error:
            await self._give_up(error)
            return
        region = f"{self._location}-" if self._location else ""
        self._phone_client = self._access.client(
            google_tts.TextToSpeechAsyncClient,
            TextToSpeechGrpcAsyncIOTransport,
            credentials,
            f"{region}texttospeech.googleapis.com",
        )

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
        self._spoken_bytes, self._is_whole, self._silent_context = 0, False, context_id
        await self.start_tts_usage_metrics(text)
        async for mulaw in self._lasting(streaming_config, text):
            await self.stop_ttfb_metrics()
            self._silent_context = None
            yield MulawOutputFrame.of(mulaw, context_id=context_id)

    async def _lasting(
        self, config: google_tts.StreamingSynthesizeConfig, text: str
    ) -> AsyncIterator[bytes]:
        """A text's audio, however often it has to be asked for."""
        if self._opening is not None:
            await asyncio.wait({self._opening}, timeout=self._time_limit)
        for attempt in range(self._attempts):
            try:
                async for mulaw in self._ask(config, text, skip=self._spoken_bytes):
                    self._spoken_bytes += len(mulaw)
                    yield mulaw
                self._is_whole = True
                return
            except (GoogleAPICallError, TimeoutError) as error:
                is_last = attempt + 1 == self._attempts
                if is_last or category_of(error).is_permanent:
                    await self._give_up(error)
                    break
                logger.warning(f"{self}: a text is asked for again ({type(error).__name__})")
                await asyncio.sleep(pause_after(attempt + 1, first=_FIRST_PAUSE))
        if self._apology_audio and not self._has_apologised:
            self._has_apologised = True
            yield self._apology_audio

    async def _ask(
        self, config: google_tts.StreamingSynthesizeConfig, text: str, *, skip: int
    ) -> AsyncIterator[bytes]:
        """A text's audio behind its first bytes, asked for once."""
        if self._phone_client is None:
            raise TimeoutError("no client yet")
        async with asyncio.timeout(self._time_limit):
            call = await self._phone_client.streaming_synthesize(_requests(config, text))
        responses = aiter(call)
        try:
            while True:
                async with asyncio.timeout(self._time_limit):
                    response = await anext(responses, _END)
                if response is _END:
                    return
                # gRPC gives None for what it cannot read.
                mulaw = response.audio_content if response is not None else b""
                skipped, skip = mulaw[skip:], max(skip - len(mulaw), 0)
                if skipped:
                    yield skipped
        finally:
            cast(Any, call).cancel()

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
        if isinstance(frame, TTSTextFrame) and not self._is_whole:
            words = int(self._spoken_bytes / SAMPLE_RATE * _WORDS_PER_SECOND)
            frame.text = " ".join(frame.text.split()[:words])
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
