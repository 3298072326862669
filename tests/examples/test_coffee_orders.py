import pytest

from twilio_frames.examples.coffee_shop import menu
from twilio_frames.examples.coffee_shop.orders import NONE, Order, listed, with_article


def test_slots_name_only_what_was_said():
    order = Order(drink="latte", milk="some soy milk", sweetener=NONE)

    assert order.slots() == {
        "coffeeDrink": "latte",
        "milkAmount": "some soy milk",
        "sugarAmount": "none",
    }


def test_update_keeps_what_is_not_mentioned():
    order = Order(drink="latte", size="small")

    assert order.updated(Order(size="large")) == Order(drink="latte", size="large")


def test_order_without_details_is_false():
    assert not Order()
    assert Order(sweetener=NONE)


@pytest.mark.parametrize(
    ("said", "usual"),
    [
        (
            Order(drink="latte", size="large"),
            Order(shots="double shot", milk="whole milk", sweetener=NONE),
        ),
        (
            Order(drink="americano", size="small"),
            Order(shots="single shot", milk=NONE, sweetener=NONE),
        ),
        (
            Order(drink="espresso", size="large"),
            Order(shots="single shot", milk=NONE, sweetener=NONE),
        ),
        (
            Order(drink="coffee", size="large"),
            Order(roast="medium roast", milk=NONE, sweetener=NONE),
        ),
    ],
)
def test_usual_fills_what_was_not_said(said: Order, usual: Order):
    assert said.completed() == said.updated(usual)


def test_usual_never_overrides_what_was_said():
    order = Order(
        drink="coffee",
        size="small",
        roast="dark roast",
        shots="triple shot",
        milk="cream",
        sweetener="sugar",
    )

    assert order.completed() == order


@pytest.mark.parametrize(
    ("order", "spoken"),
    [
        (Order(drink="latte"), "a latte"),
        (Order(drink="americano"), "an americano"),
        (Order(drink="latte", size="eight ounce"), "an eight ounce latte"),
        (Order(drink="iced coffee", size="large"), "a large iced coffee"),
        (Order(size="large"), "a large drink"),
        (
            Order(drink="coffee", size="medium", roast="medium roast"),
            "a medium coffee, medium roast",
        ),
        (
            Order(drink="coffee", roast="dark roast", milk="some milk"),
            "a coffee, dark roast, with some milk",
        ),
        (
            Order(drink="mocha", shots="double shot", milk=NONE),
            "a mocha with a double shot and no milk",
        ),
        (Order(drink="mocha", milk=NONE, sweetener=NONE), "a mocha with no milk or sugar"),
        (Order(drink="mocha", milk=NONE, sweetener="honey"), "a mocha with honey and no milk"),
        (
            Order(
                drink="americano",
                size="large",
                roast="dark roast",
                shots="triple shot",
                milk="a little bit of soy milk",
                sweetener=NONE,
            ),
            "a large americano, dark roast, with a triple shot, a little bit of soy milk, "
            "and no sugar",
        ),
    ],
)
def test_order_is_said_in_english(order: Order, spoken: str):
    assert order.spoken() == spoken


@pytest.mark.parametrize(
    ("items", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b, and c")],
)
def test_list_reads_as_english(items: list[str], said: str):
    assert listed(items) == said


def test_conjunction_can_be_chosen():
    assert listed(["a", "b", "c"], "or") == "a, b, or c"


def test_article_follows_first_sound():
    assert with_article("espresso") == "an espresso"
    assert with_article("latte") == "a latte"


def test_kinds_of_drinks_are_on_the_menu():
    assert set(menu.DRINKS.values()) >= menu.MILKY_DRINKS | menu.BREWED_DRINKS


@pytest.mark.parametrize(
    "table",
    [menu.DRINKS, menu.SIZES, menu.ROASTS, menu.SHOTS, menu.MILKS, menu.SWEETENERS, menu.AMOUNTS],
)
def test_every_value_can_be_said_as_it_is(table: dict[str, str]):
    assert set(table.values()) <= set(table)
    assert all(word.replace("'", "").isalpha() for said in table for word in said.split())
