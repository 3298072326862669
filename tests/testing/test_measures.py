"""What is measured at the ear, and what a whole call is judged by; without any clock."""

import pytest

from tests.testing.bots import tone
from twilio_frames.audio import mulaw_silence
from twilio_frames.testing import CallEnd, CallResult, Limits, Turn, UnexpectedCallError
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.lines.timekeeping import Timekeeping
from twilio_frames.testing.logs.log import LogEntry
from twilio_frames.testing.results.measures import HeardSpan, gaps, silences
from twilio_frames.testing.scripts.checks import Check, judge


def spans(*edges: tuple[int, int, float]) -> list[HeardSpan]:
    return [HeardSpan(begin=begin, end=end, began_at=at) for begin, end, at in edges]


def result(**changes) -> CallResult:
    given = {
        "call_sid": "CA1", "end": CallEnd.BOT_HUNG_UP, "seconds": 10.0, "turns": (),
        "heard_bot": b"", "heard_spans": (), "alerts": (), "violations": (),
        "cut_off_secs": 0.0,
        "timekeeping": Timekeeping(turns=500, p50=0.0, p99=0.001, worst=0.001),
    }  # fmt: skip
    return CallResult(**{**given, **changes})


def failures(given: CallResult, *events: str, **limits) -> list[str]:
    entries = [LogEntry(time=0, source="call", event=event) for event in events]
    return [str(check) for check in judge(given, Limits(**limits), entries) if not check.passed]


def test_hole_in_a_sound_is_a_gap():
    heard = tone(0.5) + mulaw_silence(0.1) + tone(0.5)

    (gap,) = gaps(spans((0, 4000, 0.0), (4000, 8000, 0.6)), heard)

    assert (gap.began_at, gap.seconds) == (pytest.approx(0.5), pytest.approx(0.1))


def test_pause_that_was_sent_is_no_gap():
    heard = tone(0.4) + mulaw_silence(0.2) + tone(0.5)

    assert gaps(spans((0, 4000, 0.0), (4000, 8000, 0.6)), heard) == ()


def test_what_follows_a_clear_is_no_gap():
    heard = tone(0.5) + mulaw_silence(0.1) + tone(0.5)

    assert gaps(spans((0, 4000, 0.0), (9000, 13000, 0.6)), heard) == ()


def test_new_speech_is_no_gap():
    heard = tone(0.5) + mulaw_silence(2) + tone(0.5)

    assert gaps(spans((0, 4000, 0.0), (4000, 8000, 2.5)), heard) == ()


def test_silence_is_between_everybody():
    found = silences([(1.0, 2.0), (1.5, 3.0), (7.0, 8.0)], 8.5)

    assert [(air.began_at, air.seconds) for air in found] == [(0, 1), (3, 4), (8, 0.5)]


def test_call_within_its_limits_passes():
    turns = (
        Turn(speaker="bot", began_at=0.5, ended_at=2),
        Turn(speaker="caller", began_at=3, ended_at=4, answered_after=0.8),
        Turn(speaker="bot", began_at=4.8, ended_at=9.5),
    )

    assert not failures(
        result(turns=turns),
        *("ringing", "twiml", "answered", "ended"),
        first_audio=1, answer=1, dead_air=1.5, gap=0.06, call=11, cut_off=0, interruption=0.3,
        end="bot hung up", flow=("ringing", "answered", "ended"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "failure"),
    [
        ({"first_audio": 0.4}, "the bot's first sound within 400 ms, got 500 ms"),
        ({"answer": 0.7}, "each answer within 700 ms, got 800 ms"),
        ({"dead_air": 0.9}, "no dead air over 900 ms, got 1000 ms"),
        ({"call": 9}, "a call of at most 9000 ms, got 10000 ms"),
        ({"cut_off": 0.1}, "at most 100 ms cut off at the end, got 250 ms"),
        ({"end": "caller hung up"}, "the end 'caller hung up', got 'bot hung up'"),
        ({"flow": ("answered", "ringing")}, "got ringing, answered"),
        ({"warnings": 0}, "at most 0 warnings of Twilio's, got warning 31951: x"),
        ({"errors": 0}, "at most 0 errors of Twilio's, got error 11200: y"),
    ],
)
def test_call_beyond_a_limit_fails(limits, failure):
    turns = (
        Turn(speaker="bot", began_at=0.5, ended_at=2),
        Turn(speaker="caller", began_at=3, ended_at=4, answered_after=0.8),
        Turn(speaker="bot", began_at=4.8, ended_at=9.5),
    )
    alerts = (
        Alert(code=31951, text="x", is_error=False),
        Alert(code=11200, text="y"),
        Alert(code=31921, text="the bot closed"),
    )
    given = result(turns=turns, alerts=alerts, cut_off_secs=0.25)
    allowed = {"warnings": None, "errors": None, **limits}

    (told,) = failures(given, "ringing", "answered", **allowed)

    assert failure in told


def test_bot_that_never_spoke_has_no_time():
    turns = (
        Turn(speaker="caller", began_at=1, ended_at=2),
        Turn(speaker="caller", began_at=3, ended_at=4),
    )

    assert failures(result(turns=turns), first_audio=9, answer=9) == [
        "expected to hear the bot, got nothing",
        "expected an answer to each turn, got 1 without one",
    ]


def test_late_simulator_is_told_with_what_failed():
    late = result(timekeeping=Timekeeping(turns=500, p50=0.01, p99=0.08, worst=0.2))
    check = Check(expected="an answer", got="none", passed=False)

    assert "did not keep time" in str(UnexpectedCallError([check], late))
    assert "did not keep time" not in str(UnexpectedCallError([check], result()))
