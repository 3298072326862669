"""The keyless voice in a pipeline."""

import threading

import numpy as np
import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import run_test

from twilio_frames.errors import ConfigurationError
from twilio_frames.local.espeak import Espeak, Voice
from twilio_frames.local.synthesiser import BOT_VOICE, BOT_WORDS_PER_MINUTE, Synthesiser
from twilio_frames.local.tts import EspeakTTSService, EspeakTTSSettings

PARAMS = PipelineParams(audio_out_sample_rate=8000)
TEXT = "Welcome to the coffee shop. What would you like, today?"


def response(text: str) -> list[Frame]:
    return [LLMFullResponseStartFrame(), LLMTextFrame(text), LLMFullResponseEndFrame()]


async def run(service: EspeakTTSService, *frames: Frame) -> tuple[list[Frame], list[Frame]]:
    down, up = await run_test(service, frames_to_send=frames, pipeline_params=PARAMS)
    return list(down), list(up)


def seconds(frames: list[Frame]) -> float:
    return sum(len(f.audio) for f in frames if isinstance(f, TTSAudioRawFrame)) / 16000


def words(frames: list[Frame]) -> list[TTSTextFrame]:
    return [frame for frame in frames if isinstance(frame, TTSTextFrame)]


async def test_every_word_has_its_frame():
    down, up = await run(EspeakTTSService(), *response(TEXT))
    assert [frame.text for frame in words(down)] == TEXT.split()
    assert not [frame for frame in up if isinstance(frame, ErrorFrame)]


async def test_word_times_lie_inside_audio():
    down, _ = await run(EspeakTTSService(), *response(TEXT))
    times = [frame.pts or 0 for frame in words(down)]
    assert times == sorted(set(times))
    assert 0 < (times[-1] - times[0]) / 1e9 < seconds(down)


async def test_audio_is_whole_at_line_rate():
    text = "You ordered a mocha."
    down, _ = await run(EspeakTTSService(), TTSSpeakFrame(text))
    speech = Synthesiser(BOT_VOICE, words_per_minute=BOT_WORDS_PER_MINUTE).synthesise(text)
    # espeak-ng never says the same twice to the millisecond.
    assert seconds(down) == pytest.approx(speech.seconds, abs=0.03)
    pcm = b"".join(frame.audio for frame in down if isinstance(frame, TTSAudioRawFrame))
    assert 8192 < np.abs(np.frombuffer(pcm, dtype=np.int16).astype(int)).max() < 20000


async def test_odd_texts_keep_every_word():
    text = "Two cost $5.50 - or 25% less, Dr. Smith, one of the best \u201cdeals\u201d at 7:30 p.m."
    down, _ = await run(EspeakTTSService(), TTSSpeakFrame(text))
    assert " ".join(frame.text for frame in words(down)).split() == text.split()


async def test_pipeline_thread_never_speaks(monkeypatch: pytest.MonkeyPatch):
    threads: set[int] = set()
    real = Espeak.synthesise

    def watched(espeak: Espeak, text: str, voice: Voice):
        threads.add(threading.get_ident())
        return real(espeak, text, voice)

    monkeypatch.setattr(Espeak, "synthesise", watched)
    await run(EspeakTTSService(), *response(TEXT))
    assert threads
    assert threading.get_ident() not in threads


async def test_settings_change_the_voice():
    slower = EspeakTTSSettings(voice="en-us+f3", words_per_minute=90)
    fast, _ = await run(EspeakTTSService(), TTSSpeakFrame(TEXT))
    service = EspeakTTSService()
    slow, _ = await run(service, TTSUpdateSettingsFrame(delta=slower), TTSSpeakFrame(TEXT))
    assert seconds(slow) > 1.4 * seconds(fast)
    assert service.settings.voice == "en-us+f3"  # pyright: ignore[reportAttributeAccessIssue]


async def test_unknown_voice_is_reported():
    service = EspeakTTSService(settings=EspeakTTSSettings(voice="en-us+nobody"))
    _, up = await run(service, TTSSpeakFrame("Hello."))
    errors = [frame.error for frame in up if isinstance(frame, ErrorFrame)]
    assert "expected a voice of espeak-ng, got 'en-us+nobody'" in errors[0]


def test_impossible_speed_is_refused():
    with pytest.raises(ConfigurationError, match="words_per_minute"):
        EspeakTTSService(settings=EspeakTTSSettings(words_per_minute=5))
