"""The server that stands in for Deepgram, asked by Deepgram's own client."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
from deepgram.core import ApiError
from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from deepgram.listen.v1.types import (
    ListenV1Error,
    ListenV1Metadata,
    ListenV1Results,
    ListenV1SpeechStarted,
    ListenV1UtteranceEnd,
)

from tests.waiting import time_passes
from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Drop,
    Garbage,
    Hang,
    Refusal,
    Slow,
    WordSounds,
)

QUERY = {"model": "nova-3", "encoding": "mulaw", "sample_rate": "8000"}
ALL = QUERY | {
    "interim_results": "true",
    "smart_format": "true",
    "utterance_end_ms": "1000",
    "vad_events": "true",
    "endpointing": "300",
}


def client_of(server: DeepgramServer, key: str = "any") -> AsyncDeepgramClient:
    environment = DeepgramClientEnvironment(
        base=server.url, production=server.ws_url, agent=server.ws_url, agent_rest=server.url
    )
    return AsyncDeepgramClient(api_key=key, environment=environment)


@asynccontextmanager
async def listening(server: DeepgramServer, **query: Any) -> AsyncIterator[AsyncV1SocketClient]:
    wanted: dict[str, Any] = query or ALL
    async with client_of(server).listen.v1.connect(**wanted) as socket:
        yield socket


async def messages(socket: AsyncV1SocketClient) -> list[Any]:
    """All that comes until the stream is closed."""
    async with asyncio.timeout(10):
        return [message async for message in socket]


async def ask(mulaw: bytes, *, size: int = 160, **options: Any) -> tuple[list[Any], DeepgramServer]:
    """Says it all at once and closes the stream; what came back, and the server."""
    async with DeepgramServer(**options) as server, listening(server) as socket:
        for begin in range(0, len(mulaw), size):
            await socket.send_media(mulaw[begin : begin + size])
        await socket.send_close_stream()
        return await messages(socket), server


def results(said: list[Any]) -> list[ListenV1Results]:
    return [message for message in said if isinstance(message, ListenV1Results)]


def text(result: ListenV1Results) -> str:
    return result.channel.alternatives[0].transcript


def finals(said: list[Any]) -> list[str]:
    return [text(result) for result in results(said) if result.is_final and text(result)]


async def test_words_come_with_their_times():
    sounds = WordSounds()
    speech = sounds.bursts("Two large lattes, please.")
    said, server = await ask(mulaw_silence(1) + speech + mulaw_silence(1.5), hears=sounds.hear)

    assert finals(said) == ["Two large lattes, please."]
    (final,) = (result for result in results(said) if result.is_final and text(result))
    words = final.channel.alternatives[0].words
    assert [word.word for word in words] == ["two", "large", "lattes", "please"]
    assert words[0].start == 1.0
    assert words[-1].end == pytest.approx(1 + len(speech) / 8000 - 0.1, abs=0.001)
    assert final.speech_final
    assert server.transcripts == ["Two large lattes, please."]


async def test_interim_results_grow():
    sounds = WordSounds()
    said, _ = await ask(sounds.bursts("one two three four five", pause=0.05), hears=sounds.hear)

    interims = [text(result) for result in results(said) if not result.is_final]
    assert len(interims) >= 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(interims))


async def test_finals_follow_each_other_without_gap():
    sounds = WordSounds()
    words = [f"word{number}" for number in range(30)]
    said, _ = await ask(sounds.bursts(" ".join(words), pause=0.02), hears=sounds.hear)

    ends = [result.start + result.duration for result in results(said) if result.is_final]
    starts = [result.start for result in results(said) if result.is_final]
    assert len(ends) > 2
    assert starts[1:] == pytest.approx(ends[:-1])
    assert " ".join(finals(said)).split() == words


async def test_lost_audio_loses_words():
    sounds = WordSounds()
    speech = sounds.bursts("one two three")
    said, _ = await ask(speech[800:], hears=sounds.hear)
    assert finals(said) == ["two three"]


async def test_script_takes_an_utterance_each():
    sounds = WordSounds()
    speech = sounds.bursts("any noise") + mulaw_silence(0.8)
    said, _ = await ask(2 * speech, hears=["Good morning.", "A latte, please."])
    assert finals(said) == ["Good morning.", "A latte, please."]


async def test_answers_do_not_hang_on_the_pieces():
    sounds = WordSounds()
    speech = sounds.bursts("one two three") + mulaw_silence(2)
    short, _ = await ask(speech, size=160, hears=sounds.hear)
    long, _ = await ask(speech, size=1111, hears=sounds.hear)

    def told(said: list[Any]) -> list[tuple[str, float, float]]:
        return [(text(each), each.start, each.duration) for each in results(said)]

    assert told(short) == told(long)


async def test_begin_and_end_of_speech_are_told():
    sounds = WordSounds()
    speech = mulaw_silence(0.5) + sounds.bursts("hello", pause=0) + mulaw_silence(1.5)
    said, _ = await ask(speech, hears=sounds.hear)

    (began,) = (message for message in said if isinstance(message, ListenV1SpeechStarted))
    (ended,) = (message for message in said if isinstance(message, ListenV1UtteranceEnd))
    assert began.timestamp == pytest.approx(0.5, abs=0.02)
    assert ended.last_word_end == pytest.approx(len(speech) / 8000 - 1.5, abs=0.001)
    assert [type(said[-1])] == [ListenV1Metadata]
    assert said[-1].duration == pytest.approx(len(speech) / 8000)


async def test_finalize_is_answered_as_such():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server, listening(server) as socket:
        await socket.send_media(sounds.bursts("hello"))
        await socket.send_finalize()
        said = []
        async with asyncio.timeout(5):
            async for message in socket:
                said.append(message)
                if isinstance(message, ListenV1Results) and message.from_finalize:
                    break

    assert finals(said) == ["hello"]
    assert server.streams[0].messages == [{"type": "Finalize"}]


async def test_plain_text_without_formatting():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server:
        async with listening(server, **QUERY) as socket:
            await socket.send_media(sounds.bursts("Hello, there."))
            await socket.send_close_stream()
            assert finals(await messages(socket)) == ["hello", "there"]


async def test_linear_audio_is_heard_too():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server:
        async with listening(server, **(QUERY | {"encoding": "linear16"})) as socket:
            await socket.send_media(decode_mulaw(sounds.bursts("hello")))
            await socket.send_close_stream()
            assert finals(await messages(socket)) == ["hello"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"encoding": "ulaw"}, "encoding"),
        ({"sample_rate": None}, "sample_rate"),
        ({"sample_rate": "400"}, "sample_rate"),
        ({"model": "nova-9x", "encoding": "wav"}, "encoding"),
        ({"model": "supernova"}, "model"),
        ({"keywords": "latte"}, "Keyterm|keyterm"),
        ({"keyterm": [f"term{n}" for n in range(101)]}, "limit"),
        ({"utterance_end_ms": "1000"}, "interim_results"),
        ({"utterance_end_ms": "500", "interim_results": "true"}, "utterance_end_ms"),
        ({"smart_format": "yes"}, "smart_format"),
        ({"endpointing": "soon"}, "endpointing"),
    ],
)
async def test_bad_query_is_refused(query: dict[str, Any], reason: str):
    wanted = {name: value for name, value in (QUERY | query).items() if value is not None}
    async with DeepgramServer() as server:
        with pytest.raises(ApiError) as refused:
            async with listening(server, **wanted):
                pass
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": "Token any"}
            url = f"{server.url}/v1/listen"
            pairs = [
                (n, v) for n, vs in wanted.items() for v in ([vs] if isinstance(vs, str) else vs)
            ]
            async with session.get(url, params=pairs, headers=headers) as response:
                body = await response.json()

    assert refused.value.status_code == response.status == 400
    assert response.headers["dg-error"] == body["err_msg"]
    assert any(word in body["err_msg"] for word in reason.split("|"))
    assert not server.streams


async def test_keyterms_are_noted():
    async with DeepgramServer() as server:
        async with listening(server, **QUERY, keyterm=["latte", "oat milk"]):
            pass
    assert server.streams[0].query.keyterms == ("latte", "oat milk")


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_refusals_say_why(status: int):
    async with DeepgramServer(faults=[Refusal(status=status, retry_after=2)]) as server:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": "Token any"}
            async with session.get(f"{server.url}/v1/listen", headers=headers) as response:
                body = await response.json()

    assert (response.status, response.headers["dg-error"]) == (status, body["err_msg"])
    assert response.headers["Retry-After"] == "2"


async def test_nobody_comes_in_without_a_key():
    async with DeepgramServer() as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/v1/listen", params=QUERY) as response:
            assert response.status == 401


async def test_idle_stream_is_closed():
    async with DeepgramServer(idle_secs=0.1) as server, listening(server) as socket:
        with pytest.raises(Exception, match="net0001"):
            await messages(socket)
    assert server.streams[0].close_code == 1011


async def test_keepalive_keeps_it_open():
    async with DeepgramServer(idle_secs=1.0) as server, listening(server) as socket:
        for _ in range(3):
            await time_passes(0.4)
            await socket.send_keep_alive()
        await socket.send_close_stream()
        assert isinstance((await messages(socket))[-1], ListenV1Metadata)


async def test_unknown_message_is_an_error():
    async with DeepgramServer() as server, listening(server) as socket:
        await socket._send({"type": "Stop"})  # pyright: ignore[reportPrivateUsage]
        await socket.send_close_stream()
        said = await messages(socket)
    assert [error.variant for error in said if isinstance(error, ListenV1Error)] == ["SchemaError"]


async def test_drop_counts_results_with_words():
    sounds = WordSounds()
    speech = sounds.bursts("one", pause=0.5) + sounds.bursts("two", pause=0.5)
    async with DeepgramServer(hears=sounds.hear, faults=[Drop(after=1)]) as server:
        async with listening(server, **QUERY, endpointing="300") as socket:
            await socket.send_media(speech)
            with pytest.raises(Exception, match="close frame"):
                await messages(socket)
    assert server.transcripts == ["one"]


async def test_drop_in_mid_word():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear) as server, listening(server) as socket:
        await socket.send_media(sounds.bursts("one")[:800])
        await server.until(lambda: len(server.streams[0].audio) == 800)
        server.drop()
        with pytest.raises(Exception, match="close frame"):
            await messages(socket)


async def test_hang_says_nothing_more():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Hang()]) as server:
        async with listening(server) as socket:
            await socket.send_media(sounds.bursts("one", pause=2))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await socket.recv()
            assert len(server.streams[0].audio) > 8000
            server.drop()


async def test_slow_delays_the_first_words():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Slow(seconds=0.3)]) as server:
        async with listening(server) as socket:
            began = asyncio.get_running_loop().time()
            await socket.send_media(sounds.bursts("one", pause=0.5))
            async with asyncio.timeout(5):
                while not any(map(text, results([await socket.recv()]))):
                    pass
            assert asyncio.get_running_loop().time() - began >= 0.3


async def test_garbage_comes_between():
    sounds = WordSounds()
    said, _ = await ask(
        sounds.bursts("one two", pause=0.5), hears=sounds.hear, faults=[Garbage(after=1)]
    )
    assert finals(said)[-1].endswith("two")
    assert any(isinstance(message, bytes) for message in said)
