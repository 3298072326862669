import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.errors import ConfigurationError
from twilio_frames.processors.turns.learned_pause import LearnedPause, PauseRange

RANGE = PauseRange()
SECS = st.floats(0.0, 5.0)
EVENTS = st.lists(st.tuples(st.sampled_from(["paused", "cut_off", "turn_ended"]), SECS))


def after(events: list[tuple[str, float]]) -> LearnedPause:
    learned = LearnedPause()
    for name, secs in events:
        happen(learned, name, secs)
    return learned


def happen(learned: LearnedPause, name: str, secs: float) -> None:
    match name:
        case "paused":
            learned.paused(secs)
        case "cut_off":
            learned.cut_off(secs)
        case _:
            learned.turn_ended()


@given(EVENTS)
def test_stays_within_its_range(events: list[tuple[str, float]]):
    learned = LearnedPause()
    for name, secs in events:
        happen(learned, name, secs)
        assert RANGE.shortest <= learned.secs <= RANGE.longest


@given(EVENTS, st.floats(0.0, RANGE.longest - LearnedPause.MARGIN_SECS))
def test_same_pause_cuts_off_once(events: list[tuple[str, float]], secs: float):
    learned = after(events)
    learned.cut_off(secs)
    assert learned.secs >= secs


@given(EVENTS, SECS)
def test_pauses_never_shorten_it(events: list[tuple[str, float]], secs: float):
    learned = after(events)
    before = learned.secs
    learned.paused(secs)
    learned.cut_off(secs)
    assert learned.secs >= before


@given(EVENTS)
def test_falls_by_a_step_at_most(events: list[tuple[str, float]]):
    learned = after(events)
    before = learned.secs
    learned.turn_ended()
    assert learned.secs >= before - LearnedPause.STEP_SECS - 1e-9


@given(EVENTS)
def test_swift_caller_is_answered_soon(events: list[tuple[str, float]]):
    learned = after(events)
    for _ in range(60):
        learned.turn_ended()
    assert learned.secs == RANGE.shortest


def test_one_long_pause_is_forgotten_slowly():
    learned = LearnedPause()
    learned.cut_off(0.9)
    assert learned.secs == pytest.approx(1.05)
    for _ in range(4):
        learned.turn_ended()
    assert learned.secs == pytest.approx(1.05)
    learned.turn_ended()
    assert learned.secs == pytest.approx(1.0)


def test_caller_who_always_pauses_is_waited_for():
    learned = LearnedPause()
    for _ in range(30):
        learned.paused(0.7)
        learned.turn_ended()
    assert learned.secs == pytest.approx(0.85)


def test_what_was_learned_can_be_read():
    learned = LearnedPause()
    learned.paused(0.3)
    learned.cut_off(0.8)
    assert learned.was_cut_off_lately
    learned.turn_ended()
    learned.turn_ended()
    assert (learned.pauses, learned.turns, learned.cuts) == ((0.8, 0.0), 2, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shortest": 0.0},
        {"first": 0.3},
        {"longest": 0.5},
    ],
)
def test_impossible_range_is_refused(wrong: dict[str, float]):
    with pytest.raises(ConfigurationError):
        PauseRange(**wrong)


def test_range_reaches_to_any_pause():
    assert PauseRange.around(2.0).longest == 2.0
    assert PauseRange.around(0.2).shortest == 0.2
