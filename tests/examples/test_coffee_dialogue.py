import pytest

from twilio_frames.examples.coffee_shop import lines
from twilio_frames.examples.coffee_shop.dialogue import Dialogue, Outcome, State
from twilio_frames.examples.coffee_shop.orders import NONE, Order
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE


def hold(transcript: str) -> Dialogue:
    """Holds a conversation, and compares each of the shop's replies with its line (``< ``)."""
    dialogue = Dialogue()
    reply = dialogue.greeting()
    for line in transcript.strip().splitlines():
        speaker, words = line.strip().split(" ", 1)
        if speaker == ">":
            reply = dialogue.answer("" if words == "(silence)" else words)
        else:
            assert (reply.text, reply.ends_call) == (words, dialogue.state is State.ENDED)
    return dialogue


def test_order_in_small_steps():
    dialogue = hold(
        """
        < Hello, and welcome to the coffee shop. What can I get you?
        > a latte please
        < Okay, a latte. What size would you like: small, medium, or large?
        > large
        < Okay, a large latte. Any special milk, or sugar?
        > no thanks
        < Okay. So that's a large latte with a double shot, whole milk, and no sugar. Is that right?
        > yes
        < Thank you. Your large latte will be ready in ten minutes. Goodbye!
        """
    )

    assert dialogue.confirmed
    assert dialogue.outcome is Outcome.ORDERED
    assert dialogue.order == Order(drink="latte", size="large", sweetener=NONE)


def test_order_in_one_breath():
    dialogue = hold(
        """
        > can I get an eight ounce dark roast americano with a triple shot and some soy milk
        < Okay. So that's an eight ounce americano, dark roast, with a triple shot, some soy milk, \
and no sugar. Is that right?
        > that's right thank you goodbye
        < Thank you. Your eight ounce americano will be ready in ten minutes. Goodbye!
        """
    )

    assert dialogue.confirmed


def test_size_ahead_of_drink():
    hold(
        """
        > something large please
        < Okay. And which drink would you like?
        > coffee
        < Okay, a large coffee. Any milk or sugar?
        > black
        < Okay. So that's a large coffee, medium roast, with no milk or sugar. Is that right?
        """
    )


def test_correction_over_read_back():
    dialogue = hold(
        """
        > a small latte with sugar
        < Okay. So that's a small latte with a single shot, whole milk, and sugar. Is that right?
        > actually make that a large
        < Okay, I changed that. So that's a large latte with a double shot, whole milk, and sugar. \
Is that right?
        > yes
        """
    )

    assert dialogue.confirmed
    assert dialogue.order == Order(drink="latte", size="large", sweetener="sugar")


def test_correction_before_read_back():
    hold(
        """
        > a latte
        > actually make that a mocha
        < Okay, a mocha. What size would you like: small, medium, or large?
        > large
        > no wait make it small
        < Okay, a small mocha. Any special milk, or sugar?
        """
    )


def test_correction_after_goodbye():
    dialogue = hold(
        """
        > a small latte with sugar
        > yes
        < Thank you. Your small latte will be ready in ten minutes. Goodbye!
        > actually make that a large
        < Okay, I changed that. So that's a large latte with a double shot, whole milk, and sugar. \
Is that right?
        """
    )

    assert not dialogue.confirmed
    assert dialogue.outcome is None


def test_yes_with_change_is_read_back():
    dialogue = hold(
        """
        > a small latte with sugar
        > yes and some oat milk
        < Okay, I changed that. So that's a small latte with a single shot, some oat milk, \
and sugar. Is that right?
        """
    )

    assert not dialogue.confirmed


def test_yes_with_same_order_confirms():
    dialogue = hold(
        """
        > a small latte with sugar
        > yes a small latte
        """
    )

    assert dialogue.confirmed


def test_no_asks_what_to_change():
    hold(
        """
        > a small latte with sugar
        > no
        < What would you like to change?
        > the size
        < What size would you like: small, medium, or large?
        > medium
        < Okay, I changed that. So that's a medium latte with a double shot, whole milk, \
and sugar. Is that right?
        """
    )


def test_no_with_correction_changes_at_once():
    hold(
        """
        > a small latte with sugar
        > no I said a mocha
        < Okay, I changed that. So that's a small mocha with a single shot, whole milk, \
and sugar. Is that right?
        """
    )


def test_never_mind_keeps_order():
    hold(
        """
        > a small latte with sugar
        > no
        > never mind
        < All right. So that's a small latte with a single shot, whole milk, and sugar. \
Is that right?
        """
    )


def test_medium_answers_question_about_roast():
    dialogue = hold(
        """
        > a large coffee with milk
        > the roast
        < Which roast would you like: light roast, medium roast, or dark roast?
        > medium
        """
    )

    assert dialogue.order == Order(drink="coffee", size="large", roast="medium roast", milk="milk")


def test_yes_to_extras_asks_which():
    hold(
        """
        > a small americano
        < Okay, a small americano. Any milk or sugar?
        > yes please
        < What would you like in it? You can say, for example, oat milk and some sugar.
        > oat milk
        < Okay. So that's a small americano with a single shot, oat milk, and no sugar. \
Is that right?
        """
    )


