"""No word is lost where the connection to Deepgram breaks or hangs, and none comes twice."""

import asyncio
import random
from dataclasses import replace

import pytest
from pipecat.frames.frames import (
    STTMuteFrame,
    STTUpdateSettingsFrame,
)
from websockets.asyncio.server import ServerConnection, serve

from tests.services.deepgram_rig import Settings, hearing, service
from twilio_frames.audio import mulaw_silence
from twilio_frames.services import RetryPolicy
from twilio_frames.services.deepgram import PhoneDeepgramSTTService
from twilio_frames.services.deepgram import connection as deepgram_connection
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Drop,
    EarlyEnd,
    Hang,
    Refusal,
    WordSounds,
)


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


async def test_stream_that_ends_well_in_mid_speech_is_replaced():
    """Closed with 1000 by a proxy, say; what was not answered is said to the next one."""
    sounds = WordSounds()
    faults = [EarlyEnd(after=2)]
    async with DeepgramServer(hears=sounds.hear, faults=faults) as server:
        async with hearing(service(server)) as rig:
            speech = sounds.bursts("one two three four five six", pause=0.3)
            await rig.say(speech + mulaw_silence(0.5), speed=10)
            await rig.has_words(6)

    assert rig.words == sounds.words
    assert server.streams[0].close_code == 1000
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
    options = {"buffer_secs": 1.0, "policy": RetryPolicy(give_up_secs=5.0)}
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=503)] * 3) as server:
        async with hearing(service(server, **options)) as rig:
            await rig.say(sounds.bursts("one two three four five six", pause=0.1), speed=100)
            await rig.say(mulaw_silence(0.4), speed=100)
            await rig.has_words(1)
    assert 0 < len(rig.words) < 6
    assert rig.words == sounds.words[-len(rig.words) :]


async def test_hang_is_noticed():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Hang()]) as server:
        async with hearing(service(server, policy=RetryPolicy(answer_secs=0.4))) as rig:
            await rig.say(sounds.bursts("one two three") + mulaw_silence(0.5))
            await rig.has_words(3)

    assert rig.words == ["one", "two", "three"]
    assert len(server.streams) == 2
    assert not rig.errors


async def test_silence_is_no_hang():
    async with DeepgramServer(faults=[Hang()]) as server:
        async with hearing(service(server, policy=RetryPolicy(answer_secs=1.0))) as rig:
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
        policy = RetryPolicy(answer_secs=0.3)
        stt = PhoneDeepgramSTTService(api_key="any", base_url=url, policy=policy)
        stt.add_event_handler("on_disconnected", lambda _: lost.set())
        async with hearing(stt), asyncio.timeout(10):
            await lost.wait()


async def test_stream_is_kept_open_without_audio(monkeypatch: pytest.MonkeyPatch):
    care = replace(deepgram_connection._CARE, keep_alive_secs=0.1)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(deepgram_connection, "_CARE", care)
    async with DeepgramServer(idle_secs=1.5) as server, hearing(service(server)) as rig:
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
