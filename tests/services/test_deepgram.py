"""PhoneDeepgramSTTService against a local server: what goes out, what comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import STTUsageMetricsData
from pipecat.services.deepgram.stt import DeepgramSTTService

from tests.services.deepgram_rig import Settings, hearing, service
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.services import RetryPolicy
from twilio_frames.services.deepgram import PhoneDeepgramSTTService, UtteranceEndFrame
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Garbage,
    WordSounds,
)

ANY_BYTES = bytes(range(256)) * 40


@asynccontextmanager
async def serve_nothing() -> AsyncIterator[str]:
    """A server that takes connections and says nothing."""

    async def be_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)

    open_ones: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in open_ones:
            writer.close()
        server.close()


async def test_mulaw_goes_out_as_it_came():
    async with DeepgramServer() as server, hearing(service(server)) as rig:
        await rig.say(ANY_BYTES, speed=100)
        await server.until(lambda: len(server.audio) == len(ANY_BYTES))

    (stream,) = server.streams
    assert bytes(stream.audio) == ANY_BYTES
    assert (stream.query.encoding, stream.query.sample_rate) == ("mulaw", 8000)


async def test_other_audio_becomes_mulaw_once():
    pcm = decode_mulaw(ANY_BYTES)
    async with DeepgramServer() as server, hearing(service(server)) as rig:
        await rig.say_frame(InputAudioRawFrame(audio=pcm, sample_rate=8000, num_channels=1))
        await server.until(lambda: len(server.audio) == len(ANY_BYTES))
    assert bytes(server.streams[0].audio) == encode_mulaw(pcm)


async def test_other_rates_are_resampled():
    async with DeepgramServer() as server, hearing(service(server)) as rig:
        for _ in range(10):
            await rig.say_frame(
                InputAudioRawFrame(audio=bytes(6400), sample_rate=16000, num_channels=1)
            )
        await server.until(lambda: len(server.audio) > 15000)
        assert len(server.streams[0].audio) <= 16000


async def test_no_audio_behind_it():
    async with DeepgramServer() as server, hearing(service(server)) as rig:
        await rig.say(ANY_BYTES, speed=100)
        await server.until(lambda: len(server.audio) == len(ANY_BYTES))
    assert not rig.after.frames(InputAudioRawFrame)


async def test_settings_are_good_for_the_phone():
    async with DeepgramServer() as server:
        stt = service(server, settings=Settings(keyterm=["oat milk", "latte"]))
        async with hearing(stt):
            await server.until(lambda: bool(server.streams))

    (visit,) = server.visits
    assert server.streams[0].query.keyterms == ("oat milk", "latte")
    wanted = {
        "model": "nova-3",
        "smart_format": "true",
        "interim_results": "true",
        "endpointing": "300",
        "utterance_end_ms": "1000",
    }
    assert wanted.items() <= visit.query.items()
    assert visit.key == "any"


@pytest.mark.parametrize(
    "settings", [Settings(endpointing=800), Settings(extra={"endpointing": 800})]
)
async def test_settings_win_over_defaults(settings: Settings):
    async with DeepgramServer() as server:
        async with hearing(service(server, settings=settings)):
            await server.until(lambda: bool(server.streams))
    assert server.streams[0].query.endpointing == 0.8


def test_other_encodings_are_refused():
    with pytest.raises(ConfigurationError, match="encoding='mulaw', got 'linear16'"):
        PhoneDeepgramSTTService(api_key="any", encoding="linear16")
    with pytest.raises(ConfigurationError, match="sample_rate"):
        PhoneDeepgramSTTService(api_key="any", sample_rate=16000)


async def test_words_become_frames():
    sounds = WordSounds()
    ends: list[float] = []
    async with DeepgramServer(hears=sounds.hear) as server:
        stt = service(server, settings=Settings(extra={"vad_events": True}))
        began: list[float] = []
        stt.add_event_handler("on_speech_started", lambda _, at: began.append(at))
        stt.add_event_handler("on_utterance_end", lambda _, at: ends.append(at))
        async with hearing(stt) as rig:
            speech = mulaw_silence(0.4) + sounds.bursts("Two large lattes, please.")
            await rig.say(speech + mulaw_silence(1.5))
            end = await rig.after.wait_for(UtteranceEndFrame)

    assert [frame.text for frame in rig.transcriptions] == ["Two large lattes, please."]
    assert rig.transcriptions[0].finalized
    interims = [f.text for f in rig.after.frames(InterimTranscriptionFrame)]  # pyright: ignore
    assert interims
    assert all("Two large lattes, please.".startswith(text) for text in interims)
    assert isinstance(end, UtteranceEndFrame)
    assert ends == [end.last_word_end] == [pytest.approx(len(speech) / 8000 - 0.1)]
    assert began == [pytest.approx(0.4, abs=0.02)]


async def test_finalize_when_caller_falls_silent():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server, hearing(service(server)) as rig:
        await rig.begin_to_speak()
        speech = sounds.bursts("hello there", pause=0.05)
        await rig.say(speech)
        await rig.fall_silent()
        await rig.has_words(2)

    assert [message["type"] for message in server.streams[0].messages][:1] == ["Finalize"]
    (result,) = (answer for answer in server.streams[0].answers if answer.get("from_finalize"))
    assert result["start"] + result["duration"] == pytest.approx(len(speech) / 8000)
    assert rig.transcriptions[0].finalized


async def test_usage_is_seconds_of_audio():
    async with DeepgramServer() as server, hearing(service(server)) as rig:
        await rig.say(mulaw_silence(3), speed=100)
        await server.until(lambda: len(server.audio) == 3 * 8000)

    frames = [frame for frame in rig.after.frames(MetricsFrame) if isinstance(frame, MetricsFrame)]
    usage = [
        each for frame in frames for each in frame.data if isinstance(each, STTUsageMetricsData)
    ]
    assert sum(each.value.audio_seconds for each in usage) == pytest.approx(3.0)


async def test_stock_service_speaks_to_the_server():
    """Pipecat's own, which leaves the interim results' connection to Deepgram's client."""
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server:
        stt = DeepgramSTTService(api_key="any", base_url=server.url, sample_rate=8000)
        async with hearing(stt) as rig:
            await rig.say(sounds.bursts("hello there", pause=0.0) + mulaw_silence(0.5))
            await rig.has_words(2)
    assert rig.words == ["hello", "there"]


