import io
import re

from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.examples.coffee_shop import menu, phrases
from twilio_frames.examples.coffee_shop.__main__ import chat
from twilio_frames.examples.coffee_shop.dialogue import Dialogue, State
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE

WORDS = (
    *menu.DRINKS,
    *menu.SIZES,
    *menu.MILKS,
    *menu.NO_MILK,
    *menu.NO_SWEETENER,
    *menu.SHOTS,
    *phrases.YES,
    *phrases.NO,
    *phrases.NEITHER,
    *phrases.DONE,
    *phrases.CORRECTIONS,
    *phrases.REPEAT,
    *phrases.HELP,
    *phrases.TOPICS,
    *phrases.QUESTIONS,
    *phrases.GREETINGS,
    *phrases.GOODBYE,
    UNINTELLIGIBLE,
    "",
)
turns = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@given(st.lists(turns, min_size=1, max_size=12))
def test_any_conversation_makes_sense(said: list[str]):
    dialogue = Dialogue()
    for words in said:
        reply = dialogue.answer(words)

        assert reply.text.endswith((".", "?", "!"))
        assert len(reply.text.split()) <= 40
        assert not re.search(r"  |None|none|\ba [aeiou]|\ban [^aeiou]|\.\.", reply.text)
        assert reply.ends_call == (dialogue.state is State.ENDED)
        if dialogue.confirmed:
            assert dialogue.order.drink
            assert dialogue.order.size


@given(st.lists(turns, max_size=6))
def test_order_can_be_finished_from_anywhere(said: list[str]):
    dialogue = Dialogue()
    for words in said:
        dialogue.answer(words)

    dialogue.answer("actually make that a small latte with oat milk")
    dialogue.answer("actually make that a large")
    dialogue.answer("yes")

    assert dialogue.confirmed
    assert dialogue.order.size == "large"


def test_chat_takes_order_at_terminal():
    shop = io.StringIO()

    assert chat(io.StringIO("a large latte with sugar\nyes\n"), shop) == 0
    assert "Your large latte will be ready" in shop.getvalue()


def test_chat_ends_with_its_input():
    assert chat(io.StringIO("a latte\n"), io.StringIO()) == 1
