"""Pipecat's parameters are fulfilled, refused, or named as without effect: never passed over."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.transports.base_transport import TransportParams

from twilio_frames.errors import ConfigurationError
from twilio_frames.transport import TwilioParams
from twilio_frames.transport.params import IMPOSSIBLE, WITHOUT_EFFECT, check_params


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
    check_params(TwilioParams())
    check_params(TwilioParams(audio_out_mixer=Cafe()))
    check_params(TwilioParams(audio_out_mixer={None: Cafe()}))
    check_params(TwilioParams(audio_in_sample_rate=16000, audio_out_sample_rate=None))

    assert warnings == []


@pytest.mark.parametrize(
    "asked",
    [
        {"audio_out_mixer": {None: Cafe(), "room": Cafe()}},
        {"audio_out_channels": 2},
        {"audio_in_channels": 2},
        {"audio_out_destinations": ["room"]},
        {"video_in_enabled": True},
        {"video_out_enabled": True},
        {"video_out_destinations": ["room"]},
    ],
)
def test_impossible_parameter_is_refused(asked: dict[str, Any]):
    name = next(iter(asked))
    with pytest.raises(ConfigurationError, match=f"at `{name}`, got .+: "):
        check_params(TwilioParams(**asked))


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
    check_params(TwilioParams(**asked))

    (name,) = asked
    assert len(warnings) == 1
    assert f"TwilioParams.{name} has no effect" in warnings[0]


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
