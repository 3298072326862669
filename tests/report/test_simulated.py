"""The simulated Twilio's log makes a report, too."""

import json

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.report import make_report
from twilio_frames.report.reading import parse_log
from twilio_frames.report.simulated import told_as_call_log
from twilio_frames.report.story import Span

CALL = [
    {"time": 0.0, "source": "call", "event": "ringing", "call_sid": "CA1"},
    {"time": 2.0, "source": "call", "event": "answered", "call_sid": "CA1"},
    {"time": 2.1, "source": "to_bot", "event": "start", "stream_sid": "MZ1"},
    {"time": 4.6, "source": "from_bot", "event": "clear"},
    {"time": 5.0, "source": "to_bot", "event": "dtmf"},
    {"time": 5.2, "source": "to_bot", "event": "mark", "name": "menu"},
    {"time": 9.0, "source": "call", "event": "alert", "code": 31921},
    {"time": 9.0, "source": "call", "event": "bot_spoke", "began_at": 0.4, "ended_at": 2.5},
    {
        "time": 9.0, "source": "call", "event": "caller_spoke", "began_at": 2.4, "ended_at": 3.9,
        "words": "A latte, please.",
    },
    {"time": 9.0, "source": "call", "event": "ended", "reason": "bot hung up"},
]  # fmt: skip


def report(entries):
    return make_report(parse_log(map(json.dumps, entries)))


def test_simulated_call_is_told():
    story = report(CALL).story

    assert story.title == "CA1"
    assert story.heard == [Span(0.4, 2.5)]
    assert [each.text for each in story.utterances] == ["A latte, please."]
    assert len(story.interruptions) == 1
    assert story.seconds == 7.0


def test_end_by_the_bot_is_no_error():
    assert [each for each in report(CALL).findings if "Twilio" in each.title] == []


def test_errors_of_twilio_are_told():
    alert = {"time": 3.0, "source": "call", "event": "alert", "code": 31903}
    found = report([*CALL, alert]).findings

    assert any("Twilio 31903" in each.title for each in found)


@pytest.mark.parametrize("value", [None, "x", True, float("inf"), [1]])
def test_odd_values_are_passed_over(value):
    odd = [each | {"time": value, "began_at": value, "words": value} for each in CALL]

    assert told_as_call_log(odd)
    assert report([*CALL, *odd])


def test_other_files_are_refused():
    with pytest.raises(ConfigurationError, match="expected the log to begin"):
        report([{"source": "elsewhere", "event": "ringing"}])
