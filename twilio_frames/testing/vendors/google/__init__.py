"""Google Cloud's Speech-to-Text and Text-to-Speech on this machine, over gRPC.

What goes over the wire: https://docs.cloud.google.com/speech-to-text/docs/reference/rpc and
https://docs.cloud.google.com/text-to-speech/docs/reference/rpc. Messages are those of Google's own
client libraries.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.types import cloud_tts

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw
from twilio_frames.testing.known_speech import SaidWord, TextVoice, VaryingVoice, sound
from twilio_frames.testing.vendors.faults import Drop, EarlyEnd, Fault, Garbage, Hang, Refusal, Slow
from twilio_frames.testing.vendors.google.ear import GoogleEar, GoogleHeard, GoogleHears
from twilio_frames.testing.vendors.google.ear import GoogleScript as _Script
from twilio_frames.testing.vendors.google.wire import Wire
from twilio_frames.testing.vendors.server import Visit
from twilio_frames.testing.virtual_time import watch_threads

__all__ = ["GoogleHears", "GoogleServer", "GoogleSpeech", "GoogleStream"]

_CHUNK = 800
_GARBAGE = b"\xff\xff\xff\xff"
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_Context = grpc.aio.ServicerContext
MOST_AUDIO = 25_600
"""Bytes of audio in one request (https://docs.cloud.google.com/speech-to-text/docs/quotas)."""

_RECOGNIZER = re.compile(r"projects/[^/]+/locations/[^/]+/recognizers/[^/]+")
_MODELS = {"telephony", "telephony_short", "long", "short", "latest_long", "latest_short"}
_ENCODINGS = cloud_speech.ExplicitDecodingConfig.AudioEncoding
_VOICED = cloud_tts.AudioEncoding


@dataclass(slots=True, kw_only=True)
class GoogleStream:
    """One stream of the caller's audio, as the server saw it.

    Parameters:
        config: What was asked for.
        recognizer: Of whom.
        audio: All audio that came, as it came.
        results: What was told, in order.
        is_over: Whether it has ended.
    """

    config: cloud_speech.StreamingRecognitionConfig = field(repr=False)
    recognizer: str
    audio: bytearray = field(default_factory=bytearray, repr=False)
    results: list[GoogleHeard] = field(default_factory=list, repr=False)
    is_over: bool = False

    @property
    def finals(self) -> list[str]:
        """The final texts."""
        return [result.text for result in self.results if result.is_final]


@dataclass(slots=True, kw_only=True)
class GoogleSpeech:
    """One text that was to be spoken.

    Parameters:
        config: What was asked for.
        text: The text.
        words: How it sounds.
        sent: Bytes of audio that were sent.
        is_cancelled: Whether the client broke it off.
    """

    config: cloud_tts.StreamingSynthesizeConfig = field(repr=False)
    text: str = field(repr=False)
    words: Sequence[SaidWord] = field(repr=False)
    sent: int = 0
    is_cancelled: bool = False


class GoogleServer:
    """Hears and speaks as Google Cloud does, on a free port of this machine, without TLS.

    An asynchronous context manager. Google's clients are pointed at :attr:`target`. A request that
    Google would refuse is refused in the same way: a model or voice that cannot stream, an encoding
    it does not know, too much audio at once, a stream that is too long or without audio.

    Faults befall the streams, in order, hearing's and speaking's each by their own list. ``after``
    counts responses: results of a stream that hears, pieces of audio of one that speaks.
    :class:`Drop` breaks the client's connection, and so all its streams. :class:`Slow` delays the
    first response of a stream.

    Args:
        hears: What callers say.
        voice: How a text sounds; by default each word is a noise of its own, each time another, see
            :class:`twilio_frames.testing.known_speech.VaryingVoice`; for words people understand,
            :func:`twilio_frames.testing.known_speech.espeak_voice`.
        speed: How many times faster than it is played audio comes.
        first_audio_secs: How long the first audio of a text takes.
        stream_secs: How long a stream of audio may be; Google's 300.
        idle_secs: How long one may be without audio; Google's 10.
        faults: What goes wrong with the streams that are heard.
        tts_faults: What goes wrong with those that are spoken.
    """

    def __init__(
        self,
        *,
        hears: GoogleHears = (),
        voice: TextVoice | None = None,
        speed: float = 5.0,
        first_audio_secs: float = 0.05,
        stream_secs: float = 300.0,
        idle_secs: float = 10.0,
        faults: Iterable[Fault | None] = (),
        tts_faults: Iterable[Fault | None] = (),
    ):
        self._script = _Script(hears)
        self.voice = voice or VaryingVoice()
        self.speed = speed
        self.first_audio_secs = first_audio_secs
        self.stream_secs = stream_secs
        self.idle_secs = idle_secs
        self._faults: Iterator[Fault | None] = iter(faults)
        self._tts_faults: Iterator[Fault | None] = iter(tts_faults)
        self._wire = Wire()
        self._server: grpc.aio.Server | None = None
        self.visits: list[Visit] = []
        """Who came, in order."""
        self.streams: list[GoogleStream] = []
        """What was heard, stream by stream; refused ones are not among them."""
        self.speeches: list[GoogleSpeech] = []
        """What was spoken, text by text; refused ones are not among them."""

    @property
    def target(self) -> str:
        """The address, ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self._wire.port}"

    async def __aenter__(self) -> Self:
        """Begins to serve."""
        watch_threads()
        self._server = server = grpc.aio.server()
        server.add_generic_rpc_handlers(self._handlers())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await self._wire.open(port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Breaks off what is open, and ends."""
        await self._wire.close()
        if self._server is not None:
            await self._server.stop(0)

    def drop(self) -> None:
        """Breaks all connections that are open, without a goodbye."""
        for stream in self.streams:
            stream.is_over = True
        self._wire.drop()

    def go_wrong(self, *faults: Fault | None, speaking: bool = False) -> None:
        """Has the next streams meet these, in the place of what was to come."""
        if speaking:
            self._tts_faults = iter(faults)
        else:
            self._faults = iter(faults)

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        recognize = grpc.stream_stream_rpc_method_handler(
            self._recognize,
            request_deserializer=cloud_speech.StreamingRecognizeRequest.deserialize,
            response_serializer=bytes,
        )
        stream = grpc.stream_stream_rpc_method_handler(
            self._speak,
            request_deserializer=cloud_tts.StreamingSynthesizeRequest.deserialize,
            response_serializer=bytes,
        )
        whole = grpc.unary_unary_rpc_method_handler(
            self._speak_whole,
            request_deserializer=cloud_tts.SynthesizeSpeechRequest.deserialize,
            response_serializer=cloud_tts.SynthesizeSpeechResponse.serialize,
        )
        tts = {"StreamingSynthesize": stream, "SynthesizeSpeech": whole}
        stt = {"StreamingRecognize": recognize}
        handler = grpc.method_handlers_generic_handler
        return (
            handler("google.cloud.speech.v2.Speech", stt),
            handler("google.cloud.texttospeech.v1.TextToSpeech", tts),
        )

    async def _meet(self, context: _Context, path: str, *, speaks: bool) -> Fault | None:
        fault = next(self._tts_faults if speaks else self._faults, None)
        metadata = dict(context.invocation_metadata() or ())
        key = str(metadata.get("authorization", "")).rpartition(" ")[2]
        self.visits.append(Visit(at=time.monotonic(), path=path, query={}, key=key, fault=fault))
        if isinstance(fault, Drop) and fault.after == 0:
            self.drop()
        return fault

    async def _refuse(self, fault: Fault | None, context: _Context) -> None:
        """Refuses what has been asked for.

        Not before that is read: of a refusal which meets a request that is being written, grpc.aio
        tells its client at times no more than "Internal error from Core".
        """
        if isinstance(fault, Refusal):
            code = _STATUS.get(fault.status, grpc.StatusCode.UNKNOWN)
            await context.abort(code, "Refused.")

    async def _recognize(self, requests: AsyncIterator[Any], context: _Context) -> Any:
        fault = await self._meet(context, "StreamingRecognize", speaks=False)
        first = await anext(requests)
        await self._refuse(fault, context)
        if mistake := _mistake_in_recognition(first):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, mistake)
        stream = GoogleStream(config=first.streaming_config, recognizer=first.recognizer)
        self.streams.append(stream)
        try:
            told = 0
            async for heard in self._hear(stream, requests, context):
                if isinstance(fault, EarlyEnd) and told == fault.after:
                    return
                await self._suffer(fault, told)
                if isinstance(fault, Garbage) and told == fault.after:
                    yield _GARBAGE
                    yield _endless_result()
                yield cloud_speech.StreamingRecognizeResponse.serialize(_response(heard))
                stream.results.append(heard)
                told += 1
            if isinstance(fault, Hang):
                # Nor does the end of the stream come.
                await self._suffer(fault, told)
        finally:
            stream.is_over = True

    async def _hear(
        self, stream: GoogleStream, requests: AsyncIterator[Any], context: _Context
    ) -> AsyncIterator[GoogleHeard]:
        features = stream.config.streaming_features
        ear = GoogleEar(self._script, interim_results=features.interim_results)
        encoding = stream.config.config.explicit_decoding_config.encoding
        is_mulaw = encoding == cloud_speech.ExplicitDecodingConfig.AudioEncoding.MULAW
        while (request := await self._next(requests, context)) is not None:
            if not request.audio or len(request.audio) > MOST_AUDIO:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Audio chunk is invalid.")
            stream.audio += request.audio
            for heard in ear.take(request.audio if is_mulaw else encode_mulaw(request.audio)):
                yield heard
            if ear.seconds >= self.stream_secs:
                message = "Max duration of 5 minutes reached for stream."
                await context.abort(grpc.StatusCode.ABORTED, message)
        # The requests of a stream that broke off may end as those of one that is finished do.
        for heard in ear.finish() if not stream.is_over else ():
            yield heard

    async def _next(self, requests: AsyncIterator[Any], context: _Context) -> Any:
        try:
            async with asyncio.timeout(self.idle_secs):
                return await anext(requests, None)
        except TimeoutError:
            message = "Stream timed out after receiving no more client requests."
            await context.abort(grpc.StatusCode.ABORTED, message)

    async def _speak(self, requests: AsyncIterator[Any], context: _Context) -> Any:
        fault = await self._meet(context, "StreamingSynthesize", speaks=True)
        first = await anext(requests)
        if mistake := _mistake_in_synthesis(first):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, mistake)
        text = "".join([request.input.text async for request in requests])
        await self._refuse(fault, context)
        words = self.voice(text)
        speech = GoogleSpeech(config=first.streaming_config, text=text, words=words)
        self.speeches.append(speech)
        try:
            audio = sound(words)
            await asyncio.sleep(self.first_audio_secs)
            for number, begin in enumerate(range(0, len(audio), _CHUNK)):
                if isinstance(fault, EarlyEnd) and number == fault.after:
                    return
                await self._suffer(fault, number)
                if isinstance(fault, Garbage) and number == fault.after:
                    yield _GARBAGE
                yield self._audio(speech, audio[begin : begin + _CHUNK])
                await asyncio.sleep(_CHUNK / 8000 / self.speed)
        except asyncio.CancelledError:
            speech.is_cancelled = True
            raise

    def _audio(self, speech: GoogleSpeech, mulaw: bytes) -> bytes:
        speech.sent += len(mulaw)
        encoding = speech.config.streaming_audio_config.audio_encoding
        is_mulaw = encoding == cloud_tts.AudioEncoding.MULAW
        content = mulaw if is_mulaw else decode_mulaw(mulaw)
        response = cloud_tts.StreamingSynthesizeResponse(audio_content=content)
        return cloud_tts.StreamingSynthesizeResponse.serialize(response)

    async def _speak_whole(
        self, request: cloud_tts.SynthesizeSpeechRequest, context: _Context
    ) -> cloud_tts.SynthesizeSpeechResponse:
        fault = await self._meet(context, "SynthesizeSpeech", speaks=True)
        await self._refuse(fault, context)
        await self._suffer(fault, 0)
        if request.audio_config.audio_encoding != cloud_tts.AudioEncoding.PCM:
            message = "This server answers whole texts with PCM."
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        audio = decode_mulaw(sound(self.voice(request.input.text)))
        return cloud_tts.SynthesizeSpeechResponse(audio_content=audio)

    async def _suffer(self, fault: Fault | None, told: int) -> None:
        """Has a fault happen ahead of a response."""
        match fault:
            case Slow(seconds=seconds) if told == 0:
                await asyncio.sleep(seconds)
            case Drop(after=after) if told == after:
                self.drop()
            case Hang(after=after) if told >= after:
                await asyncio.Event().wait()
            case _:
                pass


