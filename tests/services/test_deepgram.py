"""PhoneDeepgramSTTService against a local server: what goes out, what comes back, what is lost."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat

import pytest
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    MetricsFrame,
    STTMuteFrame,
    STTUpdateSettingsFrame,
    TTSSpeakFrame,
)
from pipecat.metrics.metrics import STTUsageMetricsData
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.utils.errors import ErrorCategory
from websockets.asyncio.server import ServerConnection, serve

from tests.services.deepgram_rig import Settings, hearing, service
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.services import deepgram_connection
from twilio_frames.services.deepgram import (
    APOLOGY,
    ConnectionPatience,
    PhoneDeepgramSTTService,
    UtteranceEndFrame,
)
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Drop,
    Garbage,
    Hang,
    Refusal,
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


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.truth) for seed in range(2, 8))]
)
async def test_no_word_is_lost_or_comes_twice(seed: int):
    """The connection breaks four times, anywhere: in words, between them, while it catches up."""
    source = random.Random(seed)
    sounds = WordSounds()
    speech = sounds.bursts(" ".join(f"word{n}" for n in range(24)), pause=source.uniform(0, 0.4))
    async with DeepgramServer(hears=sounds.hear) as server, hearing(service(server)) as rig:
        breaks = sorted(source.randrange(len(speech)) for _ in range(4))
        begin = 0
        for at in breaks:
            await rig.say(speech[begin:at], speed=10)
            server.drop()
            begin = at
        await rig.say(speech[begin:] + mulaw_silence(0.5), speed=10)
        await rig.has_words(24)

    assert rig.words == sounds.words
    assert len(server.streams) >= 2
    assert not rig.errors


async def test_gap_is_sent_faster_than_it_came():
    sounds = WordSounds()
    faults = [Drop(), *[Refusal(status=500)] * 2]
    async with DeepgramServer(hears=sounds.hear, faults=faults) as server:
        async with hearing(service(server)) as rig:
            speech = sounds.bursts("one two three four five six", pause=0.3)
            await rig.say(speech + mulaw_silence(0.5), speed=1000)
            await rig.has_words(6)
            (stream,) = server.streams[1:]

    assert rig.words == sounds.words
    assert bytes(rig.said).startswith(bytes(stream.audio))
    assert len(stream.audio) >= len(speech)
    (began, first), (ended, last) = stream.arrivals[0], stream.arrivals[-1]
    assert (last - first) / 8000 > 2 * (ended - began)


async def test_nothing_is_asked_again_that_was_final():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server, hearing(service(server)) as rig:
        await rig.say(sounds.bursts("one two") + mulaw_silence(0.5))
        await rig.has_words(2)
        server.drop()
        await server.until(lambda: len(server.streams) == 2)
        await rig.say(sounds.bursts("three") + mulaw_silence(0.5))
        await rig.has_words(3)

    assert rig.words == ["one", "two", "three"]
    assert sounds.hear(bytes(server.streams[1].audio))[0].text == "three"


async def test_last_words_are_asked_for_again():
    """The connection breaks between the question for the last words and the answer."""
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, latency=0.3) as server:
        async with hearing(service(server, settings=Settings(endpointing=False))) as rig:
            await rig.begin_to_speak()
            await rig.say(sounds.bursts("hello"), speed=100)
            await rig.fall_silent()
            await server.until(lambda: bool(server.streams[0].messages))
            server.drop()
            await rig.has_words(1)

    assert rig.words == ["hello"]
    assert rig.transcriptions[0].finalized
    assert server.streams[1].messages[0] == {"type": "Finalize"}


async def test_what_waits_too_long_is_dropped():
    sounds = WordSounds()
    patience = ConnectionPatience(buffer_secs=1.0, retry_secs=5.0)
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=503)] * 3) as server:
        async with hearing(service(server, patience=patience)) as rig:
            await rig.say(sounds.bursts("one two three four five six", pause=0.1), speed=100)
            await rig.say(mulaw_silence(0.4), speed=100)
            await rig.has_words(1)
    assert 0 < len(rig.words) < 6
    assert rig.words == sounds.words[-len(rig.words) :]


async def test_hang_is_noticed():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Hang()]) as server:
        async with hearing(service(server, patience=ConnectionPatience(hang_secs=0.4))) as rig:
            await rig.say(sounds.bursts("one two three") + mulaw_silence(0.5))
            await rig.has_words(3)

    assert rig.words == ["one", "two", "three"]
    assert len(server.streams) == 2
    assert not rig.errors


async def test_silence_is_no_hang():
    async with DeepgramServer(faults=[Hang()]) as server:
        async with hearing(service(server, patience=ConnectionPatience(hang_secs=1.0))) as rig:
            await rig.say(mulaw_silence(15), speed=10)
            assert len(server.streams) == 1


async def test_unanswered_ping_is_noticed():
    """A connection over which nothing comes at all, as through a router that has forgotten it."""

    async def go_deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    lost = asyncio.Event()
    async with serve(go_deaf, "127.0.0.1", 0, close_timeout=0.1) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        patience = ConnectionPatience(hang_secs=0.3)
        stt = PhoneDeepgramSTTService(api_key="any", base_url=url, patience=patience)
        stt.add_event_handler("on_disconnected", lambda _: lost.set())
        async with hearing(stt), asyncio.timeout(10):
            await lost.wait()


async def test_stream_is_kept_open_without_audio(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deepgram_connection, "_KEEP_ALIVE_SECONDS", 0.1)
    async with DeepgramServer(idle_seconds=1.5) as server, hearing(service(server)) as rig:
        await rig.worker.queue_frame(STTMuteFrame(mute=True))
        await rig.say(mulaw_silence(20), speed=10)
        assert len(server.streams) == 1
        assert server.audio == b""
        assert {"type": "KeepAlive"} in server.streams[0].messages


async def test_own_failure_does_not_end_hearing(monkeypatch: pytest.MonkeyPatch):
    """A message that this side cannot cope with costs a connection, not the call."""
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server:
        stt = service(server)
        take, failures = stt.take_message, iter([RuntimeError("the caller's words")])

        async def fail_once(message: object) -> None:
            for failure in failures:
                raise failure
            await take(message)

        monkeypatch.setattr(stt, "take_message", fail_once)
        async with hearing(stt) as rig:
            await rig.say(sounds.bursts("one two", pause=0.0) + mulaw_silence(0.5))
            await rig.has_words(2)
    assert rig.words == ["one", "two"]
    assert len(server.streams) == 2


async def test_garbage_is_left_out():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Garbage(after=1)]) as server:
        async with hearing(service(server)) as rig:
            await rig.say(sounds.bursts("one two three", pause=0.3) + mulaw_silence(0.5))
            await rig.has_words(3)
    assert rig.words == ["one", "two", "three"]
    assert len(server.streams) == 1
    assert not rig.errors


@pytest.mark.parametrize(
    ("status", "category", "advice"),
    [
        (400, ErrorCategory.INVALID_REQUEST, "change the settings"),
        (401, ErrorCategory.AUTHENTICATION, "set DEEPGRAM_API_KEY"),
        (402, ErrorCategory.QUOTA, "add credit"),
        (403, ErrorCategory.AUTHORIZATION, "give the key the right"),
    ],
)
async def test_lasting_refusal_is_one_error(status: int, category: ErrorCategory, advice: str):
    async with DeepgramServer(faults=[Refusal(status=status)] * 9) as server:
        stt = service(server)
        async with hearing(stt) as rig:
            assert await rig.apology() == APOLOGY

    (error,) = rig.errors
    assert error.category is category
    assert advice in error.error
    assert f"HTTP {status}" in error.error
    assert not stt.is_usable
    assert len(server.visits) == 1


async def test_error_says_what_deepgram_said():
    async with DeepgramServer() as server:
        stt = service(server, settings=Settings(keywords=["latte"]))
        async with hearing(stt) as rig:
            await rig.apology()
    assert "Keywords are not supported for Nova-3" in rig.errors[0].error


async def test_apology_again_if_caller_speaks():
    async with DeepgramServer(faults=[Refusal(status=401)]) as server:
        async with hearing(service(server, apology="I'm deaf.")) as rig:
            await rig.apology()
            for _ in range(5):
                await rig.begin_to_speak()
                await rig.fall_silent()
            await rig.after.wait_for(TTSSpeakFrame, count=3)
    texts = [f.text for f in rig.after.frames(TTSSpeakFrame) if isinstance(f, TTSSpeakFrame)]
    assert texts == ["I'm deaf."] * 3


async def test_apology_may_be_left_out():
    async with DeepgramServer(faults=[Refusal(status=401)]) as server:
        async with hearing(service(server, apology="")) as rig:
            await rig.begin_to_speak()
            await rig.fall_silent()
    assert len(rig.errors) == 1
    assert not rig.after.frames(TTSSpeakFrame)


async def test_other_settings_are_another_chance():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=400)]) as server:
        stt = service(server)
        async with hearing(stt) as rig:
            await rig.apology()
            await rig.worker.queue_frame(STTUpdateSettingsFrame(delta=Settings(model="nova-2")))
            await server.until(lambda: bool(server.streams))
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)
    assert server.streams[0].query.model == "nova-2"
    assert stt.is_usable


async def test_new_settings_lose_no_word():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server:
        async with hearing(service(server)) as rig:
            speech = sounds.bursts("one two three", pause=0.05)
            await rig.say(speech[:4000])
            await rig.worker.queue_frame(STTUpdateSettingsFrame(delta=Settings(keyterm=["two"])))
            await rig.say(speech[4000:] + mulaw_silence(0.5))
            await rig.has_words(3)
    assert rig.words == ["one", "two", "three"]
    assert server.streams[-1].query.keyterms == ("two",)


@pytest.mark.parametrize("status", [429, 500])
async def test_passing_refusal_is_tried_again(status: int):
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=status)] * 2) as server:
        async with hearing(service(server)) as rig:
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)
    assert rig.words == ["hello"]
    assert not rig.errors
    gaps = [
        later.at - earlier.at
        for earlier, later in zip(server.visits, server.visits[1:], strict=False)
    ]
    assert gaps[1] >= 0.12


@pytest.mark.parametrize("fault", [Refusal(status=500), Drop(), Hang()])
async def test_patience_ends_and_hearing_comes_back(fault: Refusal | Drop | Hang):
    sounds = WordSounds()
    patience = ConnectionPatience(retry_secs=0.5, hang_secs=0.2)
    async with DeepgramServer(hears=sounds.hear, faults=[fault] * 200) as server:
        stt = service(server, patience=patience)
        async with hearing(stt) as rig:
            while not rig.errors:
                await rig.say(sounds.bursts("noise"), speed=10)
            assert not stt.is_usable
            await rig.apology()
            usable = asyncio.Event()
            stt.add_event_handler("on_usable_changed", lambda *_: usable.set())
            server.go_wrong()
            await usable.wait()
            assert stt.is_usable
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)

    (error,) = rig.errors
    assert "tried again" in error.error
    assert rig.words[-1] == "hello"


async def test_deepgram_that_hangs_for_ever_is_given_up():
    sounds = WordSounds()
    patience = ConnectionPatience(retry_secs=1.5, hang_secs=0.45, open_secs=1.0)
    news: list[bool] = []
    async with DeepgramServer(hears=sounds.hear, faults=repeat(Hang())) as server:
        stt = service(server, patience=patience)
        stt.add_event_handler("on_usable_changed", lambda _, usable: news.append(usable))
        async with hearing(stt) as rig:
            began = time.monotonic()
            while not rig.after.frames(TTSSpeakFrame):
                await rig.say(sounds.bursts("noise"), speed=1)
            assert time.monotonic() - began < 2.8
            streams = len(server.streams)
            await server.until(lambda: len(server.streams) >= streams + 3)
            assert not stt.is_usable

    assert news == [False]
    assert len(rig.errors) == 1
    assert len(rig.after.frames(TTSSpeakFrame)) == 1


async def test_deepgram_given_up_is_asked_before_it_counts():
    """The caller's words stay away meanwhile; silence is what it has to answer."""
    async with DeepgramServer(faults=[Refusal(status=500)] * 6) as server:
        stt = service(server, patience=ConnectionPatience(retry_secs=0.2))
        usable = asyncio.Event()
        async with hearing(stt) as rig:
            await rig.apology()
            stt.add_event_handler("on_usable_changed", lambda *_: usable.set())
            await usable.wait()

    (stream,) = server.streams
    assert set(stream.audio[: 3 * 8000]) == set(mulaw_silence(0.1))
    assert stream.answers


