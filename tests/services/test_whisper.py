"""Whisper as the ears of a call: what it is asked, what of its guesses is taken, who waits."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    STTUpdateSettingsFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import SleepFrame, run_test

from tests.services.whisper_rig import FakeWhisper, make_tiny_model, said
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import NoWordsFrame
from twilio_frames.model_threads import ModelThreads, SharedModels
from twilio_frames.services.whisper import Ear, PhoneWhisperSTTService
from twilio_frames.services.whisper.features import log_mel
from twilio_frames.services.whisper.hearing import Hearing, hear, prompt_tokens, without_repeats
from twilio_frames.services.whisper.model import Guess, LocalWhisper, model_folder

Settings = PhoneWhisperSTTService.Settings


def service(model: FakeWhisper, **settings: Any) -> PhoneWhisperSTTService:
    """Ears with a model of the test's."""

    class Ears(PhoneWhisperSTTService):
        models: ClassVar[SharedModels[Ear]] = SharedModels(
            lambda _name: Ear(model, ModelThreads("whisper-of-test", threads=1))
        )

    return Ears(settings=Settings(**settings))


def utterance(secs: float = 0.4) -> list[Frame]:
    frames = [
        InputAudioRawFrame(audio=bytes(320), sample_rate=8000, num_channels=1)
        for _ in range(round(secs * 50))
    ]
    return [VADUserStartedSpeakingFrame(), *frames, VADUserStoppedSpeakingFrame(), SleepFrame(0.1)]


async def run(stt: PhoneWhisperSTTService, *frames: Frame) -> tuple[list[Frame], list[Frame]]:
    params = PipelineParams(audio_in_sample_rate=8000)
    down, up = await run_test(stt, frames_to_send=frames, pipeline_params=params)
    return list(down), list(up)


def texts(frames: Sequence[Frame]) -> list[str]:
    return [
        frame.text if isinstance(frame, TranscriptionFrame) else ""
        for frame in frames
        if isinstance(frame, TranscriptionFrame | NoWordsFrame)
    ]


async def test_words_noise_and_errors_each_have_their_frame():
    model = FakeWhisper(
        said("One latte, please."), said("A little bit of milk and honey.", -1.4), said("..."),
        ValueError("the caller's words"), said("Yes.", -1.1),
    )  # fmt: skip
    down, up = await run(service(model), *5 * utterance())

    assert texts(down) == ["One latte, please.", "", "", "", "Yes."]
    assert [str(f.error) for f in up if isinstance(f, ErrorFrame)] == [
        "transcribe() raised ValueError"
    ]
    assert {name[:15] for name in model.threads} == {"whisper-of-test"}


async def test_least_score_vocabulary_and_language_are_settings():
    model = FakeWhisper(said("Nope.", -1.4), said("Nope.", -1.4))
    stt = service(model, least_score=-2.0, vocabulary=["oat milk", "mocha"], language="en-GB")
    change = STTUpdateSettingsFrame(
        delta=Settings(least_score=-1.0, vocabulary=["yes", "no"], language="de")
    )
    down, _ = await run(stt, *utterance(), change, SleepFrame(0.05), *utterance())

    assert texts(down) == ["Nope.", ""]
    task = "<|transcribe|> <|notimestamps|>"
    assert model.prompts == [
        f"<|startofprev|> oat milk, mocha. <|startoftranscript|> <|en|> {task}",
        f"<|startofprev|> yes, no. <|startoftranscript|> <|de|> {task}",
    ]


async def test_language_that_the_model_has_not_is_told_when_the_call_begins():
    stt = service(FakeWhisper(is_multilingual=False), language="de")
    _, up = await run(stt, SleepFrame(0.05))

    (error,) = (frame for frame in up if isinstance(frame, ErrorFrame))
    assert "expected a language that the Whisper model knows, got 'de'" in str(error.error)


async def test_model_is_loaded_once_for_all_calls_and_not_by_the_event_loop():
    loaded: list[str] = []

    class Ears(PhoneWhisperSTTService):
        @staticmethod
        def make(name: str, threads: int | None = None) -> Ear:
            loaded.append(f"{name} {threads} {threading.current_thread().name[:13]}")
            return Ear(FakeWhisper(), ModelThreads("w", threads=1))

        models: ClassVar[SharedModels[Ear]] = SharedModels(make)

    await Ears.load(Path("/models/one"), threads=2)
    for _ in range(2):
        down, _up = await run(Ears(settings=Settings(model="/models/one")), *utterance())
        assert texts(down) == ["heard"]
    assert loaded == ["/models/one 2 model-loading"]


