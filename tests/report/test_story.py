from tests.report.logs import closed, line, log_of, reply, turn
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
