"""Cartesia's service in a small pipeline: what it sends, what it pushes, what it puts up with."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.cartesia.tts import CartesiaHttpTTSService, CartesiaTTSService
from pipecat.services.tts_service import TextAggregationMode
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.errors import ErrorCategory

from twilio_frames.audio import decode_mulaw
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.services.cartesia import connection as module
from twilio_frames.testing.known_speech import said, sound
from twilio_frames.testing.vendors import CartesiaServer, ContextError, Refusal, WordTimes

PARAMS = PipelineParams(audio_out_sample_rate=8000)
TEXT = "Bada gime. Lopu nasi."
VOICE = CartesiaTTSService.Settings(voice="someone")


def server(**options: Any) -> CartesiaServer:
    return CartesiaServer(**{"speed": 50.0, "first_audio_secs": 0.0, **options})


def service(cartesia: CartesiaServer, **options: Any) -> PhoneCartesiaTTSService:
    given = {"api_key": "secret", "url": cartesia.tts_url, "settings": VOICE, **options}
    return PhoneCartesiaTTSService(**given)


def reply(*texts: str, pause: float = 0.0) -> list[Frame]:
    pauses = [SleepFrame(sleep=pause)] if pause else []
    inside = [frame for text in texts for frame in (LLMTextFrame(text), *pauses)]
    return [LLMFullResponseStartFrame(), *inside, LLMFullResponseEndFrame()]


async def have(tts: Any, *frames: Frame) -> tuple[Sequence[Frame], Sequence[Frame]]:
    """What is pushed downstream, and upstream."""
    return await run_test(tts, frames_to_send=list(frames), pipeline_params=PARAMS)


def mulaw_of(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.mulaw for frame in frames if isinstance(frame, MulawOutputFrame))


def text_of(frames: Sequence[Frame]) -> str:
    return " ".join(frame.text for frame in frames if isinstance(frame, TTSTextFrame))


def errors_of(frames: Sequence[Frame]) -> list[ErrorFrame]:
    return [frame for frame in frames if isinstance(frame, ErrorFrame)]


async def test_mulaw_is_asked_for_and_passed_on():
    async with server() as cartesia:
        # Text that comes ahead of the connection is asked for in one.
        down, up = await have(
            service(cartesia), SleepFrame(sleep=0.3), *reply("Bada gime. ", "Lopu nasi.")
        )

    assert mulaw_of(down) == sound(said(TEXT))
    assert text_of(down) == TEXT
    assert [type(frame) for frame in down].count(TTSStartedFrame) == 1
    assert [type(frame) for frame in down].count(TTSStoppedFrame) == 1
    assert cartesia.contexts[0].transcripts == ["Bada gime.", " Lopu nasi."]
    assert (cartesia.visits[0].key, cartesia.connections) == ("secret", 1)
    assert not errors_of(up)


async def test_other_outputs_get_the_same_bytes():
    async with server() as cartesia:
        down, _ = await have(service(cartesia), TTSSpeakFrame(TEXT))
    serializer = TwilioFrameSerializer(
        "MZ1", params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    payloads: list[bytes] = []
    for frame in down:
        if isinstance(frame, TTSAudioRawFrame):
            assert (frame.sample_rate, frame.num_channels) == (8000, 1)
            assert isinstance(frame, MulawOutputFrame)
            assert frame.audio == decode_mulaw(frame.mulaw)
            message = json.loads(str(await serializer.serialize(frame)))
            payloads.append(base64.b64decode(message["media"]["payload"]))

    assert b"".join(payloads) == sound(said(TEXT))


async def test_tokens_go_out_as_they_come():
    async with server() as cartesia:
        tts = service(cartesia, text_aggregation_mode=TextAggregationMode.TOKEN)
        words = reply("Ba", "da gi", "me.", " Lopu", " nasi.")
        down, _ = await have(tts, SleepFrame(sleep=0.3), *words)

    assert cartesia.contexts[0].text == TEXT
    assert len(cartesia.contexts[0].transcripts) > 2
    assert mulaw_of(down) == sound(said(TEXT))
    assert text_of(down) == TEXT


@pytest.mark.parametrize("idle_secs", [3.0, 0.3])
async def test_llm_may_pause_in_mid_reply(idle_secs: float):
    """Cartesia's context expires meanwhile, and with the shorter time Pipecat's too."""
    async with server(expiry_secs=0.1) as cartesia:
        tts = service(cartesia, stop_frame_timeout_s=idle_secs)
        down, up = await have(tts, *reply("Bada gime. ", "Lopu nasi. ", "Rito.", pause=0.7))

    assert mulaw_of(down) == sound(said(f"{TEXT} Rito."))
    assert text_of(down) == f"{TEXT} Rito."
    assert len(cartesia.contexts) >= 2
    assert len({context.context_id for context in cartesia.contexts}) == len(cartesia.contexts)
    assert cartesia.connections == 1
    assert not errors_of(up)


@pytest.mark.parametrize("word_times", WordTimes)
async def test_words_reach_the_memory(word_times: WordTimes):
    async with server(word_times=word_times) as cartesia:
        down, _ = await have(service(cartesia), TTSSpeakFrame(TEXT))

    assert mulaw_of(down) == sound(said(TEXT))
    assert text_of(down) == TEXT


async def test_failing_watch_asks_for_the_rest(monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("the caller's words")

    monkeypatch.setattr(PhoneCartesiaTTSService, "_look_after", fail)
    async with server(first_audio_secs=0.4) as cartesia:
        down, up = await have(service(cartesia), SleepFrame(sleep=0.3), TTSSpeakFrame(TEXT))

    assert mulaw_of(down) == sound(said(TEXT))
    assert cartesia.connections == 2
    assert not errors_of(up)


async def test_unknown_voice_is_one_error():
    async with server(voices=["another"]) as cartesia:
        tts = service(cartesia)
        down, up = await have(tts, TTSSpeakFrame(TEXT), TTSSpeakFrame("Rito."))

    (error,) = errors_of(up)
    assert error.category is ErrorCategory.INVALID_REQUEST
    assert not tts.is_usable
    assert text_of(down) == "", "what was not said is not remembered"


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (401, ErrorCategory.AUTHENTICATION),
        (402, ErrorCategory.QUOTA),
        (403, ErrorCategory.AUTHORIZATION),
    ],
)
async def test_key_that_is_not_taken_ends_the_service(status: int, category: ErrorCategory):
    async with (
        server(faults=[Refusal(status=status)]) as refusing,
        server(context_errors=[ContextError(status=status)]) as complaining,
    ):
        for cartesia in (refusing, complaining):
            tts = service(cartesia)
            down, up = await have(tts, TTSSpeakFrame(TEXT), TTSSpeakFrame("Rito."))

            (error,) = errors_of(up)
            assert error.category is category
            assert str(status) in error.error
            assert not any(part in error.error for part in ("secret", "Bada"))
            assert not tts.is_usable
            assert text_of(down) == ""
            assert len(cartesia.visits) == 1


async def test_left_out_text_is_told_and_not_remembered():
    left_out: list[str] = []

    async def note(_: object, text: str) -> None:
        left_out.append(text)

    async with server(context_errors=[ContextError(status=400)]) as cartesia:
        tts = service(cartesia)
        tts.add_event_handler("on_left_out", note)
        down, up = await have(tts, *reply("Bada gime. ", "Lopu."), *reply("Rito."))

    assert text_of(down) == "Rito."
    assert left_out == ["Bada gime. Lopu."]
    assert len(errors_of(up)) == 1


async def test_refused_key_keeps_words_out_of_the_log():
    left_out: list[str] = []
    lines: list[str] = []

    async def note(_: object, text: str) -> None:
        left_out.append(text)

    sink = logger.add(lines.append, level="INFO", format="{message}")
    try:
        async with server(faults=[Refusal(status=401)]) as cartesia:
            tts = service(cartesia)
            tts.add_event_handler("on_left_out", note)
            await have(tts, SleepFrame(sleep=0.3), TTSSpeakFrame(TEXT), *reply("Rito fesu."))
    finally:
        logger.remove(sink)

    assert left_out == [TEXT, "Rito fesu."]
    log = "".join(lines)
    assert "401" in log
    assert not [word.written for word in said(f"{TEXT} Rito fesu.") if word.written in log]


async def test_switcher_fails_over_when_the_key_is_not_taken():
    async with server(faults=[Refusal(status=401)]) as refusing, server() as second:
        services: list[FrameProcessor] = [service(refusing), service(second)]
        switcher = ServiceSwitcher(services, ServiceSwitcherStrategyFailover)
        down, _ = await have(switcher, SleepFrame(sleep=0.3), TTSSpeakFrame(TEXT))

    assert mulaw_of(down) == sound(said(TEXT))
    assert second.contexts[0].text == TEXT


async def test_voice_may_change_in_mid_reply():
    async with server() as cartesia:
        tts = service(cartesia)
        change = TTSUpdateSettingsFrame(delta=CartesiaTTSService.Settings(voice="another"))
        start, *texts, end = reply("Bada gime. ", "Lopu nasi. ", "Rito.")
        down, _ = await have(tts, start, *texts[:2], change, *texts[2:], end)

    assert mulaw_of(down) == sound(said(f"{TEXT} Rito."))
    assert len(cartesia.contexts) == 2
    assert not cartesia.complaints


async def test_idle_connection_is_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_RENEW_SECS", 0.2)
    async with server() as cartesia:
        down, up = await have(service(cartesia), SleepFrame(sleep=0.5), TTSSpeakFrame(TEXT))

    assert mulaw_of(down) == sound(said(TEXT))
    assert cartesia.connections >= 2
    assert len({context.connection for context in cartesia.contexts}) == 1
    assert not errors_of(up)


async def test_events_tell_of_the_connection():
    told: list[str] = []

    async def connected(*_: object) -> None:
        told.append("connected")

    async def lost(*_: object) -> None:
        told.append("lost")

    async with server() as cartesia:
        tts = service(cartesia)
        tts.add_event_handler("on_connected", connected)
        tts.add_event_handler("on_disconnected", lost)
        await have(tts, TTSSpeakFrame(TEXT))

    assert told[0] == "connected"


def test_other_formats_are_refused():
    with pytest.raises(ConfigurationError, match="encoding"):
        PhoneCartesiaTTSService(api_key="secret", encoding="pcm_s16le")
    with pytest.raises(ConfigurationError, match="sample_rate"):
        PhoneCartesiaTTSService(api_key="secret", sample_rate=24000)
    PhoneCartesiaTTSService(api_key="secret", encoding="pcm_mulaw", sample_rate=8000)


def test_private_names_are_still_there():
    """Those of Pipecat's that have no public counterpart."""
    tts = CartesiaTTSService(api_key="secret")

    for name in (
        "_api_key",
        "_build_msg",
        "_cartesia_version",
        "_connect",
        "_disconnect",
        "_extra_headers",
        "_is_streaming_tokens",
        "_normalize_word_timestamps",
        "_record_context_audio_outcome",
        "_url",
        "_word_timestamps_include_inter_frame_spaces",
    ):
        assert hasattr(tts, name), name


async def test_pipecats_own_services_take_the_stand_in():
    async with server() as cartesia:
        stock = CartesiaTTSService(
            api_key="secret", url=cartesia.tts_url, settings=VOICE, sample_rate=8000
        )
        by_socket, _ = await have(stock, TTSSpeakFrame(TEXT))
        http = CartesiaHttpTTSService(
            api_key="secret", base_url=cartesia.url, settings=VOICE, sample_rate=8000
        )
        by_http, _ = await have(http, TTSSpeakFrame(TEXT))

    for frames in (by_socket, by_http):
        pcm = b"".join(frame.audio for frame in frames if isinstance(frame, TTSAudioRawFrame))
        assert pcm.rstrip(b"\x00") == decode_mulaw(sound(said(TEXT)))
