import pytest

from twilio_frames.protocol.holding import DOUBT, HoldPolicy


def test_onset_holds_at_first():
    policy = HoldPolicy()

    assert policy.delay(5.0) == 0.0
    assert policy.may_hold(5.0)


def test_false_alarms_ask_for_more_speech():
    policy = HoldPolicy(tolerated=2, first_secs=0.4, step_secs=0.2, longest_secs=1.0)
    delays = []
    for now in range(8):
        policy.false_alarm(now)
        delays.append(policy.delay(now))

    assert delays == pytest.approx([0.0, 0.0, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_long_speech_holds_after_false_alarms():
    policy = HoldPolicy(tolerated=0, first_secs=0.4)
    policy.false_alarm(1.0)

    assert not policy.may_hold(2.0)
    assert not policy.may_hold(2.0, 0.39)
    assert policy.may_hold(2.0, 0.4)


def test_false_alarms_are_forgotten_in_time():
    policy = HoldPolicy(tolerated=0, within_secs=60.0)
    policy.false_alarm(1.0)

    assert policy.delay(60.9) > 0.0
    assert policy.delay(61.0) == 0.0


def test_interruption_makes_up_for_one_alarm():
    policy = HoldPolicy(tolerated=1)
    policy.false_alarm(1.0)
    policy.false_alarm(2.0)
    policy.confirmed(3.0)

    assert policy.may_hold(3.0)


def test_memory_is_bounded_but_enough():
    policy = HoldPolicy(tolerated=2, within_secs=60.0, longest_secs=1.0)
    for now in range(10_000):
        policy.false_alarm(now / 1000)

    assert policy.delay(10.0) == 1.0
    assert len(policy._alarms) < 20  # pyright: ignore[reportPrivateUsage]


def test_interruption_without_alarms_is_no_credit():
    policy = HoldPolicy(tolerated=0)
    policy.confirmed(1.0)
    policy.false_alarm(2.0)

    assert policy.delay(3.0) > 0.0


def test_likely_speech_is_given_up_first():
    policy = HoldPolicy(tolerated=2)
    allowed = []
    for now in range(6):
        allowed.append((policy.may_hold(now, is_certain=False), policy.may_hold(now)))
        policy.false_alarm(now, DOUBT)

    assert [likely for likely, _ in allowed] == [True, True, True, True, False, False]
    assert [certain for _, certain in allowed] == [True, True, True, True, True, False]
    assert policy.may_hold(62.5, is_certain=False)


def test_likely_speech_holds_where_nothing_is_tolerated():
    policy = HoldPolicy(tolerated=0)
    assert policy.may_hold(1.0, is_certain=False)

    policy.false_alarm(1.0, DOUBT)
    assert not policy.may_hold(1.0, is_certain=False)


def test_interruption_makes_up_for_two_doubts():
    policy = HoldPolicy(tolerated=1, first_secs=0.4, step_secs=0.2)
    policy.false_alarm(1.0, DOUBT)
    policy.false_alarm(2.0)
    assert policy.delay(3.0) == 0.4

    policy.confirmed(3.0)
    assert policy.delay(3.0) == 0.0
    assert policy.may_hold(3.0, is_certain=False)
    # Half of the second alarm is left, and as old as it was.
    policy.false_alarm(3.0, DOUBT)
    assert not policy.may_hold(3.0, is_certain=False)
    assert policy.may_hold(62.0, is_certain=False)
