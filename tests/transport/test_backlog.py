from twilio_frames.transport.input import LONGEST_SECS, Backlog


def test_nobody_speaks_longer_than_the_line_is_up():
    backlog = Backlog(now=100.0)

    assert backlog.take(LONGEST_SECS, 100.0)
    assert not backlog.take(0.02, 100.0)
    assert backlog.take(1.0, 101.0)
    assert backlog.left_out == 0.02


def test_audio_at_speech_pace_is_taken_for_good():
    """Also where nobody ever answers: not every pipeline has our output behind our input."""
    backlog = Backlog(now=0.0)

    assert all(backlog.take(0.02, number * 0.02) for number in range(50 * 3600))
    assert backlog.left_out == 0.0


def test_pipeline_that_is_behind_is_given_no_more():
    backlog, question = Backlog(now=0.0), None
    for second in range(100):
        if backlog.take(1.0, second) and backlog.is_due:
            asked = backlog.question()
            # It answers the first question, and is stuck at the second.
            if question is None:
                question = asked
                question.passed()

    assert 0 < 100 - backlog.left_out <= LONGEST_SECS + 10


def test_pipeline_that_has_caught_up_hears_again():
    backlog = Backlog(now=0.0)
    backlog.take(5.0, 5.0)
    assert backlog.is_due
    first = backlog.question()
    first.passed()
    backlog.take(10.0, 15.0)
    assert backlog.is_due
    second = backlog.question()
    for second_of_call in range(15, 60):
        backlog.take(1.0, second_of_call)
    assert not backlog.take(1.0, 60)

    second.passed()

    assert backlog.take(1.0, 61)


def test_one_question_is_out_at_a_time():
    backlog = Backlog(now=0.0)
    backlog.take(30.0, 0.0)
    assert backlog.is_due
    question = backlog.question()
    backlog.take(30.0, 60.0)
    assert not backlog.is_due
    question.passed()
    assert backlog.is_due
