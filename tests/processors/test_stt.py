"""UtteranceSTTService in a small pipeline: edges of utterances, frames, errors."""

import numpy as np
import pytest
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    STTMuteFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import SleepFrame, run_test

from tests.waiting import time_passes
from twilio_frames.frames import NoWordsFrame
from twilio_frames.local.recognition.recogniser import UNINTELLIGIBLE, Recogniser
from twilio_frames.local.stt import PocketsphinxSTTService
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.stt import UtteranceSTTService

PARAMS = PipelineParams(audio_in_sample_rate=8000)


class Listener(UtteranceSTTService):
    """Keeps what it hears; says "heard", or does what the test wants instead."""

    def __init__(self, **kwargs):
        super().__init__(ttfs_p99_latency=0.1, **kwargs)
        self.utterances: list[bytes] = []
        self.answers: list[str | Exception | None] = []
        self.delay = 0.0

    async def transcribe(self, pcm: bytes) -> str | None:
        self.utterances.append(pcm)
        await time_passes(self.delay)
        answer = self.answers.pop(0) if self.answers else "heard"
        if isinstance(answer, Exception):
            raise answer
        return answer


def audio(samples: np.ndarray | bytes) -> list[Frame]:
    """The samples in frames of 20 ms."""
    pcm = samples if isinstance(samples, bytes) else samples.astype(np.int16).tobytes()
    return [
        InputAudioRawFrame(audio=pcm[n : n + 320], sample_rate=8000, num_channels=1)
        for n in range(0, len(pcm), 320)
    ]


def counted(seconds: float, first: int = 0) -> np.ndarray:
    """Samples that say their own number, in steps of a frame."""
    return np.repeat(np.arange(first, first + round(seconds * 50)), 160)


def utterance(seconds: float = 0.4) -> list[Frame]:
    return [
        VADUserStartedSpeakingFrame(),
        *audio(bytes(round(seconds * 8000) * 2)),
        VADUserStoppedSpeakingFrame(),
    ]


async def run(service: UtteranceSTTService, *frames: Frame) -> tuple[list[Frame], list[Frame]]:
    down, up = await run_test(service, frames_to_send=frames, pipeline_params=PARAMS)
    return list(down), list(up)


def texts(frames: list[Frame]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, TranscriptionFrame)]


async def test_utterance_begins_before_vad_noticed():
    listener = Listener(before_secs=0.5)
    await run(
        listener,
        *audio(counted(2)),
        SleepFrame(0.05),
        VADUserStartedSpeakingFrame(),
        SleepFrame(0.05),
        *audio(counted(1, first=100)),
        SleepFrame(0.05),
        VADUserStoppedSpeakingFrame(),
    )
    (heard,) = (np.frombuffer(pcm, np.int16) for pcm in listener.utterances)
    assert (heard == counted(1.5, first=75)).all()


async def test_transcription_is_final():
    down, _ = await run(Listener(), *utterance())
    (frame,) = (frame for frame in down if isinstance(frame, TranscriptionFrame))
    assert frame.text == "heard"
    assert frame.finalized


async def test_no_audio_behind_it():
    down, _ = await run(Listener(), *audio(bytes(3200)), *utterance())
    assert not [frame for frame in down if isinstance(frame, InputAudioRawFrame)]


async def test_nothing_said_is_told_as_such():
    listener = Listener()
    listener.answers = [None, "", "words"]
    down, _ = await run(
        listener, *utterance(), SleepFrame(0.05), *utterance(), SleepFrame(0.05), *utterance()
    )
    assert texts(down) == ["words"]
    kinds = [type(f) for f in down if isinstance(f, NoWordsFrame | TranscriptionFrame)]
    assert kinds == [NoWordsFrame, NoWordsFrame, TranscriptionFrame]


async def test_exception_is_reported_and_call_goes_on():
    listener = Listener()
    listener.answers = [ValueError("the caller's words"), "second"]
    down, up = await run(listener, *utterance(), SleepFrame(0.05), *utterance())
    assert texts(down) == ["second"]
    (error,) = (frame for frame in up if isinstance(frame, ErrorFrame))
    assert "ValueError" in error.error
    assert "words" not in error.error


async def test_slow_answer_is_given_up():
    listener = Listener(time_limit=0.05)
    listener.delay = 5
    down, up = await run(listener, *utterance())
    assert texts(down) == []
    assert "too long" in next(frame.error for frame in up if isinstance(frame, ErrorFrame))


async def test_endless_speech_is_cut():
    listener = Listener(longest_secs=1.0)
    await run(
        listener,
        VADUserStartedSpeakingFrame(),
        SleepFrame(0.05),
        *audio(counted(3)),
        SleepFrame(0.05),
        VADUserStoppedSpeakingFrame(),
    )
    (heard,) = (np.frombuffer(pcm, np.int16) for pcm in listener.utterances)
    assert (heard == counted(1)).all()


async def test_utterances_stay_in_order():
    listener = Listener()
    listener.answers = ["one", "two", "three"]
    listener.delay = 0.02
    down, _ = await run(listener, *utterance(), *utterance(), *utterance(), EndFrame())
    assert texts(down)[:3] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("maybe tomorrow", "maybe tomorrow"),
        ("Nobody ever measured the depth of that lake.", UNINTELLIGIBLE),
        ("", None),
    ],
)
async def test_pocketsphinx_answers_in_words(said: str, text: str | None):
    recogniser = await Recogniser.create(
        "#JSGF V1.0; grammar answer; public <answer> = yes | no | maybe tomorrow;"
    )
    speech = Synthesiser().synthesise(said).resampled(8000).pcm if said else b""
    down, _ = await run(
        PocketsphinxSTTService(recogniser),
        *audio(bytes(8000)),
        VADUserStartedSpeakingFrame(),
        *audio(speech + bytes(9600)),
        VADUserStoppedSpeakingFrame(),
    )
    recogniser.close()
    assert texts(down) == ([text] if text else [])


async def test_what_is_said_while_muted_is_not_heard():
    listener = Listener()
    muted, heard = STTMuteFrame(mute=True), STTMuteFrame(mute=False)
    down, _ = await run(listener, *audio(bytes(8000)), muted, *utterance(), heard, *utterance(0.6))

    assert [len(each) for each in listener.utterances] == [0.6 * 16000]
    answers = [frame for frame in down if isinstance(frame, NoWordsFrame | TranscriptionFrame)]
    assert [type(frame) for frame in answers] == [NoWordsFrame, TranscriptionFrame]


async def test_utterance_in_which_a_mute_begins_is_heard_up_to_there():
    listener = Listener()
    speaks, *sound, falls_silent = utterance(0.8)
    await run(listener, speaks, *sound[:20], STTMuteFrame(mute=True), *sound[20:], falls_silent)

    assert [len(each) for each in listener.utterances] == [0.4 * 16000]
