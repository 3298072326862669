import pytest

from tests.report.logs import closed, line, reply, report_of, turn
from twilio_frames.report.finding import Finding, Severity, clock_text


def found(*lines) -> list[Finding]:
    return report_of(*lines).findings


def titles(*lines) -> list[str]:
    return [finding.title for finding in found(*lines)]


def test_good_call_has_none():
    assert titles(*reply(0.6, "Hello."), *turn(3.0, 4.0), *reply(4.8, "Hi."), closed(7.0)) == []


def test_slow_answer_names_the_slowest():
    finding = found(*turn(1.0, 2.0), *reply(2.8, "Hi.", llm=2.5), closed(8.0))[0]

    assert finding.severity is Severity.BAD
    assert finding.title == "The caller waited 3.5 s for an answer, 2.5 s of it for: language model"
    assert finding.at == pytest.approx(2.0)


def test_slow_answers_of_one_cause_are_one():
    later = [each | {"t": each["t"] + 10} for each in turn(1.0, 2.0)]
    second = [
        each
        | {"t": each["t"] + 10, "context": 1}
        | {edge: each[edge] + 10 for edge in ("begin", "end") if edge in each}
        for each in reply(2.8, "Hi.", llm=2.0)
    ]
    slow = titles(*turn(1.0, 2.0), *reply(2.8, "Hi.", llm=2.0), *later, *second, closed(18.0))

    assert "2 answers were slow, the slowest 3.0 s, most of it for: language model" in slow


def test_caller_without_an_answer_is_told():
    assert "The caller got no answer (2)" in titles(*turn(1.0, 2.0), *turn(9.0, 10.0), closed(30.0))


def test_bot_that_said_on_to_the_end_left_nobody_waiting():
    """Its last words were heard after the caller's, which were understood after them."""
    said = reply(0.6, "one two three four five six seven eight nine ten eleven twelve")
    late = [line(7.0, "turn_started"), line(7.01, "turn_stopped")]
    voice = [line(1.76, "vad_started", after=0.16), line(3.0, "vad_stopped", after=0.6)]
    words = line(7.0, "transcript", words=1, text="bye")

    assert titles(*said, *voice, words, *late, closed(7.2)) == []


def test_silent_caller_is_no_dead_air():
    quiet = found(*reply(0.6, "Hello."), *turn(9.0, 10.0), *reply(10.8, "Hi."), closed(12.0))

    assert [finding.severity for finding in quiet] == [Severity.WARNING]
    assert quiet[0].title.startswith("The caller did not answer")


def test_silent_bot_is_dead_air():
    heard = [line(9.0, "heard", begin=begin, end=begin + 1) for begin in (0.7, 8.2)]
    finding = found(*heard, closed(9.0))[0]

    assert (finding.severity, finding.at) == (Severity.BAD, 1.7)
    assert finding.title == "Dead air: nobody was heard for 6.5 s"


def test_slow_greeting_is_told():
    told = titles(line(9.0, "heard", begin=3.5, end=4.0), closed(9.0))

    assert told == ["The caller waited 3.0 s for the greeting, 3.0 s of it for: pipeline"]


@pytest.mark.parametrize(
    ("trouble", "title"),
    [
        (line(3.0, "ended", reason="line lost", detail="x"), "The line was lost"),
        (line(3.0, "underrun", seconds=0.3), "A hole in the bot's sentences, 0.3 s"),
        (line(3.0, "stalled", seconds=0.9), "This process stood still for 0.9 s (1 time in all)"),
        (line(3.0, "gap", what="gap", seconds=0.5), "The caller's audio did not come whole: a gap"),
        (line(3.0, "line", received=9, longest_wait=0.8), "The network stalled: no audio came"),
        (line(3.0, "violation", rule="not_json"), "A malformed message came, and was skipped"),
        (line(3.0, "error", processor="LLM#0", exception="TimeoutError"), "LLM#0 reported"),
        (
            line(3.0, "switched", role="tts", vendor="a", successor="b", failure="late"),
            "b took over from a (tts)",
        ),
        (line(3.0, "switched", role="tts", vendor="b", successor="a", failure=None), None),
        (line(3.0, "function_ended", name="f", id=1, failed=True), None),
    ],
)
def test_trouble_is_told(trouble, title):
    told = titles(trouble, closed(4.0))

    assert [text.startswith(title) for text in told] == ([True] if title else [])