@pytest.mark.parametrize(
    ("secs", "frames", "tokens"),
    [(0.5, 1000, 12), (7.9, 1000, 72), (9.5, 1200, 84), (28.0, 3000, 232), (40.0, 3000, 328)],
)
def test_sound_is_made_as_long_as_it_must_be(secs: float, frames: int, tokens: int):
    model = FakeWhisper()
    pcm = bytes(2 * round(8000 * secs))
    assert hear(model, pcm, 8000, Hearing()) == "heard"

    assert (model.frames, model.most_tokens) == ([frames], [tokens])


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_tone_is_heard_at_its_height_whatever_the_rate(rate: int):
    model = FakeWhisper()
    tone = 8000 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)
    pcm = tone.astype(np.int16).tobytes()
    hear(model, pcm + b"\0", rate, Hearing())

    # 1000 Hz are 15 mels of 45.2, and there are 81 steps to them.
    assert model.loudest == [round(15 / 45.245 * 81) - 1]


def test_features_are_of_the_range_that_the_model_was_made_for():
    features = log_mel(np.zeros(100, np.float32), secs=1.0, bands=128)
    assert (features.shape, features.dtype) == ((128, 100), np.dtype(np.float32))
    assert np.allclose(features, -1.5)  # silence: a ten-billionth

    loud = log_mel(np.ones(400, np.float32), secs=1.0, bands=80)
    assert loud.max() - loud.min() == pytest.approx(2.0)  # 80 dB


def test_vocabulary_is_cut_where_there_is_no_more_room():
    model = FakeWhisper()
    hearing = Hearing(vocabulary=[f"word{n}" for n in range(500)])
    assert len(prompt_tokens(model, hearing)) == 205


@pytest.mark.parametrize(
    ("guess", "nobody", "taken"),
    [
        (said("No.", -0.9), 0.2, True),
        (said("Okay.", -0.8), 0.5, False),
        (said("all right " * 5, -0.5), 0.7, False),
        # Of numbers the model holds that nobody spoke.
        (said("one zero two nine five three six", -0.7), 0.95, True),
        (said("a little bit of milk and honey", -1.2), 0.3, False),
    ],
)
def test_short_guess_is_doubted_where_nobody_seems_to_speak(
    guess: Guess, nobody: float, *, taken: bool
):
    model = FakeWhisper(guess)
    model.nobody = nobody
    assert (hear(model, bytes(160_000), 8000, Hearing()) is not None) == taken


def test_guess_that_repeats_itself_is_made_again():
    model = FakeWhisper(said("cup " * 12, -0.3), said("cup cups", -2.0))
    assert hear(model, bytes(8000), 8000, Hearing()) is None
    assert model.repeats_forbidden == [False, True]
    assert len(model.frames) == 1


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no, no, no, no!", "no, no, no, no!"),
        ("five five five five five five", "five"),
        ("So I So I so I, so I so I want milk", "So I want milk"),
        ("one two three one two three", "one two three one two three"),
        ("milk and " * 9 + "milk", "milk and milk"),
        ("Give me a small latte. Give me a small latte.", "Give me a small latte."),
        ("", ""),
    ],
)
def test_what_is_repeated_without_end_is_left_once(text: str, left: str):
    assert without_repeats(text) == left


def test_folder_without_a_model_is_told(tmp_path: Path):
    (tmp_path / "config.json").touch()
    with pytest.raises(ConfigurationError, match=r"found no model\.bin.*ct2-transformers"):
        model_folder(str(tmp_path))


def test_real_engine_takes_what_it_is_asked(tmp_path: Path):
    pytest.importorskip("ctranslate2")
    make_tiny_model(tmp_path)
    model = LocalWhisper(str(tmp_path), threads=1)
    prompt = prompt_tokens(model, Hearing(vocabulary=["a", "b"]))
    encoded = model.encode(log_mel(np.zeros(9, np.float32), secs=2.0, bands=80))
    guess = model.guess(encoded, prompt, 5, no_repeats=True)

    assert (model.bands, model.is_multilingual, len(prompt)) == (80, False, 7)
    assert guess.score < 0
    assert len(guess.tokens) <= 6
    assert 0 <= model.no_speech(encoded, prompt[-2:]) <= 1
    (tmp_path / "model.bin").write_bytes(b"none")
    with pytest.raises(ConfigurationError, match="expected a Whisper model of CTranslate2's"):
        LocalWhisper(str(tmp_path))
