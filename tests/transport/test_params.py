"""Pipecat's parameters are fulfilled, refused, or named as without effect: never passed over."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams

from tests.pipecat_versions import unless_pipecat_112
from twilio_frames.errors import ConfigurationError
from twilio_frames.transport import TwilioParams, TwilioTransport
from twilio_frames.transport.params import IMPOSSIBLE, INSTEAD, WITHOUT_EFFECT, check_params


class Cafe(BaseAudioMixer):
    """A background sound."""

    async def start(self, sample_rate: int): ...

    async def stop(self): ...

    async def process_frame(self, frame): ...

    async def mix(self, audio: bytes) -> bytes:
        return audio


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


def test_usual_parameters_are_quiet(warnings):
    TwilioParams()
    TwilioParams(audio_out_mixer=Cafe())
    TwilioParams(audio_out_mixer={None: Cafe()})
    TwilioParams(audio_in_sample_rate=16000, audio_out_sample_rate=None).model_copy()

    assert warnings == []


@pytest.mark.parametrize(
    "asked",
    [
        {"audio_out_mixer": {None: Cafe(), "room": Cafe()}},
        {"audio_out_channels": 2},
        {"audio_in_channels": 2},
        {"audio_out_destinations": ["room"]},
        {"video_in_enabled": True},
        pytest.param(
            {"video_in_sources": {"camera": {}}},
            marks=unless_pipecat_112("knows no sources of video"),
        ),
        {"video_out_enabled": True},
        {"video_out_destinations": ["room"]},
    ],
)
def test_impossible_parameter_is_refused(asked: dict[str, Any]):
    name = next(iter(asked))
    with pytest.raises(ConfigurationError, match=f"at `{name}`, got .+: "):
        TwilioParams(**asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"audio_out_sample_rate": 24000},
        {"audio_out_bitrate": 64000},
        {"audio_out_10ms_chunks": 2},
        {"audio_out_auto_silence": False},
        {"audio_out_write_timeout_secs": 1.0},
        {"audio_in_stream_on_start": False},
    ],
)
def test_idle_parameter_is_named(asked: dict[str, Any], warnings):
    check_params(TwilioParams(**asked).model_copy())

    (name,) = asked
    assert len(warnings) == 1
    assert f"TwilioParams.{name} has no effect" in warnings[0]


def test_parameter_that_was_assigned_is_refused_by_the_transport():
    params = TwilioParams()
    params.audio_out_channels = 2

    with pytest.raises(ConfigurationError, match="at `audio_out_channels`"):
        TwilioTransport(object(), params)


@pytest.mark.parametrize("name", sorted(set(FastAPIWebsocketParams.model_fields) | set(INSTEAD)))
def test_parameter_of_a_stock_bot_is_taken_or_replaced(name: str):
    if name in TransportParams.model_fields:
        assert name in TwilioParams.model_fields
        return
    asked: dict[str, Any] = {name: None}
    with pytest.raises(ConfigurationError, match=f"no option '{name}'") as refusal:
        TwilioParams(**asked)

    assert INSTEAD[name] in str(refusal.value)


def test_mistyped_parameter_names_its_neighbour():
    with pytest.raises(ConfigurationError, match="did you mean 'lead_secs'"):
        TwilioParams(lead_sec=1)  # pyright: ignore[reportCallIssue] Mistyped.
    with pytest.raises(ConfigurationError, match="did you mean 'lead_secs'"):
        setattr(TwilioParams(), "lead_sec", 1)  # noqa: B010  # none for a type checker


def test_pipecats_create_transport_says_what_takes_its_place():
    # The first thing that it does with what its factory gives.
    with pytest.raises(ConfigurationError, match=r"TwilioTransport\(runner_args.websocket"):
        setattr(TwilioParams(), "add_wav_header", False)  # noqa: B010  # as above


def test_params_of_pipecats_transport_are_not_taken():
    with pytest.raises(ConfigurationError, match="expected TwilioParams, got FastAPIWebsocketP"):
        TwilioTransport(object(), FastAPIWebsocketParams())  # pyright: ignore[reportArgumentType] Wrong.


HONOURED = {
    "audio_out_enabled",
    "audio_out_filter",
    "audio_out_mixer",
    "audio_out_volume",
    "audio_out_end_silence_secs",
    "audio_in_enabled",
    "audio_in_sample_rate",
    "audio_in_filter",
    "audio_in_passthrough",
}


def test_every_parameter_of_pipecat_has_been_thought_of():
    # What is only of use with video is refused along with it.
    open_questions = {
        name for name in TransportParams.model_fields if not name.startswith("video_")
    }
    assert open_questions <= HONOURED | set(IMPOSSIBLE) | set(WITHOUT_EFFECT)