async def test_garbage_is_left_out():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Garbage(after=1)]) as server:
        async with hearing(service(server)) as rig:
            await rig.say(sounds.bursts("one two three", pause=0.3) + mulaw_silence(0.5))
            await rig.has_words(3)
    assert rig.words == ["one", "two", "three"]
    assert len(server.streams) == 1
    assert not rig.errors


async def test_call_does_not_wait_for_deepgram():
    """The pipeline starts while the server has not even answered."""
    async with serve_nothing() as url:
        policy = RetryPolicy(open_secs=60)
        async with hearing(PhoneDeepgramSTTService(api_key="any", base_url=url, policy=policy)):
            pass


def test_construction_is_quick():
    """What takes time was done at the import: a TLS context alone takes some 30 ms."""
    PhoneDeepgramSTTService(api_key="any")
    took = []
    for _ in range(5):
        began = time.thread_time()
        PhoneDeepgramSTTService(api_key="any")
        took.append(time.thread_time() - began)
    assert min(took) < 0.02


def test_private_names_of_pipecat_are_there():
    stt = PhoneDeepgramSTTService(api_key="any")
    for name in (
        *("_build_connect_kwargs", "_client", "_connect", "_connection", "_connection_task"),
        *("_disconnect", "_do_reconnect", "_on_message", "_record_stt_audio_usage", "_user_id"),
    ):
        assert hasattr(DeepgramSTTService, name) or name in vars(stt), name
    wrapper = vars(vars(stt)["_client"])["_client_wrapper"]
    assert {"get_environment", "get_headers"} <= set(dir(wrapper))
