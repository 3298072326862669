import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.metrics.metrics import TurnMetricsData

from tests.waiting import others_run
from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.turns import smart_turn
from twilio_frames.processors.turns.smart_turn import PhoneSmartTurn, SmartTurnPool

SECOND = bytes(16000)


class Model:
    """Answers on the pool's thread, once it is let."""

    def __init__(self, probability: float = 0.9):
        self.probability = probability
        self.heard: list[int] = []
        self.threads: set[str] = set()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, samples: np.ndarray) -> float:
        self.heard.append(len(samples))
        self.threads.add(threading.current_thread().name)
        self.may_answer.wait(30)
        return self.probability


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.may_answer.set()


def spoken(turn: PhoneSmartTurn, secs: float, *, is_speech: bool = True) -> EndOfTurnState:
    state = EndOfTurnState.INCOMPLETE
    for _ in range(round(secs / 0.02)):
        state = turn.append_audio(bytes(320), is_speech)
    return state


async def test_model_answers_off_the_loop(model: Model):
    pool = SmartTurnPool(model, threads=1)
    turn = PhoneSmartTurn(pool=pool)
    spoken(turn, 1.0)

    state, metrics = await turn.analyze_end_of_turn()

    assert state is EndOfTurnState.COMPLETE
    assert isinstance(metrics, TurnMetricsData)
    assert metrics.probability == 0.9
    assert threading.main_thread().name not in model.threads
    pool.close()


async def test_unlikely_end_is_incomplete(model: Model):
    model.probability = 0.2
    pool = SmartTurnPool(model)
    turn = PhoneSmartTurn(pool=pool)
    spoken(turn, 1.0)
    assert (await turn.analyze_end_of_turn())[0] is EndOfTurnState.INCOMPLETE
    pool.close()


async def test_hung_model_gives_no_answer(model: Model):
    model.may_answer.clear()
    pool = SmartTurnPool(model, threads=1, most_waiting=1)
    turn = PhoneSmartTurn(pool=pool, time_limit=0.02)
    spoken(turn, 1.0)

    assert await turn.analyze_end_of_turn() == (EndOfTurnState.INCOMPLETE, None)
    # In a pipeline of Pipecat's the turn ends by the pause then.
    assert spoken(turn, 0.4, is_speech=False) is EndOfTurnState.INCOMPLETE
    assert spoken(turn, 0.2, is_speech=False) is EndOfTurnState.COMPLETE
    pool.close()


async def test_full_queue_refuses_at_once(model: Model):
    model.may_answer.clear()
    pool = SmartTurnPool(model, threads=1, most_waiting=2)
    asked = [asyncio.create_task(pool.ask(SECOND, time_limit=30.0)) for _ in range(3)]
    await others_run()

    assert await pool.ask(SECOND, time_limit=30.0) is None

    model.may_answer.set()
    assert await asyncio.gather(*asked) == [0.9] * 3
    assert await pool.ask(SECOND, time_limit=30.0) == 0.9
    pool.close()


async def test_hung_thread_keeps_its_place(model: Model):
    model.may_answer.clear()
    pool = SmartTurnPool(model, threads=1, most_waiting=1)
    answers = [await pool.ask(SECOND, time_limit=0.01) for _ in range(4)]
    assert answers == [None] * 4
    assert len(model.heard) == 1
    pool.close()


def test_no_more_than_eight_seconds_are_held():
    turn = PhoneSmartTurn()
    spoken(turn, 60.0)
    assert turn.held_secs <= 9.0


async def test_model_hears_the_last_eight_seconds(model: Model):
    pool = SmartTurnPool(model)
    turn = PhoneSmartTurn(pool=pool)
    spoken(turn, 20.0)
    await turn.analyze_end_of_turn()
    assert model.heard == [64000]
    pool.close()


async def test_turn_begins_just_before_its_speech(model: Model):
    pool = SmartTurnPool(model)
    turn = PhoneSmartTurn(pool=pool, params=SmartTurnParams(pre_speech_ms=500))
    spoken(turn, 30.0, is_speech=False)
    spoken(turn, 1.0)
    await turn.analyze_end_of_turn()
    assert model.heard == [12000]
    pool.close()


async def test_silence_is_not_asked_about(model: Model):
    pool = SmartTurnPool(model)
    turn = PhoneSmartTurn(pool=pool)
    spoken(turn, 1.0, is_speech=False)
    assert await turn.analyze_end_of_turn() == (EndOfTurnState.INCOMPLETE, None)
    assert model.heard == []
    pool.close()


def test_other_rates_are_refused():
    turn = PhoneSmartTurn()
    turn.set_sample_rate(8000)
    with pytest.raises(ConfigurationError, match="8000"):
        turn.set_sample_rate(16000)


def test_one_model_for_many_threads(monkeypatch: pytest.MonkeyPatch):
    built: list[str] = []

    class Counted(LocalSmartTurnAnalyzerV3):
        def __init__(self, **kwargs):
            built.append(threading.current_thread().name)
            super().__init__(**kwargs)

    monkeypatch.setattr(
        "pipecat.audio.turn.smart_turn.local_smart_turn_v3.LocalSmartTurnAnalyzerV3", Counted
    )
    smart_turn._built.cache_clear()  # pyright: ignore[reportPrivateUsage] As in a new process.
    samples = np.zeros(8000, dtype=np.float32)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(smart_turn.probability_of_end, [samples] * 4))
    assert len(built) == 1
    assert len(set(found)) == 1
    assert 0.0 <= found[0] <= 1.0
    smart_turn._built.cache_clear()  # pyright: ignore[reportPrivateUsage] The next test's own.
