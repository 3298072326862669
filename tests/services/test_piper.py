"""Piper as the voice of a call: pieces, words and their times, levels, threads, errors."""
# ruff: noqa: RUF001 - phonemes

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import run_test

from tests.services.piper_rig import SECS, FakeVoice, make_tiny_voice
from twilio_frames.errors import ConfigurationError
from twilio_frames.model_threads import ModelThreads, SharedModels
from twilio_frames.services.piper import Mouth, PhonePiperTTSService
from twilio_frames.services.piper.phrases import phrases, word_places
from twilio_frames.services.piper.voice import LocalPiper, voice_file

Settings = PhonePiperTTSService.Settings


def service(voice: FakeVoice, *, speed: float = 1.0) -> PhonePiperTTSService:
    """A mouth with a voice of the test's."""

    class Speaker(PhonePiperTTSService):
        models: ClassVar[SharedModels[Mouth]] = SharedModels(
            lambda _name: Mouth(voice, ModelThreads("piper-of-test", threads=1))
        )

    return Speaker(settings=Settings(speed=speed))


async def run(tts: PhonePiperTTSService, *frames: Frame) -> tuple[list[Frame], list[Frame]]:
    params = PipelineParams(audio_out_sample_rate=8000)
    down, up = await run_test(tts, frames_to_send=frames, pipeline_params=params)
    return list(down), list(up)


def words(frames: Sequence[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TTSTextFrame)]


def pcm(frames: Sequence[Frame]) -> np.ndarray:
    audio = b"".join(frame.audio for frame in frames if isinstance(frame, TTSAudioRawFrame))
    return np.frombuffer(audio, np.int16).astype(int)


async def test_each_word_stands_ahead_of_its_sound_at_the_lines_rate():
    voice = FakeVoice()
    down, up = await run(service(voice), TTSSpeakFrame("two of the best. Ok -"))

    assert words(down) == ["two", "of", "the", "best.", "Ok", "-"]
    places, samples = [], 0
    for frame in down:
        if isinstance(frame, TTSAudioRawFrame):
            assert frame.sample_rate == 8000
            samples += len(frame.audio) // 2
        elif isinstance(frame, TTSTextFrame):
            places.append(round(samples / 8000 / SECS, 2))
    # "two ovthe best." are 15 signs, and there is a quarter of a second behind a sentence.
    assert places == [0, 4, 6, 10, 20, 23]
    assert 15000 < np.abs(pcm(down)).max() < 17000  # -6 dBFS, and the filter's ringing
    assert not [frame for frame in up if isinstance(frame, ErrorFrame)]
    assert {name[:13] for name in voice.threads} == {"piper-of-test"}


async def test_long_first_sentence_is_begun_at_its_first_comma():
    voice = FakeVoice()
    long = "one two, three four five, six seven eight nine ten eleven twelve."
    await run(service(voice), LLMFullResponseStartFrame(), LLMTextFrame(long))
    assert voice.spoken == [long[:26], long[26:]]

    assert [p.phonemes for p in phrases(voice, "yes, of course.")] == [list("yes, of course.")]


def test_title_ends_no_sentence():
    text = "It is for Mr. Jones. He has paid."
    found = phrases(FakeVoice(), text)
    assert ["".join(phrase.phonemes) for phrase in found] == [
        "It is for Mr Jones.",
        "He has paid.",
    ]
    assert [word for phrase in found for word, _ in phrase.words] == text.split()
    assert [phrase.pause_secs for phrase in found] == [0.25, 0.0]


@pytest.mark.parametrize("dots", ["...", " ... ", "\u2026", "...."])
def test_dots_between_words_are_a_pause(dots: str):
    (found,) = phrases(FakeVoice(), f"Let me see{dots} it is four...")

    assert "".join(found.phonemes).split() == ["Let", "me", "see,", "it", "is", "four..."]


