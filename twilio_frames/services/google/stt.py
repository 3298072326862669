"""Google hears the caller, in the mu-law that Twilio sent, by its model for telephones."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from google.api_core.exceptions import Aborted, GoogleAPICallError
from google.cloud import speech_v2
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.google.stt import GoogleSTTService, GoogleSTTSettings
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.pipecat_internals import (
    google_config,
    google_language,
    google_location,
    speaker_of,
    trace_google_results,
)
from twilio_frames.processors.replies.apology import NOT_HEARD
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.google.access import (
    GoogleAccess,
    GoogleClient,
    NoCredentialsError,
    category_of,
    no_client_yet,
)
from twilio_frames.services.line_audio import keep_phone_format
from twilio_frames.services.outage_announcer import OutageAnnouncer
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.unacknowledged_audio import UnansweredAudio

__all__ = ["NOT_HEARD", "PhoneGoogleSTTService"]


@dataclass(frozen=True, slots=True)
class _Care:
    """What of the audio is kept and sent again, and what must have an answer."""

    # Bytes; Google takes 25,600 in a request.
    most_audio: int = 12_000
    kept_secs: float = 20.0
    # Speech that is shorter need not have words.
    least_speech_secs: float = 0.3
    # Stretches of speech, one after the other, without an answer.
    most_ignored: int = 3
    # Once nobody has spoken for so long, only the last of it may be the onset of a word.
    quiet_secs: float = 4.0
    lead_secs: float = 1.5
    # Of silence, which a stream is asked about in an outage.
    probe_secs: float = 0.5


_CARE = _Care()

# Google ends a stream after 300 s.
_LONG_SECS, _LONGEST_SECS = 240.0, 290.0


class _Stream:
    """A stream of Google's: gRPC's call."""

    def __init__(self, call: Any):
        self.call = call

    async def close(self) -> None:
        self.break_off()

    def break_off(self) -> None:
        self.call.cancel()


class PhoneGoogleSTTService(OutageAnnouncer, GoogleSTTService, ConnectionOwner[_Stream]):
    """Pipecat's Google recogniser for a phone call: mu-law as it came, and no word lost.

    Google gets the bytes that Twilio sent; audio of another transport is made mu-law once. The
    audio ends here: no processor behind it gets any. The model is ``telephony``, unless the
    settings say another one. Credentials are read, and the connection is made, while the pipeline
    is set up.

    A stream that breaks, or leaves the caller without an answer, is replaced, and the new one is
    sent all that has no final result yet; so is one that gets too long, in a pause of the caller's.
    What Google refuses for good, or trouble beyond the policy, is one error of the pipeline, the
    service is not usable in Pipecat's sense (a ``ServiceSwitcher`` goes over to another one) and
    the caller hears the apology. After trouble it is tried on with silence, until Google takes it.

    Args:
        credentials: A service account's JSON.
        credentials_path: A file with it.
        location: Google's region, ``global`` or ``us-central1`` say.
        target: ``host:port`` of another server that speaks as Google does, without TLS.
        settings: What differs from Pipecat's, ``model``, ``languages`` say.
        apology: Said when the caller cannot be heard, and again if the caller speaks nonetheless;
            empty to stay silent.
        policy: How long to wait for Google, and how often to ask again. ``answer_secs`` count from
            the caller's last word.
        **kwargs: Passed to Pipecat's service.

    Raises:
        ConfigurationError: If another sample rate is asked for.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        credentials_path: str | None = None,
        location: str = "global",
        target: str = "",
        settings: GoogleSTTSettings | None = None,
        apology: str = NOT_HEARD,
        policy: RetryPolicy | None = None,
        **kwargs: Any,
    ):
        keep_phone_format(kwargs, instead="GoogleSTTService")
        ours = GoogleSTTSettings(model="telephony")
        if settings is not None:
            ours.apply_update(settings)
        usual = {"audio_passthrough": False, "ttfs_p99_latency": 1.0}
        with no_client_yet():
            super().__init__(
                location=location, settings=ours, apology=apology, **{**usual, **kwargs}
            )
        self._google = GoogleClient(
            speech_v2.SpeechAsyncClient,
            SpeechGrpcAsyncIOTransport,
            GoogleAccess(credentials=credentials, credentials_path=credentials_path, target=target),
        )
        self._answer_limit = (policy or RetryPolicy()).answer_secs
        self._keeper = ConnectionKeeper(self, policy or RetryPolicy(), name="a stream of Google's")
        self._unanswered = UnansweredAudio(most_secs=_CARE.kept_secs)
        self._more = asyncio.Event()
        self._is_speaking = False
        self._stopped_at = 0.0
        self._ignored = 0
        self._is_answer_due = False
        self._streams = 0
        # Up to where final results have come, seconds of audio since the call began.
        self._heard_to = 0.0
        self._limit: asyncio.Timeout | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes the audio, and waits for an answer when the caller falls silent."""
        await super().process_frame(frame, direction)
        match frame:
            case VADUserStartedSpeakingFrame():
                self._is_speaking = True
            case VADUserStoppedSpeakingFrame():
                self._is_speaking, self._stopped_at = False, time.monotonic()
                said = self._unanswered.end / SAMPLE_RATE - frame.stop_secs - self._heard_to
                if said > _CARE.least_speech_secs and not self.is_out:
                    self._await_answer()
            case _:
                pass

    def _await_answer(self) -> None:
        self._is_answer_due = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._answer_limit)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Has mu-law audio sent; what was said comes later."""
        self._unanswered.add(audio)
        if not self._is_speaking and time.monotonic() - self._stopped_at > _CARE.quiet_secs:
            # Nobody has spoken: nothing of it has to be sent again.
            end = self._unanswered.sent / SAMPLE_RATE - self._unanswered.stream_begin
            self._unanswered.answered(end - _CARE.lead_secs)
        self._more.set()
        yield None

    # Pipecat's own name: what its _connect() runs as a task.

    async def _stream_audio(self) -> None:
        self.forget_outage()
        await self._keeper.run()

    async def dial(self) -> _Stream:
        """Opens a stream, once there is something to send."""
        await self._open()
        assert self._google.client is not None  # noqa: S101 - _open() made it
        if self.is_out:
            # Nothing of the caller comes while the service is not usable.
            self._unanswered.clear()
            self._unanswered.add(mulaw_silence(_CARE.probe_secs))
        while not self._unanswered.unsent:
            self._more.clear()
            await self._more.wait()
        self._unanswered.begin_stream()
        async with asyncio.timeout(self._answer_limit):
            call = await self._google.client.streaming_recognize(requests=self._requests())
        return _Stream(call)

    async def _open(self) -> None:
        if self._google.client is not None:
            return
        location = google_location(self)
        region = "" if location == "global" else f"{location}-"
        self._project = await self._google.open(f"{region}speech.googleapis.com")
        if not self._project:
            raise NoCredentialsError("expected a project")

    async def carry(self, connection: _Stream) -> Failure | None:
        """Takes results, until the stream ends or breaks."""
        # What was not answered yet is sent now: this stream has no longer for it.
        limit = self._answer_limit + 1 if self._is_answer_due or self.is_out else None
        try:
            async with asyncio.timeout(limit) as self._limit:
                async for response in connection.call:
                    if self.is_out:
                        break
                    await self._take(response)
                    self._ignored = 0
                    await self._keeper.prove()
        except Aborted:
            # Too long, or without audio: Google's limits, which this service keeps or meant to.
            if self.is_out:
                raise
        except TimeoutError as error:
            return self._note_silence(error)
        finally:
            self._limit = None
            # gRPC may go on to ask a stream that is over for its audio.
            self._streams += 1
            self._more.set()
        if self.is_out:
            await self._keeper.prove()
        elif self._keeper.age_secs < 1 and self._unanswered.unsent:
            return Failure(text="ended at once", error=ConnectionError())
        return None

    def failure_of(self, error: Exception) -> Failure:
        """Tells what Google means by it."""
        text, category = type(error).__name__, category_of(error)
        if not isinstance(error, GoogleAPICallError | TimeoutError | NoCredentialsError):
            report_unforeseen(error, "a stream of Google's")
        # Without a client there is nobody to ask again.
        is_final = category.is_permanent or self._google.client is None
        return Failure(text=text, category=category, error=error, is_final=is_final)

    async def _requests(self) -> AsyncIterator[cloud_speech.StreamingRecognizeRequest]:
        stream, config = self._streams, google_config(self)
        decoding = config.config.explicit_decoding_config
        decoding.encoding = cloud_speech.ExplicitDecodingConfig.AudioEncoding.MULAW
        decoding.sample_rate_hertz = SAMPLE_RATE
        recognizer = f"projects/{self._project}/locations/{google_location(self)}/recognizers/_"
        yield cloud_speech.StreamingRecognizeRequest(recognizer=recognizer, streaming_config=config)
        while stream == self._streams and not self._is_long_enough():
            if piece := self._unanswered.next(_CARE.most_audio):
                yield cloud_speech.StreamingRecognizeRequest(audio=piece)
            elif self.is_out:
                # Google ends a stream without words that has no more audio: that is its answer.
                return
            else:
                self._more.clear()
                await self._more.wait()

    def _is_long_enough(self) -> bool:
        return self._keeper.age_secs > (_LONGEST_SECS if self._is_speaking else _LONG_SECS)

    async def _take(self, response: cloud_speech.StreamingRecognizeResponse | None) -> None:
        if response is None:
            # gRPC gives None for what it cannot read.
            logger.warning(f"{self}: Google sent what is no response, and it is skipped")
            return
        interim = ""
        for result in response.results:
            text = result.alternatives[0].transcript.strip() if result.alternatives else ""
            if not result.is_final:
                interim = f"{interim} {text}".strip()
                continue
            if (end := _end_of(result)) is None:
                logger.warning(f"{self}: Google sent a result of no time, and it is skipped")
                continue
            self._is_answer_due = False
            if self._limit is not None and not self._limit.expired():
                self._limit.reschedule(None)
            self._unanswered.answered(end)
            heard_to = self._unanswered.stream_begin + end
            self._heard_to = min(heard_to, self._unanswered.end / SAMPLE_RATE)
            if text:
                await self._tell(TranscriptionFrame, text, result, finalized=True)
                await trace_google_results(self, text, self._language)
        if interim:
            await self._tell(InterimTranscriptionFrame, interim, response.results[-1])

    @property
    def _language(self) -> Language:
        return cast(Language, google_language(self))

    async def _tell(self, kind: Any, text: str, result: Any, **more: Any) -> None:
        if more:
            await self.emit_stt_usage_metrics()
        now = time_now_iso8601()
        await self.push_frame(
            kind(text, speaker_of(self), now, self._language, result=result, **more)
        )

    def _note_silence(self, error: Exception) -> Failure | None:
        """The caller spoke, and no result came: a stream that hangs, or no words were in it."""
        if self.is_out:
            return None
        self._ignored += 1
        logger.warning(f"{self}: Google has no answer to what the caller said")
        if self._ignored > 1:
            self._is_answer_due = False
            self._unanswered.clear()
        if self._ignored == _CARE.most_ignored:
            return Failure(text="no answer", error=error, is_outage=True)
        return None

    async def on_failure(self, failure: Failure) -> None:
        """Tells that a stream is lost."""
        logger.warning(f"{self}: Google's stream broke off ({failure})")

    async def on_outage(self, failure: Failure) -> None:
        """Reports that the caller cannot be heard, to the pipeline and to the caller."""
        self._is_answer_due = False
        await self.enter_outage(
            f"expected Google to hear the caller, got {type(failure.error).__name__}: check the "
            "credentials, the project, the quota, the model and the network",
            category=failure.category,
            error=failure.error,
        )

    async def on_recovery(self) -> None:
        """Hears again."""
        logger.info(f"{self}: Google hears again")
        self._ignored = 0
        self._unanswered.clear()
        self._heard_to = self._unanswered.end / SAMPLE_RATE
        await self.leave_outage()

    async def cleanup(self) -> None:
        """Closes the connection."""
        await super().cleanup()
        await self._google.close()


def _end_of(result: cloud_speech.StreamingRecognitionResult) -> float | None:
    try:
        return cast(Any, result.result_end_offset).total_seconds()
    except OverflowError:
        return None
