import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.examples.coffee_shop import menu, phrases
from twilio_frames.examples.coffee_shop.orders import NONE, Order
from twilio_frames.examples.coffee_shop.understanding import (
    UNINTELLIGIBLE,
    Intent,
    Reading,
    understand,
)


@pytest.mark.parametrize(
    ("said", "order"),
    [
        (
            "can I get a large dark roast americano with a triple shot and a little bit of soy "
            "milk please",
            Order(
                drink="americano",
                size="large",
                roast="dark roast",
                shots="triple shot",
                milk="a little bit of soy milk",
            ),
        ),
        (
            "with lots of brown sugar and cream I would like a single shot of twelve ounce "
            "cappuccino medium roast",
            Order(
                drink="cappuccino",
                size="twelve ounce",
                roast="medium roast",
                shots="single shot",
                milk="cream",
                sweetener="lots of brown sugar",
            ),
        ),
        ("a double espresso", Order(drink="espresso", shots="double shot")),
        ("a mocha with two shots", Order(drink="mocha", shots="double shot")),
        ("a medium medium roast latte", Order(drink="latte", size="medium", roast="medium roast")),
        ("an espresso coffee", Order(drink="espresso")),
        ("iced coffee", Order(drink="iced coffee")),
        ("just a coffee", Order(drink="coffee")),
        ("a black coffee", Order(drink="coffee", milk=NONE)),
        ("a latte no sugar", Order(drink="latte", sweetener=NONE)),
        ("a latte without any brown sugar", Order(drink="latte", sweetener=NONE)),
        ("no milk or sugar", Order(milk=NONE, sweetener=NONE)),
        ("no milk and no sugar", Order(milk=NONE, sweetener=NONE)),
        ("no sugar or milk", Order(milk=NONE, sweetener=NONE)),
        ("no almond milk or honey", Order(milk=NONE, sweetener=NONE)),
        ("hold the milk", Order(milk=NONE)),
        ("soy milk instead of whole milk", Order(milk="soy milk")),
        ("a mocha not a latte", Order(drink="mocha")),
        ("not a latte, a coffee", Order(drink="coffee")),
        ("make it dark", Order(roast="dark roast")),
        ("a small no wait a large", Order(size="large")),
        ("16oz iced latte", Order(drink="iced latte", size="sixteen ounce")),
        ("A Café Latte, with 2 sugars.", Order(drink="latte")),
        ("a splash of cream", Order(milk="a bit of cream")),
    ],
)  # fmt: skip
def test_details_are_read(said: str, order: Order):
    assert understand(said).order == order


@pytest.mark.parametrize(
    ("said", "intents"),
    [
        ("yes", {Intent.YES}),
        ("Yes, that's right.", {Intent.YES}),
        ("no", {Intent.NO}),
        ("no thank you", {Intent.NEITHER}),
        ("no that's all thanks", {Intent.DONE}),
        ("actually", {Intent.CORRECTION}),
        ("could you repeat that please", {Intent.REPEAT}),
        ("help", {Intent.HELP}),
        ("I\u2019d like to speak to a person", {Intent.PERSON}),
        ("start over", {Intent.START_OVER}),
        ("hello", {Intent.GREETING}),
        ("thank you", {Intent.THANKS}),
        ("yes thank you", {Intent.YES}),
        ("cancel my order", {Intent.CANCEL}),
        ("okay goodbye", {Intent.YES, Intent.GOODBYE}),
        ("that's not right", {Intent.NO}),
    ],
)
def test_intents_are_read(said: str, intents: set[Intent]):
    assert understand(said) == Reading(intents=frozenset(intents))


def test_correction_carries_its_detail():
    reading = understand("actually make that a large")

    assert reading == Reading(order=Order(size="large"), intents=frozenset({Intent.CORRECTION}))


def test_comma_parts_no_from_milk():
    assert understand("no milk please").order == Order(milk=NONE)

    reading = understand("No, milk please.")

    assert reading == Reading(order=Order(milk="milk"), intents=frozenset({Intent.NO}))


def test_topic_is_no_detail():
    assert understand("the milk") == Reading(topic="milk")


def test_question_is_help_with_topic():
    reading = understand("what kind of milk do you have")

    assert reading == Reading(intents=frozenset({Intent.HELP}), topic="milk")


@pytest.mark.parametrize("said", ["", "   ", UNINTELLIGIBLE, "the weather is fine", "please", "?!"])
def test_nothing_is_read_into_nonsense(said: str):
    assert not understand(said).understood


def test_words_beside_marker_are_read():
    assert understand(f"{UNINTELLIGIBLE} a latte").order == Order(drink="latte")


@pytest.mark.parametrize(
    ("table", "intent"),
    [
        (phrases.YES, Intent.YES),
        (phrases.NO, Intent.NO),
        (phrases.NEITHER, Intent.NEITHER),
        (phrases.DONE, Intent.DONE),
        (phrases.CORRECTIONS, Intent.CORRECTION),
        (phrases.REPEAT, Intent.REPEAT),
        (phrases.HELP, Intent.HELP),
        (phrases.PERSON, Intent.PERSON),
        (phrases.CANCEL, Intent.CANCEL),
        (phrases.GOODBYE, Intent.GOODBYE),
    ],
)
def test_every_phrase_means_one_thing(table: tuple[str, ...], intent: Intent):
    assert {understand(phrase) for phrase in table} == {Reading(intents=frozenset({intent}))}


def values_of(table: "dict[str, str]") -> st.SearchStrategy[tuple[str, str]]:
    return st.sampled_from(sorted(table.items()))


def amounts_of(table: "dict[str, str]") -> st.SearchStrategy[tuple[str, str]]:
    with_amount = st.tuples(values_of(dict(menu.AMOUNTS)), values_of(table)).map(
        lambda pair: (f"{pair[0][0]} {pair[1][0]}", f"{pair[0][1]} {pair[1][1]}")
    )
    return values_of(table) | with_amount


@given(
    drink=values_of(dict(menu.DRINKS)),
    size=values_of(dict(menu.SIZES)),
    roast=values_of(dict(menu.ROASTS)),
    shots=values_of(dict(menu.SHOTS)),
    milk=amounts_of(dict(menu.MILKS)),
    sweetener=amounts_of(dict(menu.SWEETENERS)),
    carrier=st.sampled_from(phrases.CARRIERS),
    order=st.permutations(range(5)),
)
def test_details_are_read_in_any_order(
    drink: tuple[str, str],
    size: tuple[str, str],
    roast: tuple[str, str],
    shots: tuple[str, str],
    milk: tuple[str, str],
    sweetener: tuple[str, str],
    carrier: str,
    order: list[int],
):
    details = [
        f"a {drink[0]}",
        f"{roast[0]}",
        f"a {shots[0]}",
        f"with {milk[0]}",
        f"and {sweetener[0]}",
    ]
    said = " ".join([carrier, "a", size[0], "one", *(details[place] for place in order), "please"])

    assert understand(said) == Reading(
        order=Order(
            drink=drink[1],
            size=size[1],
            roast=roast[1],
            shots=shots[1],
            milk=milk[1],
            sweetener=sweetener[1],
        )
    )


@given(st.text())
def test_any_text_is_read(text: str):
    assert isinstance(understand(text), Reading)