def test_stall_of_ours_is_not_the_networks():
    told = titles(
        line(3.0, "stalled", seconds=0.9), line(3.5, "line", longest_wait=0.9), closed(4.0)
    )

    assert len(told) == 1


def test_false_alarms_are_told():
    told = titles(
        line(1.0, "held", left=1.0), line(2.0, "resumed"), closed(4.0),
    )  # fmt: skip

    assert told == ["A false alarm: the bot fell silent, and said on"]


def test_answer_over_the_end_is_nothing_wrong():
    told = found(
        *reply(0.6, "one two"),
        *turn(1.7, 5.6),
        line(1.8, "held", left=0.4),
        line(5.7, "resumed"),
        *reply(6.4, "Hi.", context=1),
        closed(8.0),
    )

    assert told == []


def test_slow_words_are_no_false_alarm():
    told = titles(
        *reply(1.0, "one two three four five six seven eight", heard=6),
        line(1.5, "held", left=2.0),
        line(1.56, "vad_started", after=0.16),
        line(2.6, "vad_stopped", after=0.6),
        line(3.0, "resumed"),
        line(4.0, "transcript", words=1, text="no"),
        line(4.0, "interrupted"),
        closed(4.5),
    )

    assert told == [
        "The bot said on over a caller whose words came late",
        "The caller interrupted the bot: 2 words never heard",
    ]


def test_words_cut_off_are_counted():
    told = found(*reply(1.0, "one two three four", heard=2), line(2.2, "interrupted"), closed(4.0))

    assert told[0].severity is Severity.NOTE
    assert told[0].title == "The caller interrupted the bot: 2 words never heard"


def test_speech_without_words_is_told():
    told = titles(
        line(1.2, "vad_started", after=0.2), line(3.0, "vad_stopped", after=0.6), closed(4.0)
    )

    assert told == ["The caller spoke, and no words came of it"]


def test_failed_function_is_bad():
    told = found(
        line(1.0, "function_started", name="book", id=1),
        line(2.0, "function_ended", name="book", id=1, failed=True),
        closed(4.0),
    )

    assert (told[0].title, told[0].severity) == ("The function book failed", Severity.BAD)


def test_worst_comes_first():
    severities = [
        finding.severity
        for finding in found(
            line(1.0, "held", left=1.0),
            line(1.5, "resumed"),
            line(2.0, "stalled", seconds=0.5),
            line(3.0, "ended", reason="error", detail="x"),
            closed(4.0),
        )
    ]

    assert severities == [Severity.BAD, Severity.WARNING, Severity.NOTE]


def test_log_without_an_end_is_told():
    assert titles(line(1.0, "line"))[0].startswith("The log ends in the middle")


def test_lost_lines_are_told():
    assert titles(closed(2.0) | {"dropped": 7}) == [
        "The log is not whole: 7 lines dropped, 0 unreadable"
    ]


def test_times_are_as_people_write_them():
    assert [clock_text(at) for at in (0.04, 9.96, 62.5, 3600)] == [
        "0:00.0", "0:10.0", "1:02.5", "60:00.0",
    ]  # fmt: skip


def test_words_that_come_late_are_no_false_alarm():
    lines = [
        line(1.0, "bot_started"), line(2.0, "held", left=3.0),
        *turn(2.0, 3.0), line(3.5, "resumed"), closed(9.0),
    ]  # fmt: skip

    (told,) = (title for title in titles(*lines) if "said on" in title)
    assert told == "The bot said on over a caller whose words came late"


def test_short_false_alarm_is_no_fault():
    def severity(until: float) -> Severity:
        lines = [line(1.0, "bot_started"), line(2.0, "held"), line(until, "resumed"), closed(9.0)]
        return next(each for each in found(*lines) if "false alarm" in each.title).severity

    assert severity(2.5) is Severity.NOTE
    assert severity(4.5) is Severity.WARNING
