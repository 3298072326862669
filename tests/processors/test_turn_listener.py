import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer, BaseTurnParams, EndOfTurnState
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    MetricsFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import MetricsData, TurnMetricsData
from pipecat.tests.utils import run_test

from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import TurnLikelyOverFrame
from twilio_frames.processors import silero
from twilio_frames.processors.endpointing import Endpointing
from twilio_frames.processors.silero import SileroBatch
from twilio_frames.processors.silero_model import WINDOW, StreamState
from twilio_frames.processors.turns import smart_turn
from twilio_frames.processors.turns.smart_turn import PhoneSmartTurn, SmartTurnPool
from twilio_frames.processors.vad import PhoneVAD

WINDOW_SECS = 0.032
PARAMS = VADParams(confidence=0.6, start_secs=0.16, stop_secs=0.6, min_volume=0.0)
LOUD = b"\x00\x10" * WINDOW


class Judge(SileroBatch):
    """Takes what is not silence for speech."""

    def submit(
        self,
        state: StreamState,
        windows: Sequence[np.ndarray],
        done: Callable[[list[float]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        # The real one takes its time, too.
        found = [0.95 if window.any() else 0.05 for window in windows]
        asyncio.get_running_loop().call_later(0.001, done, found)


class Analyzer(BaseTurnAnalyzer):
    """Answers what it is told to; an exception it raises."""

    def __init__(self, *answers: float | Exception | None):
        super().__init__()
        self.answers = list(answers)
        self.heard = bytearray()

    @property
    def speech_triggered(self) -> bool:
        return bool(self.heard)

    @property
    def params(self) -> BaseTurnParams:
        return BaseTurnParams()

    def append_audio(self, buffer: bytes, is_speech: bool) -> EndOfTurnState:
        self.heard += buffer
        return EndOfTurnState.INCOMPLETE

    async def analyze_end_of_turn(self) -> tuple[EndOfTurnState, MetricsData | None]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return EndOfTurnState.INCOMPLETE, None
        is_complete = answer >= 0.5
        metrics = TurnMetricsData(
            processor="", is_complete=is_complete, probability=answer, e2e_processing_time_ms=1.0
        )
        state = EndOfTurnState.COMPLETE if is_complete else EndOfTurnState.INCOMPLETE
        return state, metrics

    def clear(self) -> None:
        self.heard.clear()


@pytest.fixture(autouse=True)
def _judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "shared_batch", Judge)


def line(*secs: float) -> list[InputAudioRawFrame]:
    """So much speech, then so much silence, and so on."""
    frames = []
    for number, length in enumerate(secs):
        audio = bytes(WINDOW * 2) if number % 2 else LOUD
        frames += [
            InputAudioRawFrame(audio=audio, sample_rate=8000, num_channels=1)
            for _ in range(round(length / WINDOW_SECS))
        ]
    return frames


async def told(heard: PhoneVAD, *secs: float) -> list[Frame]:
    down, _ = await run_test(heard, frames_to_send=line(*secs))
    return list(down)


def silences(frames: Sequence[Frame]) -> list[float]:
    """How long it had been silent, each time that speech was over."""
    return [f.stop_secs for f in frames if isinstance(f, VADUserStoppedSpeakingFrame)]


async def ended(*answers: float | Exception | None) -> list[Frame]:
    heard = PhoneVAD(
        params=PARAMS, endpointing=Endpointing.SMART_TURN, turn_analyzer=Analyzer(*answers)
    )
    return await told(heard, 1.0, 2.0)


def silent_windows(frames: Sequence[Frame]) -> int:
    """How many windows of silence passed before speech was over."""
    audio = 0
    for frame in frames:
        if isinstance(frame, InputAudioRawFrame):
            audio += not any(frame.audio)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            return audio
    raise AssertionError("speech did not end")


@pytest.mark.parametrize(
    ("probability", "secs"), [(0.95, 0.26), (0.7, 0.6), (0.1, 1.2), (None, 0.6)]
)
async def test_smart_turn_decides_how_much_silence(probability: float | None, secs: float):
    frames = await ended(probability)
    assert silent_windows(frames) * WINDOW_SECS == pytest.approx(secs, abs=0.04)


async def test_likely_end_is_told_before_the_end():
    frames = await ended(0.7)
    likely = [f for f in frames if isinstance(f, TurnLikelyOverFrame | VADUserStoppedSpeakingFrame)]
    assert isinstance(likely[0], TurnLikelyOverFrame)
    assert likely[0].probability == 0.7
    assert [f for f in frames if isinstance(f, MetricsFrame)]


async def test_failing_analyzer_leaves_it_to_the_pause():
    heard = PhoneVAD(
        params=PARAMS,
        endpointing=Endpointing.SMART_TURN,
        turn_analyzer=Analyzer(RuntimeError("secret words")),
    )
    down, up = await run_test(heard, frames_to_send=line(1.0, 2.0))
    errors = [frame.error for frame in up if isinstance(frame, ErrorFrame)]
    assert silences(list(down)) == [0.6]
    assert errors == ["expected an answer of Analyzer, got RuntimeError"]


async def test_turn_s_audio_is_dropped_with_its_end():
    analyzer = Analyzer(0.95)
    heard = PhoneVAD(params=PARAMS, endpointing=Endpointing.SMART_TURN, turn_analyzer=analyzer)
    await told(heard, 1.0, 1.0)
    assert 0 < len(analyzer.heard) < 16000


async def test_learned_pause_rises_after_a_false_end():
    heard = PhoneVAD()
    frames = await told(heard, 1.0, 0.8, 1.0, 3.0)
    assert silences(frames) == pytest.approx([0.6, 0.95], abs=0.04)
    assert heard.learned_pause.cuts == 1


async def test_set_pause_is_kept_to():
    heard = PhoneVAD(params=PARAMS)
    assert silences(await told(heard, 1.0, 0.8, 1.0, 3.0)) == [0.6, 0.6]


async def test_learning_begins_with_the_set_pause():
    params = PARAMS.model_copy(update={"stop_secs": 0.3})
    heard = PhoneVAD(params=params, endpointing=Endpointing.LEARNED_PAUSE)
    assert heard.learned_pause.secs == 0.3


def test_other_vad_ends_speech_by_itself():
    with pytest.raises(ConfigurationError, match=r"Endpointing\.PAUSE"):
        PhoneVAD(vad_analyzer=SileroVADAnalyzer(), endpointing=Endpointing.SMART_TURN)


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    answer = threading.Event()

    def hang(_: np.ndarray) -> float:
        answer.wait(30)
        return 0.99

    pool = SmartTurnPool(hang, threads=1, most_waiting=1)
    monkeypatch.setattr(smart_turn, "shared_pool", lambda: pool)
    yield
    answer.set()
    pool.close()


@pytest.mark.usefixtures("hung")
async def test_hung_model_leaves_it_to_the_pause():
    turn = PhoneSmartTurn(time_limit=0.01)
    heard = PhoneVAD(params=PARAMS, endpointing=Endpointing.SMART_TURN, turn_analyzer=turn)
    assert silences(await told(heard, 1.0, 2.0, 1.0, 2.0)) == [0.6, 0.6]
