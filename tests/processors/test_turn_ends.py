import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.endpointing import Endpointing, EndpointPolicy, TurnEndTimes
from twilio_frames.processors.turns.learned_pause import LearnedPause

STEP = 0.02
PAUSE = 0.6


class Caller:
    """Speaks and is silent, a frame at a time, and is taken to be done by what is decided."""

    def __init__(self, by: Endpointing):
        self.learned = LearnedPause()
        self.ends = EndpointPolicy(by, learned=self.learned)
        self.asked = 0
        self.news: list[float | None] = []
        self._speech = self._silence = 0.0
        self._certain = False

    def speaks(self, secs: float) -> None:
        for _ in range(round(secs / STEP)):
            self._speech, self._silence, self._certain = self._speech + STEP, 0.0, True
            self._frame()

    def is_silent(self, secs: float) -> float:
        """For that long; how long it was when speech ended, if it did."""
        ended = 0.0
        for _ in range(round(secs / STEP)):
            self._silence += STEP
            if self._certain and self._silence >= self.ends.silence_needed(PAUSE) - 1e-9:
                self._certain, self._speech, ended = False, 0.0, self._silence
            self._frame()
        return ended

    def _frame(self) -> None:
        self.ends.hear(
            STEP,
            speaks=self._certain,
            speech_secs=self._speech if self._certain else 0.0,
            silence_secs=self._silence,
        )
        if self.ends.asks():
            self.asked += 1
        if self.ends.is_news():
            self.news.append(self.ends.probability)


def test_pause_is_always_the_same():
    caller = Caller(Endpointing.PAUSE)
    caller.speaks(1.0)
    assert caller.is_silent(0.5) == 0.0
    caller.speaks(1.0)
    assert caller.is_silent(3.0) == pytest.approx(PAUSE)


def test_cut_off_caller_is_given_longer():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    caller.speaks(1.0)
    assert caller.is_silent(0.8) == pytest.approx(0.6)
    caller.speaks(1.0)
    assert caller.learned.cuts == 1
    assert caller.is_silent(2.0) == pytest.approx(0.95, abs=0.03)


def test_waited_out_pause_is_learned():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    caller.speaks(1.0)
    caller.is_silent(0.56)
    caller.speaks(1.0)
    assert caller.learned.secs == pytest.approx(0.56 + 0.15, abs=0.03)


def test_next_turn_is_no_cut():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    for _ in range(3):
        caller.speaks(1.0)
        caller.is_silent(3.0)
    assert caller.learned.cuts == 0
    assert caller.learned.secs < 0.6


def test_answer_to_the_bot_is_no_cut():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    caller.speaks(1.0)
    caller.is_silent(0.62)
    caller.ends.bot_started()
    caller.is_silent(0.8)
    caller.speaks(1.0)
    assert caller.learned.cuts == 0


def test_going_on_beside_the_bot_is_a_cut():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    caller.speaks(1.0)
    caller.is_silent(0.62)
    caller.ends.bot_started()
    caller.is_silent(0.3)
    caller.speaks(1.0)
    assert caller.learned.cuts == 1


def test_sounds_beside_the_bot_teach_nothing():
    caller = Caller(Endpointing.LEARNED_PAUSE)
    caller.ends.bot_started()
    for _ in range(3):
        caller.speaks(0.3)
        caller.is_silent(1.0)
    assert (caller.learned.cuts, caller.learned.turns, caller.learned.secs) == (0, 0, 0.6)


@pytest.mark.parametrize(
    ("probability", "silence"), [(0.95, 0.26), (0.7, PAUSE), (0.1, 1.2), (None, PAUSE)]
)
def test_smart_turn_weighs_the_silence(probability: float | None, silence: float):
    caller = Caller(Endpointing.SMART_TURN)
    caller.speaks(1.0)
    caller.is_silent(0.24)
    caller.ends.take_answer(caller.ends.pause, probability)
    assert caller.asked == 1
    assert caller.is_silent(2.0) == pytest.approx(silence, abs=0.03)


def test_answer_for_another_pause_is_dropped():
    caller = Caller(Endpointing.SMART_TURN)
    caller.speaks(1.0)
    caller.is_silent(0.24)
    pause = caller.ends.pause
    caller.speaks(0.5)
    caller.ends.take_answer(pause, 0.99)
    assert caller.is_silent(2.0) == pytest.approx(PAUSE)


def test_sounding_done_is_doubted_after_a_cut():
    caller = Caller(Endpointing.SMART_TURN)
    for silence in (0.9, 0.2):
        caller.speaks(1.0)
        caller.is_silent(0.24)
        caller.ends.take_answer(caller.ends.pause, 0.99)
        ended = caller.is_silent(silence)
    assert ended == 0.0
    assert caller.is_silent(2.0) == pytest.approx(caller.learned.secs, abs=0.03)
    assert caller.learned.secs > 1.0


def test_held_bot_does_not_wait_longer():
    caller = Caller(Endpointing.SMART_TURN)
    caller.ends.bot_started()
    caller.speaks(0.5)
    caller.is_silent(0.24)
    caller.ends.take_answer(caller.ends.pause, 0.1)
    assert caller.is_silent(2.0) == pytest.approx(PAUSE)


def test_likely_end_is_told_once_a_pause():
    caller = Caller(Endpointing.SMART_TURN)
    caller.speaks(1.0)
    caller.is_silent(0.24)
    caller.ends.take_answer(caller.ends.pause, 0.7)
    caller.is_silent(0.2)
    caller.speaks(0.5)
    caller.is_silent(0.24)
    caller.ends.take_answer(caller.ends.pause, None)
    caller.is_silent(0.2)
    assert caller.news == [0.7, None]


def test_unlikely_end_is_not_told():
    caller = Caller(Endpointing.SMART_TURN)
    caller.speaks(1.0)
    caller.is_silent(0.24)
    caller.ends.take_answer(caller.ends.pause, 0.3)
    caller.is_silent(2.0)
    assert caller.news == []


@pytest.mark.parametrize("wrong", [{"likely": 0.95}, {"sure": 1.1}, {"ask_secs": 0.0}])
def test_impossible_times_are_refused(wrong: dict[str, float]):
    with pytest.raises(ConfigurationError):
        TurnEndTimes(**wrong)
