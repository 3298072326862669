import pytest

from tests.report.logs import closed, line, log_of, reply, turn
from twilio_frames.report.findings import findings
from twilio_frames.report.story import Ending, Span, tell


def test_vad_times_are_taken_back():
    story = tell(log_of(*turn(1.0, 2.0), closed(9.0)))

    assert [round(edge, 3) for edge in story.utterances[0].span] == [1.0, 2.0]
    assert story.utterances[0].text == "hello there"


def test_words_that_were_not_heard_are_told():
    story = tell(
        log_of(
            *reply(1.0, "one two three four", heard=2),
            line(2.2, "interrupted"),
            closed(9.0),
        )
    )

    assert [word.text for word in story.replies[0].heard] == ["one", "two"]
    assert story.replies[0].unheard == "three four"
    assert story.replies[0].was_cut


def test_reply_heard_whole_is_not_cut():
    story = tell(log_of(*reply(1.0, "one two"), line(5.0, "interrupted"), closed(9.0)))

    assert story.replies[0].unheard == ""
    assert not story.replies[0].was_cut


def test_holds_end_one_way_or_the_other():
    story = tell(
        log_of(
            line(1.0, "held", left=2.0),
            line(2.0, "resumed"),
            line(3.0, "held", left=None),
            line(3.5, "interrupted"),
            line(8.0, "held", left=None),
            closed(9.0),
        )
    )

    assert [hold.ending for hold in story.holds] == [
        Ending.RESUMED,
        Ending.INTERRUPTED,
        Ending.OPEN,
    ]
    assert story.holds[2].span == Span(8.0, 9.0)


def test_interruption_of_silence_is_none():
    """Pipecat interrupts at every turn; only a bot that is heard is interrupted."""
    story = tell(log_of(*reply(1.0, "one two"), *turn(4.0, 5.0), line(4.2, "interrupted")))

    assert story.interruptions == []


def test_backchannel_is_marked():
    story = tell(
        log_of(
            line(1.16, "vad_started", after=0.16),
            line(2.0, "vad_stopped", after=0.6),
            line(2.1, "transcript", words=1, text="mhm"),
            line(2.11, "backchannel", words=1, text="mhm"),
        )
    )

    assert story.utterances[0].was_backchannel
    assert story.utterances[0].text == "mhm"


def test_function_runs_to_its_result():
    story = tell(
        log_of(
            line(1.0, "function_started", name="look_up", id=1),
            line(2.5, "function_ended", name="look_up", id=1, failed=True),
        )
    )

    assert (story.functions[0].span, story.functions[0].failed) == (Span(1.0, 2.5), True)


def test_stock_pipeline_knows_what_was_said():
    """Without the package's transport nobody says what was heard."""
    story = tell(
        log_of(
            line(1.0, "said", context=0, words=2, text="Hello there."),
            line(1.2, "bot_started"),
            line(2.2, "bot_stopped"),
        )
    )

    assert story.heard == [Span(1.2, 2.2)]
    assert not story.knows_ear
    assert (story.replies[0].is_known, story.replies[0].unheard) == (False, "")


def test_words_left_out_are_counted():
    story = tell(
        log_of(line(1.0, "said", context=0, words=3), line(2.0, "word", context=0, words=1))
    )

    assert (story.replies[0].text, story.replies[0].words) == ("", 3)
    assert len(story.replies[0].heard) == 1


def test_answer_to_the_last_word_is_no_interruption():
    spoken = [*reply(1.0, "one two"), line(1.0, "heard", begin=1.0, end=2.1)]
    story = tell(log_of(*spoken, line(2.1, "interrupted"), closed(9.0)))

    assert story.interruptions == []


def test_hold_with_nothing_left_to_say_ends_in_no_interruption():
    def held(left: float | None):
        lines = [line(1.9, "held", left=left), line(2.0, "interrupted"), closed(9.0)]
        return tell(log_of(*reply(1.0, "one two three four", heard=2), *lines))

    assert held(0.0).interruptions == []
    assert held(1.2).interruptions == [2.0]
    assert held(None).interruptions == [2.0]


def answer_over_the_end(left: float | None, ending: str) -> list[dict]:
    """The bot is held on its last sound, when all its words have been heard."""
    held = [line(2.2, "held", left=left), line(3.6, ending)]
    return [*reply(1.0, "one two"), *turn(2.1, 3.0), *held, closed(9.0)]