def _endless_result() -> bytes:
    response = _response(GoogleHeard(text="nonsense", is_final=True, end=0.0))
    wire: Any = cloud_speech.StreamingRecognizeResponse.pb(response)
    wire.results[0].result_end_offset.seconds = 2**62
    return wire.SerializeToString()


def _response(heard: GoogleHeard) -> cloud_speech.StreamingRecognizeResponse:
    alternative = cloud_speech.SpeechRecognitionAlternative(transcript=heard.text, confidence=0.9)
    result = cloud_speech.StreamingRecognitionResult(
        alternatives=[alternative],
        is_final=heard.is_final,
        stability=0.0 if heard.is_final else 0.9,
        result_end_offset={
            "seconds": int(heard.end),
            "nanos": round(heard.end % 1 * 1e9),
        },
        language_code="en-us",
    )
    return cloud_speech.StreamingRecognizeResponse(results=[result])


def _mistake_in_recognition(first: cloud_speech.StreamingRecognizeRequest) -> str:
    """What is wrong with a stream's first request; empty if nothing."""
    config = first.streaming_config.config
    decoding = config.explicit_decoding_config
    if first.audio or "streaming_config" not in first:
        return "Invalid request: the first message must hold the configuration, and no audio."
    if not _RECOGNIZER.fullmatch(first.recognizer):
        return "Invalid resource name for recognizer."
    if "explicit_decoding_config" not in config:
        return "Headerless audio needs an explicit decoding config."
    if decoding.encoding not in (_ENCODINGS.MULAW, _ENCODINGS.LINEAR16):
        return "Invalid audio encoding."
    if decoding.sample_rate_hertz != SAMPLE_RATE or decoding.audio_channel_count != 1:
        return "This server hears one channel of 8000 Hz."
    if config.model not in _MODELS:
        return f'The model "{config.model}" does not exist in the location.'
    if not config.language_codes:
        return "At least one language code is needed."
    if config.model == "telephony" and config.adaptation.phrase_sets:
        return "Recognizer does not support feature: speech_adaptation_boost"
    return ""


def _mistake_in_synthesis(first: cloud_tts.StreamingSynthesizeRequest) -> str:
    """What is wrong with a stream's first request; empty if nothing."""
    config = first.streaming_config
    audio = config.streaming_audio_config
    if "streaming_config" not in first:
        return "The first message must hold the streaming config."
    if not config.voice.language_code:
        return "Voice selection needs a language code."
    if not re.search(r"Chirp3-HD|Journey|Chirp-HD", config.voice.name):
        return "Currently, only Chirp 3: HD voices are supported for streaming synthesis."
    if audio.audio_encoding not in (_VOICED.MULAW, _VOICED.PCM):
        return "This audio encoding is not supported for streaming synthesis."
    if audio.sample_rate_hertz != SAMPLE_RATE:
        return "This server speaks at 8000 Hz."
    if audio.speaking_rate and not 0.25 <= audio.speaking_rate <= 2.0:
        return "The speaking rate must be within [0.25, 2.0]."
    return ""
