"""The stand-in for Cartesia takes what Cartesia takes, and says what is known to the byte."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest

from twilio_frames.audio import decode_mulaw
from twilio_frames.testing.known_speech import espeak_voice, said, sound
from twilio_frames.testing.vendors import (
    CartesiaServer,
    ContextError,
    Drop,
    Garbage,
    Hang,
    Refusal,
    Slow,
    WordTimes,
)

HEADERS = {"X-API-Key": "secret", "Cartesia-Version": "2026-03-01"}
OUTPUT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
MORE: dict[str, Any] = {"continue": True}
TEXT = "Bada gime, lopu."


def request(transcript: str = TEXT, context_id: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "context_id": context_id,
        "model_id": "sonic-3",
        "transcript": transcript,
        "voice": {"mode": "id", "id": "someone"},
        "output_format": OUTPUT,
        "add_timestamps": True,
        "max_buffer_delay_ms": 0,
        **more,
    }


@asynccontextmanager
async def connected(server: CartesiaServer) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        async with session.ws_connect(server.tts_url, headers=HEADERS) as socket:
            yield socket


async def answer(socket: aiohttp.ClientWebSocketResponse, until: str = "done") -> list[dict]:
    events: list[dict] = []
    while not events or events[-1]["type"] != until:
        events.append(await socket.receive_json())
    return events


def audio_of(events: list[dict]) -> bytes:
    return b"".join(base64.b64decode(one["data"]) for one in events if one["type"] == "chunk")


def server(**options: Any) -> CartesiaServer:
    return CartesiaServer(**{"speed": 50.0, "first_audio_secs": 0.0, **options})


async def test_speech_is_known_to_the_byte():
    async with server() as cartesia, connected(cartesia) as socket:
        await socket.send_json(request())
        events = await answer(socket)

    assert audio_of(events) == sound(said(TEXT)) == bytes(cartesia.contexts[0].audio)
    assert cartesia.contexts[0].text == TEXT
    assert cartesia.contexts[0].is_done
    assert cartesia.visits[0].key == "secret"


@pytest.mark.parametrize("word_times", WordTimes)
async def test_word_times_come_when_told(word_times: WordTimes):
    async with server(word_times=word_times) as cartesia, connected(cartesia) as socket:
        await socket.send_json(request())
        events = await answer(socket)

    kinds = [event["type"] for event in events if event["type"] != "flush_done"]
    told = [event["word_timestamps"] for event in events if event["type"] == "timestamps"]
    words = [word for one in told for word in one["words"]]
    assert words == ([] if word_times is WordTimes.NEVER else TEXT.split())
    match word_times:
        case WordTimes.BEFORE:
            assert kinds.index("timestamps") < kinds.index("chunk")
        case WordTimes.AFTER:
            assert kinds[-2:] == ["timestamps", "done"]
        case WordTimes.ALONG:
            first, second, _ = said(TEXT)
            begin, end = len(first.mulaw), len(first.mulaw) + len(second.mulaw)
            assert told[1]["start"] == [pytest.approx(begin / 8000)]
            assert told[1]["end"] == [pytest.approx(end / 8000)]


async def test_transcripts_of_a_context_go_on():
    async with server() as cartesia, connected(cartesia) as socket:
        await socket.send_json(request("Bada gime. ", **MORE))
        await socket.send_json(request("Lopu.", **MORE))
        await socket.send_json(request(""))
        events = await answer(socket)

    assert audio_of(events) == sound(said("bada gime lopu"))
    assert [event["flush_id"] for event in events if event["type"] == "flush_done"] == [1, 2]


async def test_buffered_tokens_become_words():
    async with server() as cartesia, connected(cartesia) as socket:
        for token in ("Ba", "da", " gi", "me", "."):
            await socket.send_json(request(token, **MORE, max_buffer_delay_ms=3000))
        await socket.send_json(request("", max_buffer_delay_ms=3000))
        events = await answer(socket)

    assert audio_of(events) == sound(said("bada gime"))


async def test_cancelled_context_falls_silent():
    async with server(speed=2.0) as cartesia, connected(cartesia) as socket:
        await socket.send_json(request())
        await answer(socket, "chunk")
        await socket.send_json({"context_id": "one", "cancel": True})
        await cartesia.until(lambda: bool(cartesia.cancelled))
        sent = len(cartesia.contexts[0].audio)
        await socket.send_json(request("Rito.", "two"))
        events = await answer(socket)

    assert {event["context_id"] for event in events if event["type"] == "done"} == {"two"}
    assert len(cartesia.contexts[0].audio) == sent < len(sound(said(TEXT)))


async def test_context_expires():
    async with server(expiry_secs=0.05) as cartesia, connected(cartesia) as socket:
        await socket.send_json(request(**MORE))
        await answer(socket)
        await socket.send_json(request())
        event = (await answer(socket, "error"))[-1]

    assert (event["status_code"], event["context_id"]) == (400, "one")


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"output_format": {**OUTPUT, "encoding": "mulaw"}}, 400),
        ({"output_format": {**OUTPUT, "sample_rate": 7000}}, 400),
        ({"output_format": {**OUTPUT, "container": "wav"}}, 400),
        ({"voice": {"mode": "id", "id": None}}, 400),
        ({"voice": {"mode": "id", "id": "nobody"}}, 404),
        ({"voice": None}, 400),
        ({"model_id": None}, 400),
        ({"model_id": "whisper"}, 404),
        ({"transcript": None}, 400),
        ({"transcript": "..."}, 400),
        ({"context_id": ""}, 400),
        ({"output_format": None}, 400),
        ({"max_buffer_delay_ms": 9000}, 400),
    ],
)  # fmt: skip
async def test_wrong_requests_are_refused(wrong: dict[str, Any], status: int):
    async with server(voices=["someone"]) as cartesia, connected(cartesia) as socket:
        await socket.send_json({**request(), **wrong})
        event = (await answer(socket, "error"))[0]
        await socket.send_json(request(context_id="two"))
        events = await answer(socket)

    assert event["status_code"] == status
    assert {"error_code", "title", "message", "request_id"} <= event.keys()
    assert audio_of(events), "the connection goes on"
    assert len(cartesia.complaints) == 1


async def test_context_keeps_its_settings():
    async with server() as cartesia, connected(cartesia) as socket:
        await socket.send_json(request(**MORE))
        await socket.send_json(request(model_id="sonic-2"))
        event = (await answer(socket, "error"))[-1]

    assert event["status_code"] == 400


async def test_handshake_needs_key_and_version():
    async with server(max_connections=1) as cartesia, aiohttp.ClientSession() as session:
        for headers, status in (({}, 401), ({"X-API-Key": "secret"}, 400)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(cartesia.tts_url, headers=headers)
            assert refused.value.status == status
        async with connected(cartesia):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(cartesia.tts_url, headers=HEADERS)
            assert refused.value.status == 429


async def test_too_many_contexts_are_refused():
    async with server(max_contexts=1, speed=1.0) as cartesia, connected(cartesia) as socket:
        await socket.send_json(request())
        await socket.send_json(request(context_id="two"))
        event = (await answer(socket, "error"))[-1]

    assert (event["status_code"], event["context_id"]) == (429, "two")
    assert event["error_code"] == "concurrency_limited"


async def test_idle_connection_is_closed():
    async with server(idle_secs=0.05) as cartesia, connected(cartesia) as socket:
        message = await socket.receive()

    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
    assert message.extra == "connection idle timeout"


async def test_faults_count_chunks():
    faults = [Drop(after=2), Hang(after=2), Garbage(after=2), Slow(seconds=0.2)]
    async with server(faults=faults) as cartesia:
        async with connected(cartesia) as socket:
            await socket.send_json(request())
            kinds = [message.type async for message in socket]
            assert kinds.count(aiohttp.WSMsgType.TEXT) >= 2
        async with connected(cartesia) as socket:
            await socket.send_json(request())
            await answer(socket, "chunk")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await answer(socket)
        async with connected(cartesia) as socket:
            await socket.send_json(request())
            texts = [(await socket.receive()).data for _ in range(8)]
            assert "not JSON {" in texts
        async with connected(cartesia) as socket:
            began = asyncio.get_running_loop().time()
            await socket.send_json(request())
            await answer(socket, "chunk")
            assert asyncio.get_running_loop().time() - began >= 0.2

    chunks = [len(context.audio) // 800 for context in cartesia.contexts]
    assert chunks[:2] == [2, 2], "what is held back was never sent"


async def test_refusal_has_the_vendors_body():
    async with server(faults=[Refusal(status=429, retry_after=2)]) as cartesia:
        async with aiohttp.ClientSession() as session:
            async with session.get(cartesia.url + "/tts/websocket", headers=HEADERS) as response:
                body = await response.json()

    assert response.headers["Retry-After"] == "2"
    assert body["error_code"] == "concurrency_limited"


async def test_context_fails_alone():
    error = ContextError(status=500, after=1)
    async with server(context_errors=[error]) as cartesia, connected(cartesia) as socket:
        await socket.send_json(request())
        await socket.send_json(request("Rito.", "two"))
        events = await answer(socket)

    (failed,) = [event for event in events if event["type"] == "error"]
    assert (failed["context_id"], failed["status_code"]) == ("one", 500)
    assert bytes(cartesia.contexts[1].audio) == sound(said("Rito."))


async def test_speech_over_http():
    async with server() as cartesia, aiohttp.ClientSession() as session:
        body = request(
            output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
        )
        async with session.post(
            f"{cartesia.url}/tts/bytes", json=body, headers=HEADERS
        ) as response:
            pcm = await response.read()
        async with session.post(
            f"{cartesia.url}/tts/bytes", json={**body, "voice": None}, headers=HEADERS
        ) as response:
            assert response.status == 400

    assert pcm == decode_mulaw(sound(said(TEXT)))


async def test_other_encodings():
    output = {**OUTPUT, "encoding": "pcm_f32le", "sample_rate": 24000}
    async with server() as cartesia, connected(cartesia) as socket:
        await socket.send_json(request(output_format=output))
        events = await answer(socket)

    samples = np.frombuffer(audio_of(events), dtype="<f4")
    assert len(samples) == pytest.approx(3 * len(sound(said(TEXT))), abs=10)
    assert 0.2 < np.abs(samples).max() < 1.1


def test_espeak_voice_says_each_word():
    words = espeak_voice()("Good morning, caller.")

    assert [word.written for word in words] == ["Good", "morning,", "caller."]
    assert all(len(word.mulaw) > 800 for word in words)
