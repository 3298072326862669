import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol.course import CallCourse, CallPhase, CallStep

STEPS = st.lists(st.sampled_from(CallStep), max_size=40)


def course_after(*steps: CallStep) -> CallCourse:
    course = CallCourse()
    for step in steps:
        assert course.take(step), step
    return course


ON_STREAM = (CallStep.STREAM,)
AWAY = (*ON_STREAM, CallStep.LEAVE, CallStep.CLOSED, CallStep.ASKED)


def test_call_goes_away_and_comes_back():
    course = course_after(*AWAY, CallStep.RETURNING, CallStep.STREAM)

    assert (course.phase, course.streams, course.detours) == (CallPhase.ON_STREAM, 2, 1)
    assert not course.is_away


def test_twilio_may_ask_before_the_close_is_seen_here():
    course = course_after(*ON_STREAM, CallStep.LEAVE, CallStep.ASKED, CallStep.CLOSED)

    assert course.phase is CallPhase.AWAY


def test_close_may_be_seen_only_when_the_way_back_is_known():
    course = course_after(
        *ON_STREAM, CallStep.LEAVE, CallStep.ASKED, CallStep.RETURNING, CallStep.CLOSED
    )

    assert course.phase is CallPhase.RETURNING


def test_stream_that_could_not_be_opened_is_asked_for_again():
    course = course_after(*AWAY, CallStep.RETURNING, CallStep.ASKED)

    assert course.take(CallStep.STREAM)


@pytest.mark.parametrize("step", [CallStep.STREAM, CallStep.RETURNING, CallStep.ASKED])
def test_what_comes_late_changes_nothing(step: CallStep):
    course = course_after(*ON_STREAM)

    assert not course.take(step)
    assert course.phase is CallPhase.ON_STREAM


def test_call_leaves_one_stream_once():
    course = course_after(*ON_STREAM, CallStep.LEAVE)

    assert not course.take(CallStep.LEAVE)
    assert course.detours == 1


@given(STEPS)
def test_nothing_follows_the_end(steps: list[CallStep]):
    course = course_after(CallStep.ENDED)
    for step in steps:
        course.take(step)

    assert course.phase is CallPhase.ENDED
    assert course.streams == 0


@given(STEPS)
def test_refused_steps_change_nothing_and_counts_only_grow(steps: list[CallStep]):
    course = CallCourse()
    for step in steps:
        before = (course.phase, course.streams, course.detours)
        was_allowed = course.may(step)
        assert course.take(step) is was_allowed
        if not was_allowed:
            assert (course.phase, course.streams, course.detours) == before
        assert course.streams >= before[1]
        assert course.detours >= before[2]
        # Every stream but the first follows a detour; a call leaves a stream only where it is.
        assert course.streams - 1 <= course.detours <= course.streams or course.streams == 0


@given(STEPS)
def test_call_that_is_away_can_always_come_back(steps: list[CallStep]):
    course = CallCourse()
    for step in steps:
        course.take(step)
    if not course.is_away:
        return
    course.take(CallStep.ASKED)
    course.take(CallStep.RETURNING)

    assert course.take(CallStep.STREAM)
    assert course.phase is CallPhase.ON_STREAM
