"""Who answers is listened to for as long as it matters."""

import time

from tests.answering.test_decider import silence, speech
from twilio_frames.answering import AnswerDecider, AnswerLimits
from twilio_frames.call.answering.listener import AnswerListener


def listener() -> AnswerListener:
    decider = AnswerDecider(AnswerLimits(change_secs=5.0))
    return AnswerListener(decider, opened_at=time.monotonic(), on_answer=lambda _: None)


def hear(one: AnswerListener, mulaw: bytes, at: float) -> float:
    for begin in range(0, len(mulaw), 160):
        one.caller_audio(mulaw[begin : begin + 160], at + begin / 8000)
    return at + len(mulaw) / 8000


def test_nothing_is_heard_once_all_is_decided():
    one = listener()
    now = hear(one, speech(0.5) + silence(6), 1.0)

    hear(one, speech(1) + silence(1) + speech(1), now)

    assert len(one.decider.ear.spells) == 1


def test_whoever_waits_for_a_beep_hears_it_however_late():
    one = listener()
    one.is_needed = True
    now = hear(one, speech(0.5) + silence(6), 1.0)

    hear(one, speech(1), now)

    assert len(one.decider.ear.spells) == 2


def test_times_count_from_the_first_audio():
    one = listener()
    hear(one, speech(0.5), 3.0)

    assert one.decider.ear.spells[0].began_at < 0.1
