"""What is heard, by arithmetic; and that the ear of a single call hears the same."""

import random

import pytest

from tests.testing.bots import tone
from twilio_frames.testing.callers.ear import Ear
from twilio_frames.testing.load.ear import ArithmeticEar
from twilio_frames.testing.streams.playback import MAX_BUFFERED, Playback

SILENCE = b"\xff" * 800


def spells(ear: ArithmeticEar) -> list[tuple[float, float]]:
    return [(round(s.began_at, 3), round(s.ended_at, 3)) for s in ear.spells]


def test_audio_is_heard_in_turn():
    ear = ArithmeticEar()
    ear.queue(tone(1.0), 5.0)
    ear.queue(tone(1.0), 5.2)

    assert spells(ear) == [(5.0, 7.0)]
    assert ear.ends_at == pytest.approx(7.0)


def test_silence_around_is_not_speech():
    ear = ArithmeticEar()
    ear.queue(SILENCE + tone(0.5) + SILENCE, 1.0)

    assert spells(ear) == [(1.1, 1.6)]


def test_clear_takes_back_what_lies_ahead():
    ear = ArithmeticEar()
    for _ in range(10):
        ear.queue(tone(0.1), 1.0)
    ear.mark("end")

    assert ear.clear(1.35) == ["end"]
    assert spells(ear) == [(1.0, 1.35)]
    assert ear.heard_secs == pytest.approx(0.35)
    ear.queue(tone(0.1), 1.4)
    assert spells(ear) == [(1.0, 1.35), (1.4, 1.5)]
    assert not ear.gaps


def test_dry_buffer_is_a_gap():
    ear = ArithmeticEar()
    ear.queue(tone(0.1), 1.0)
    ear.queue(tone(0.1), 1.15)
    ear.queue(tone(0.1), 1.35)
    ear.queue(tone(0.1), 3.0)

    assert ear.gaps == [pytest.approx(0.1)]


def test_silence_that_was_sent_is_no_gap():
    ear = ArithmeticEar()
    for _ in range(3):
        ear.queue(tone(0.1), 1.0)
        ear.queue(SILENCE, 1.0)

    assert not ear.gaps


def test_marks_are_reached_behind_their_audio():
    ear = ArithmeticEar()
    ear.queue(tone(0.1), 1.0)
    ear.mark("first")
    ear.queue(tone(0.1), 1.0)
    ear.mark("second")

    assert ear.next_mark == pytest.approx(1.1)
    assert ear.take_reached(1.15) == ["first"]
    assert ear.take_reached(1.21) == ["second"]
    assert ear.next_mark is None


def test_too_much_audio_is_discarded():
    ear = ArithmeticEar()

    assert ear.queue(b"\x00" * MAX_BUFFERED, 1.0)
    assert not ear.queue(b"\x00", 1.0)


def test_ear_of_single_call_agrees():
    """The same messages through the play-out of a single call, sample by sample."""
    source = random.Random(3)
    load_ear, playback, ear = ArithmeticEar(), Playback(), Ear()
    now = 0
    for _ in range(200):
        now += source.choice((83, 811, 2417, 8009))
        playback.advance(now)
        if source.random() < 0.1:
            playback.clear()
            load_ear.clear(now / 8000)
        audio = tone(source.choice((0.02, 0.1, 0.5))) if source.random() < 0.7 else SILENCE
        playback.queue(audio)
        load_ear.queue(audio, now / 8000)
    for _ in range(0, now + 16000, 160):
        played, begin = playback.play(160), 0
        for cleared_at in played.cleared_at:
            ear.hear(played.audio[begin:cleared_at])
            ear.break_off()
            begin = cleared_at
        ear.hear(played.audio[begin:])

    expected = [(s.began_at, s.ended_at) for s in ear.spells][-30:]
    found = [(s.began_at, s.ended_at) for s in load_ear.spells][-30:]
    assert [round(begin, 3) for begin, _ in found] == [round(begin, 3) for begin, _ in expected]
    # A message is cut where it was cleared; where in it the last sound was is not looked up.
    for (_, end), (_, expected_end) in zip(found, expected, strict=True):
        assert end == pytest.approx(expected_end, abs=0.001)
