"""What the shop sells, in the words callers use for it.

Every mapping goes from what is said to the value it means, so one value may be said in several
ways. The recogniser's grammar and the parser of orders both read these tables: a word added here
is both heard and understood. All words are lower case, without digits or punctuation.
"""

from collections.abc import Mapping

__all__ = [
    "AMOUNTS",
    "BREWED_DRINKS",
    "DRINKS",
    "MILKS",
    "MILKY_DRINKS",
    "NO_MILK",
    "NO_MILK_OR_SWEETENER",
    "NO_SWEETENER",
    "ROASTS",
    "SHOTS",
    "SIZES",
    "SWEETENERS",
    "VOCABULARY",
]


def _said_as_it_is(*values: str) -> dict[str, str]:
    return {value: value for value in values}


DRINKS: Mapping[str, str] = {
    **_said_as_it_is(
        "americano",
        "cappuccino",
        "espresso",
        "flat white",
        "latte",
        "macchiato",
        "mocha",
        "coffee",
        "drip coffee",
        "house coffee",
        "iced americano",
        "iced coffee",
        "iced latte",
        "iced mocha",
    ),
    "house blend": "house coffee",
    "filter coffee": "drip coffee",
    "regular coffee": "coffee",
    "cafe latte": "latte",
}

MILKY_DRINKS: frozenset[str] = frozenset(
    ("cappuccino", "flat white", "latte", "macchiato", "mocha", "iced latte", "iced mocha")
)
"""Drinks that are made with milk, whatever the caller adds."""

BREWED_DRINKS: frozenset[str] = frozenset(("coffee", "drip coffee", "house coffee", "iced coffee"))
"""Drinks that are brewed, not pulled as shots of espresso."""

SIZES: Mapping[str, str] = {
    **_said_as_it_is(
        "small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce", "twenty ounce"
    ),
    "regular size": "medium",
    "medium size": "medium",
    "small size": "small",
    "large size": "large",
    "eight ounces": "eight ounce",
    "twelve ounces": "twelve ounce",
    "sixteen ounces": "sixteen ounce",
    "twenty ounces": "twenty ounce",
}

ROASTS: Mapping[str, str] = {
    **_said_as_it_is("light roast", "medium roast", "dark roast"),
    "lightly roasted": "light roast",
    "dark roasted": "dark roast",
}

SHOTS: Mapping[str, str] = {
    **_said_as_it_is("single shot", "double shot", "triple shot"),
    "one shot": "single shot",
    "two shots": "double shot",
    "three shots": "triple shot",
    "single": "single shot",
    "double": "double shot",
    "triple": "triple shot",
}

MILKS: Mapping[str, str] = {
    **_said_as_it_is(
        "milk", "skim milk", "whole milk", "soy milk", "almond milk", "oat milk", "cream"
    ),
    "skimmed milk": "skim milk",
    "soya milk": "soy milk",
}

SWEETENERS: Mapping[str, str] = _said_as_it_is("sugar", "brown sugar", "sweetener", "honey")

AMOUNTS: Mapping[str, str] = {
    **_said_as_it_is("a bit of", "a little bit of", "some", "lots of", "a lot of", "extra"),
    "a little": "a little bit of",
    "a splash of": "a bit of",
}
"""What may stand before a milk or a sweetener. The value keeps the caller's own words."""

NO_MILK_OR_SWEETENER: tuple[str, ...] = (
    "no milk or sugar",
    "no milk and no sugar",
    "no milk no sugar",
    "without milk or sugar",
    "without milk and sugar",
)

NO_MILK: tuple[str, ...] = ("no milk", "without milk", "no cream", "without cream", "black")

NO_SWEETENER: tuple[str, ...] = (
    "no sugar",
    "without sugar",
    "no sweetener",
    "without sweetener",
    "unsweetened",
)

VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        ["yes", "no", "that's all", "goodbye"]
        + [
            value
            for said in (SIZES, DRINKS, ROASTS, SHOTS, AMOUNTS, MILKS, SWEETENERS)
            for value in said.values()
        ]
    )
)
"""What to expect, for a recogniser that knows all words: answers of a word, and the menu."""
