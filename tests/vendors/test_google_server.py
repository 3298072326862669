"""A server that stands in for Google refuses what Google refuses, and hears what reaches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud import speech_v2, texttospeech_v1
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)

from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.testing.known_speech import sound
from twilio_frames.testing.vendors import Drop, Refusal
from twilio_frames.testing.vendors.google import GoogleServer

MULAW = cloud_speech.ExplicitDecodingConfig.AudioEncoding.MULAW
RECOGNIZER = "projects/p/locations/global/recognizers/_"
VOICED = texttospeech_v1.AudioEncoding


def loud(seconds: float) -> bytes:
    noise = np.random.default_rng(1).normal(0, 8000, round(seconds * 8000))
    return encode_mulaw(np.clip(noise, -30000, 30000).astype(np.int16).tobytes())


@asynccontextmanager
async def clients(
    server: GoogleServer,
) -> AsyncIterator[tuple[speech_v2.SpeechAsyncClient, texttospeech_v1.TextToSpeechAsyncClient]]:
    async with grpc.aio.insecure_channel(server.target) as channel:
        yield (
            speech_v2.SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel)),
            texttospeech_v1.TextToSpeechAsyncClient(
                transport=TextToSpeechGrpcAsyncIOTransport(channel=channel)
            ),
        )


async def recognize(
    server: GoogleServer, *audio: bytes, model: str = "telephony", rate: int = 8000
) -> list[tuple[str, bool]]:
    decoding = cloud_speech.ExplicitDecodingConfig(
        encoding=MULAW, sample_rate_hertz=rate, audio_channel_count=1
    )
    config = cloud_speech.StreamingRecognitionConfig(
        config=cloud_speech.RecognitionConfig(
            explicit_decoding_config=decoding, model=model, language_codes=["en-US"]
        ),
        streaming_features=cloud_speech.StreamingRecognitionFeatures(interim_results=True),
    )

    async def requests():
        yield cloud_speech.StreamingRecognizeRequest(recognizer=RECOGNIZER, streaming_config=config)
        for piece in audio:
            yield cloud_speech.StreamingRecognizeRequest(audio=piece)

    async with clients(server) as (stt, _), asyncio.timeout(5):
        responses = await stt.streaming_recognize(requests=requests())
        return [
            (result.alternatives[0].transcript, result.is_final)
            async for response in responses
            for result in response.results
        ]


async def speak(
    server: GoogleServer,
    text: str,
    *,
    encoding: VOICED = VOICED.MULAW,
    voice: str = "en-US-Chirp3-HD-Charon",
) -> bytes:
    config = texttospeech_v1.StreamingSynthesizeConfig(
        voice=texttospeech_v1.VoiceSelectionParams(language_code="en-US", name=voice),
        streaming_audio_config=texttospeech_v1.StreamingAudioConfig(
            audio_encoding=encoding, sample_rate_hertz=8000
        ),
    )

    async def requests():
        yield texttospeech_v1.StreamingSynthesizeRequest(streaming_config=config)
        yield texttospeech_v1.StreamingSynthesizeRequest(
            input=texttospeech_v1.StreamingSynthesisInput(text=text)
        )

    async with clients(server) as (_, tts), asyncio.timeout(5):
        responses = await tts.streaming_synthesize(requests())
        return b"".join([response.audio_content async for response in responses])


async def test_script_is_heard_by_pauses():
    audio = [loud(0.8), mulaw_silence(0.6), loud(0.3)]
    async with GoogleServer(hears=["one two", "three"]) as server:
        results = await recognize(server, *audio)

    assert results == [
        ("one", False),
        ("one two", False),
        ("one two", True),
        ("three", True),
    ]
    assert bytes(server.streams[0].audio) == b"".join(audio)


async def test_silence_has_no_words():
    async with GoogleServer(hears=["one"]) as server:
        assert await recognize(server, mulaw_silence(2.0)) == []


@pytest.mark.parametrize("wrong", [{"model": "none"}, {"rate": 44100}])
async def test_bad_recognition_is_refused(wrong):
    async with GoogleServer() as server:
        with pytest.raises(exceptions.InvalidArgument):
            await recognize(server, loud(0.1), **wrong)
    assert not server.streams


async def test_too_much_audio_at_once_is_refused():
    async with GoogleServer() as server:
        with pytest.raises(exceptions.InvalidArgument):
            await recognize(server, loud(4.0))


async def test_long_streams_are_ended():
    async with GoogleServer(stream_secs=1.0) as server:
        with pytest.raises(exceptions.Aborted, match="Max duration"):
            await recognize(server, loud(0.6), loud(0.6))


async def test_text_is_spoken_word_by_word():
    async with GoogleServer() as server:
        mulaw = await speak(server, "Good morning.")
        pcm = await speak(server, "Good morning.", encoding=VOICED.PCM)

    first, second = server.speeches
    assert [word.text for word in first.words] == ["good", "morning"]
    assert mulaw == sound(first.words)
    assert pcm == decode_mulaw(sound(second.words))
    assert first.text == "Good morning."


async def test_nothing_sounds_alike_twice():
    async with GoogleServer() as server:
        first, second = [await speak(server, "Good morning.") for _ in range(2)]

    assert len(first) != len(second)
    assert first[:100] != second[:100]


@pytest.mark.parametrize("wrong", [{"encoding": VOICED.MP3}, {"voice": "en-US-Wavenet-D"}])
async def test_bad_synthesis_is_refused(wrong):
    async with GoogleServer() as server:
        with pytest.raises(exceptions.InvalidArgument):
            await speak(server, "Good morning.", **wrong)


async def test_faults_come_in_order():
    async with GoogleServer(tts_faults=[Refusal(status=401), Drop(after=1)]) as server:
        with pytest.raises(exceptions.Unauthenticated):
            await speak(server, "One.")
        with pytest.raises(exceptions.ServiceUnavailable):
            await speak(server, "Two.")
        assert await speak(server, "Three.") == sound(server.speeches[-1].words)
    assert [visit.path for visit in server.visits] == ["StreamingSynthesize"] * 3