@pytest.mark.parametrize("ending", ["resumed", "interrupted"])
def test_answer_over_the_last_sound_is_no_interruption(ending: str):
    story = tell(log_of(*answer_over_the_end(0.4, ending)))

    assert story.interruptions == []
    assert [hold.ending for hold in story.holds] == [Ending.OVER]


def test_hold_with_nothing_left_is_no_false_alarm():
    """What a voice says may come without its words."""
    story = tell(log_of(line(2.2, "held", left=0.1), line(6.0, "resumed"), closed(9.0)))

    assert [hold.ending for hold in story.holds] == [Ending.OVER]


def test_interruption_of_a_reply_still_being_made_is_one():
    story = tell(
        log_of(
            *(each for each in reply(1.0, "one two") if each["kind"] != "llm_stopped"),
            line(2.0, "held", left=0.4),
            line(2.1, "interrupted"),
            line(2.2, "llm_stopped", pieces=3),
            closed(9.0),
        )
    )

    assert story.interruptions == [2.1]


def test_words_that_come_late_are_no_false_alarm():
    story = tell(
        log_of(
            *reply(1.0, "one two three four five six seven eight", heard=6),
            line(1.5, "held", left=2.0),
            line(1.56, "vad_started", after=0.16),
            line(2.6, "vad_stopped", after=0.6),
            line(3.0, "resumed"),
            line(4.0, "transcript", words=1, text="no"),
            line(4.0, "interrupted"),
            closed(9.0),
        )
    )

    assert [hold.ending for hold in story.holds] == [Ending.LATE]
    assert story.interruptions == [4.0]


def test_words_after_the_end_of_a_turn_open_no_other():
    late = [line(5.0, "transcript", words=1, text="no"), line(5.0, "turn_started")]
    story = tell(
        log_of(
            line(1.16, "vad_started", after=0.16),
            line(1.17, "turn_started"),
            line(2.6, "vad_stopped", after=0.6),
            line(3.0, "turn_stopped"),
            *late,
            line(5.01, "turn_stopped"),
            *turn(6.0, 7.0),
            closed(9.0),
        )
    )

    assert [round(span.begin, 2) for span in story.turns] == [1.17, 6.17]
    assert story.turns[0].end == 5.01


def test_words_heard_without_a_text_are_a_reply():
    """A speech-to-speech model has no text that could be told beforehand."""
    heard = [line(at, "word", context=None, words=1, text=f"w{at:g}") for at in (1, 1.5, 8, 8.5)]
    story = tell(log_of(*heard, closed(9.0)))

    assert [(each.made_at, each.text) for each in story.replies] == [(1, "w1 w1.5"), (8, "w8 w8.5")]
    assert all(each.unheard == "" and each.is_known for each in story.replies)


def test_slow_words_belong_to_what_was_said_before_them():
    late = line(12.0, "transcript", words=1, text="no")
    story = tell(log_of(*turn(1.0, 2.0)[:3], late, *turn(20.0, 21.0, "yes"), closed(30.0)))

    assert [each.text for each in story.utterances] == ["no", "yes"]


def test_call_that_was_away_has_a_labelled_gap():
    away = {"for": ["Say", "Dial"]}
    back = {"seconds": 4.0, "dialled": ["busy"], "stream_sid": "MZ2"}
    story = tell(log_of(line(2.0, "away", **away), line(6.0, "back", **back), closed(9.0)))

    (gap,) = story.away
    assert gap.span == Span(2.0, 6.0)
    assert gap.label == "away: Say, Dial (busy)"


def test_call_that_did_not_come_back_is_away_to_its_end():
    story = tell(log_of(line(2.0, "away", **{"for": ["Pause"]}), closed(9.0)))

    assert story.away[0].span == Span(2.0, 9.0)
    assert "did not come back" in story.away[0].label


def test_silence_while_a_call_is_away_is_nobodys():
    logged = log_of(
        *reply(1.0, "one two"),
        line(3.0, "away", **{"for": ["Dial"]}),
        line(60.0, "back", seconds=57.0, dialled=[], stream_sid="MZ2"),
        *reply(60.5, "three"),
        closed(64.0),
    )

    assert not [each for each in findings(tell(logged), []) if "ilence" in each.title]