def test_text_without_end_is_parted_at_blanks():
    found = phrases(FakeVoice(), "word " * 200)
    assert [len(phrase.phonemes) for phrase in found] == [300, 300, 300, 99]
    assert [len(phrase.words) for phrase in found] == [60, 60, 60, 20]
    (whole, rest) = phrases(FakeVoice(), "x" * 400)
    assert (len(whole.phonemes), len(rest.phonemes)) == (300, 100)


@pytest.mark.parametrize(
    ("alone", "spoken", "places"),
    [
        (["wˈʌn", "ˈʌv", "ðˈə", "bˈɛst"], "wˈʌn ʌvðə bˈɛst", [0, 5, 7, 10]),
        (["fˈaɪv dˈɑlɚz", "plˈiz"], "fˈaɪv dˈɑlɚz, plˈiz.", [0, 14]),
        (["hˈaɪ", "", "ðˈɛɹ"], "hˈaɪ ðˈɛɹ", [0, 5, 5]),
        (["ˈeɪ", "dˈɔɡ"], "ɐ dˈɔɡ", [0, 2]),
        (["", ""], "", [0, 0]),
    ],
)
def test_words_are_found_where_they_run_together(
    alone: Sequence[str], spoken: str, places: Sequence[int]
):
    assert word_places(alone, spoken) == places


async def test_error_of_a_voice_leaves_its_words_out_and_goes_on():
    down, up = await run(service(FakeVoice()), TTSSpeakFrame("boom!"), TTSSpeakFrame("fine"))

    assert words(down) == ["fine"]
    errors = [str(frame.error) for frame in up if isinstance(frame, ErrorFrame)]
    assert errors[0] == "synthesise() raised ValueError"


async def test_brackets_and_emoji_are_not_read_out():
    voice = FakeVoice()
    down, _ = await run(service(voice), TTSSpeakFrame("an [[odd]] \U0001f600 one"))

    assert voice.spoken == ["an [odd]] one"]
    assert words(down) == ["an", "[[odd]]", "\U0001f600", "one"]


async def test_speed_is_a_setting():
    voice = FakeVoice()
    tts = service(voice, speed=2.0)
    change = (TTSUpdateSettingsFrame(delta=Settings(speed=n)) for n in (0.0, 0.5))
    _, up = await run(
        tts, TTSSpeakFrame("one"), next(change), TTSSpeakFrame("two"), next(change),
        TTSSpeakFrame("three"),
    )  # fmt: skip
    assert voice.speeds == [2.0, 2.0, 0.5]
    assert "expected speed from 0.25 to 4, got 0.0" in str(
        [frame.error for frame in up if isinstance(frame, ErrorFrame)]
    )
    with pytest.raises(ConfigurationError, match="expected speed"):
        service(voice, speed=9.0)


def test_voice_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"expected a Piper voice at .*none\.onnx"):
        voice_file(str(tmp_path / "none.onnx"))


@pytest.mark.parametrize("has_lengths", [True, False])
def test_real_piper_tells_where_its_words_are(tmp_path: Path, *, has_lengths: bool):
    pytest.importorskip("piper")
    pytest.importorskip("onnx")
    voice = LocalPiper(str(make_tiny_voice(tmp_path, has_lengths=has_lengths)))
    (phrase,) = phrases(voice, "Two of the best.")
    sound = voice.speak(phrase.phonemes, speed=1.0, speaker=None)

    assert [word for word, _ in phrase.words] == ["Two", "of", "the", "best."]
    # Each phoneme and the pad behind it have 512 samples each; there are a beginning and its pad.
    assert sound.starts == [1024 * (place + 1) for place in range(len(phrase.phonemes))]
    assert len(sound.samples) == sound.starts[-1] + 1024 + 512
    assert voice.gain > 0

    (tmp_path / "hum.onnx").write_bytes(b"none")
    with pytest.raises(ConfigurationError, match="expected a Piper voice in"):
        LocalPiper(str(tmp_path / "hum.onnx"))