@pytest.mark.parametrize(
    "refusal", ["no", "no thanks", "nothing", "that's all", "no milk or sugar", "just black"]
)
def test_extras_are_refused_in_many_ways(refusal: str):
    dialogue = hold(f"> a small americano\n> {refusal}")

    assert dialogue.state is State.CONFIRM
    assert dialogue.order.completed().milk == dialogue.order.completed().sweetener == NONE


def test_reply_is_repeated():
    hold(
        """
        > a latte
        > sorry can you repeat that
        < Okay, a latte. What size would you like: small, medium, or large?
        """
    )


@pytest.mark.parametrize(
    ("heard", "choices"),
    [
        ([], "We have coffee, americano"),
        (["a latte"], "We have small, medium, and large."),
        (["a large latte"], "We have whole, skim, soy"),
        (["a large latte with sugar"], "If the order is right, say yes."),
        (["one", "two", "three"], "You can say, speak to a person"),
    ],
)
def test_help_fits_the_question(heard: list[str], choices: str):
    dialogue = Dialogue()
    for words in heard:
        dialogue.answer(words)
    before = dialogue.state

    reply = dialogue.answer("help")

    assert reply.text.startswith(choices)
    assert dialogue.state is before


def test_question_about_roast_is_answered():
    reply = Dialogue().answer("what roasts do you have")

    assert reply.text == "We have a light roast, a medium roast, and a dark roast."


@pytest.mark.parametrize(
    "heard", [[], ["a latte"], ["a large latte"], ["a large latte with sugar"]]
)
@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("goodbye", Outcome.GOODBYE),
        ("can I speak to a person", Outcome.PERSON),
        ("cancel my order", Outcome.CANCELLED),
    ],
)
def test_call_can_end_at_any_time(heard: list[str], words: str, outcome: Outcome):
    dialogue = Dialogue()
    for said in heard:
        dialogue.answer(said)

    reply = dialogue.answer(words)

    assert reply.ends_call
    assert dialogue.outcome is outcome
    assert not dialogue.confirmed


def test_goodbye_after_order_keeps_it():
    dialogue = hold(
        """
        > a small latte with sugar
        > yes
        > thanks bye
        < Goodbye!
        """
    )

    assert dialogue.confirmed
    assert dialogue.outcome is Outcome.ORDERED


def test_order_can_be_cancelled_after_it_was_taken():
    dialogue = hold(
        """
        > a small latte with sugar
        > yes
        > cancel my order
        < Okay, I have cancelled that. Goodbye!
        """
    )

    assert not dialogue.confirmed


def test_start_over_forgets_order():
    dialogue = hold(
        """
        > a small latte with sugar
        > start over
        < Okay, let's start again. What can I get you?
        """
    )

    assert not dialogue.order


def test_hello_is_answered():
    hold("> hello\n< Hello. What can I get you?")


def test_thanks_are_answered():
    hold("> a latte\n> thanks\n< You're welcome. Please say small, medium, or large.")


def test_nonsense_is_said_to_be_so():
    dialogue = hold(
        f"""
        > a latte
        > {UNINTELLIGIBLE}
        < Sorry, I didn't catch that. Please say small, medium, or large.
        > the weather is fine
        < I'm sorry, I still didn't understand. Please say small, medium, or large.
        > {UNINTELLIGIBLE}
        < I'm sorry, I have trouble understanding you. Would you like to speak to a person? \
Please say yes or no.
        > no
        < All right. What size would you like: small, medium, or large?
        """
    )

    assert dialogue.order == Order(drink="latte")


def test_person_is_offered_and_taken():
    dialogue = hold(f"> {UNINTELLIGIBLE}\n" * 3 + f"> yes\n< {lines.PASSED_ON}")

    assert dialogue.outcome is Outcome.PERSON


def test_endless_nonsense_ends_with_person():
    dialogue = hold(f"> {UNINTELLIGIBLE}\n" * 4 + f"< {lines.PASSED_ON_UNASKED}")

    assert dialogue.outcome is Outcome.PERSON


def test_order_after_offer_goes_on():
    unheard = f"> {UNINTELLIGIBLE}\n" * 3

    hold(f"{unheard}> a large latte\n< Okay, a large latte. Any special milk, or sugar?")


def test_nonsense_is_forgotten_once_understood():
    hold(
        f"""
        > {UNINTELLIGIBLE}
        > {UNINTELLIGIBLE}
        > a latte
        > {UNINTELLIGIBLE}
        < Sorry, I didn't catch that. Please say small, medium, or large.
        """
    )


def test_silence_is_asked_about_and_ends():
    dialogue = hold(
        """
        > (silence)
        < Are you still there? Which drink would you like? You can say, for example, a large latte.
        > (silence)
        < Sorry, I can't hear you. Which drink would you like? You can say, for example, a large \
latte.
        > (silence)
        < I can't hear you, so I'll hang up. Please call again. Goodbye!
        """
    )

    assert dialogue.outcome is Outcome.SILENCE


def test_words_end_silence():
    hold(
        """
        > (silence)
        > (silence)
        > a latte
        > (silence)
        < Are you still there? Please say small, medium, or large.
        """
    )