async def test_call_does_not_wait_for_deepgram():
    """The pipeline starts while the server has not even answered."""
    async with serve_nothing() as url:
        patience = ConnectionPatience(open_secs=60)
        async with hearing(PhoneDeepgramSTTService(api_key="any", base_url=url, patience=patience)):
            pass


async def test_another_service_takes_over():
    """Pipecat's switch goes over to it, and the caller hears no apology."""
    sounds = WordSounds()
    refused, heard = asyncio.Event(), asyncio.Event()
    async with (
        DeepgramServer(faults=[Refusal(status=401)] * 9) as bad,
        DeepgramServer(hears=sounds.hear) as good,
    ):
        first, second = service(bad), service(good)
        switch = ServiceSwitcher([first, second], ServiceSwitcherStrategyFailover)
        first.add_event_handler("on_usable_changed", lambda *_: refused.set())
        switch.strategy.add_event_handler("on_service_switched", lambda *_: heard.set())
        async with hearing(switch) as rig:
            await refused.wait()
            await heard.wait()
            await rig.say(mulaw_silence(2), speed=10)
            await rig.say(sounds.bursts("hello there", pause=0.0) + mulaw_silence(0.5))
            await rig.has_words(2)
    assert rig.words == ["hello", "there"]
    assert not rig.after.frames(TTSSpeakFrame)


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
