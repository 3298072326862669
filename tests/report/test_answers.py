import pytest

from tests.report.logs import closed, line, log_of, reply, turn
from twilio_frames.report.answers import Answer, Part, answers
from twilio_frames.report.story import tell


def answers_of(*lines) -> list[Answer]:
    return answers(tell(log_of(*lines, closed(20.0))))


def test_time_is_split_by_who_had_it():
    answer = answers_of(*turn(1.0, 2.0), *reply(2.83, "Hi.", llm=0.5))[0]

    assert answer.seconds == pytest.approx(1.48)
    assert answer.slowest is Part.END_OF_TURN
    assert answer.parts == pytest.approx(
        {
            Part.END_OF_TURN: 0.6,
            Part.STT: 0.2,
            Part.LLM: 0.5,
            Part.FUNCTIONS: 0.0,
            Part.TTS: 0.1,
            Part.PIPELINE: 0.03 + 0.03,
            Part.LINE: 0.02,
        }
    )


@pytest.mark.parametrize("llm", [0.0, 0.3, 5.0])
def test_parts_are_all_of_it(llm: float):
    answer = answers_of(*turn(1.0, 2.0), *reply(2.8, "Hi.", llm=llm))[0]

    assert sum(answer.parts.values()) == pytest.approx(answer.seconds)


def test_function_call_has_its_share():
    answer = answers_of(
        *turn(1.0, 2.0),
        line(2.9, "function_started", name="look_up", id=1),
        line(4.4, "function_ended", name="look_up", id=1, failed=False),
        *reply(2.8, "Hi.", llm=2.0),
    )[0]

    assert answer.parts[Part.FUNCTIONS] == pytest.approx(1.5)
    assert answer.parts[Part.LLM] == pytest.approx(0.5)


def test_greeting_counts_from_the_call():
    greeting = answers_of(*reply(0.6, "Hello."), *turn(3.0, 4.0))[0]

    assert greeting.is_greeting
    assert (greeting.began_at, greeting.heard_at) == (0.5, 0.75)


def test_turn_without_an_answer_has_no_time():
    silent = answers_of(*turn(1.0, 2.0), *turn(8.0, 9.0))[0]

    assert (silent.seconds, silent.parts) == (None, {})


def test_spoken_words_without_an_llm_are_no_ones_fault():
    greeting = answers_of(
        line(1.5, "said", context=0, words=1, text="Hi."),
        line(9.0, "heard", begin=1.6, end=2.0),
        line(9.0, "sent", begin=1.6, end=2.0),
    )[0]

    assert greeting.parts[Part.LLM] == 0.0
    assert greeting.parts[Part.PIPELINE] == pytest.approx(1.1)


def late_words(*, over_the_bot: bool) -> list[dict]:
    """The caller speaks from 1 s to 2 s, and is understood at 5 s only."""
    turned = [line(1.17, "turn_started"), line(3.0, "turn_stopped")]
    return [
        *(reply(0.4, "a b c d e f g h", heard=6) if over_the_bot else turned),
        line(1.16, "vad_started", after=0.16),
        line(2.6, "vad_stopped", after=0.6),
        line(5.0, "transcript", words=1, text="no"),
        line(5.0, "turn_started"),
        line(5.01, "turn_stopped"),
        *reply(5.02, "Hi.", context=1),
    ]


@pytest.mark.parametrize("over_the_bot", [True, False])
def test_answer_to_late_words_is_counted_from_the_voice(over_the_bot: bool):
    answer = answers_of(*late_words(over_the_bot=over_the_bot))[-1]

    assert answer.began_at == pytest.approx(2.0)
    assert answer.seconds == pytest.approx(5.17 - 2.0)
    assert answer.parts[Part.STT] == pytest.approx(2.4)
    assert sum(answer.parts.values()) == pytest.approx(answer.seconds)
