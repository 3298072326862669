"""What callers say next to a coffee shop, as a grammar for a recogniser (JSGF).

Everything it can generate is read by ``understanding.understand``: both are made from the same
tables of the menu and the phrase book. Numbers between slashes are how often one alternative is
said relative to its neighbours. Words joined by an underscore are said in one breath, which the
recogniser treats as one word (``a_lot_of``).
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from twilio_frames.examples.coffee_shop import menu, phrases

__all__ = ["PRONUNCIATIONS", "coffee_grammar"]

PRONUNCIATIONS: Mapping[str, tuple[str, ...]] = {
    "almond": ("AA M AH N D", "AE L M AH N D", "AA L M AH N D", "AO L M AH N D"),
    "americano": ("AH M EH R IH K AA N OW", "AE M EH R IH K AA N OW"),
    "cafe": ("K AE F EY", "K AH F EY"),
    "cappuccino": ("K AE P AH CH IY N OW", "K AA P UW CH IY N OW"),
    "espresso": ("EH S P R EH S OW", "EH K S P R EH S OW"),
    "iced": ("AY S T", "AY S"),
    "latte": ("L AA T EY", "L AE T EY", "L AH T EY"),
    "macchiato": ("M AA K IY AA T OW", "M AE K IY AA T OW"),
    "mocha": ("M OW K AH", "M AA K AH", "M AO K AH"),
    "skimmed": ("S K IH M D",),
    "soya": ("S OY AH",),
    "sweetener": ("S W IY T AH N ER", "S W IY T N ER"),
    "unsweetened": ("AH N S W IY T AH N D",),
}
"""How callers pronounce what dictionaries do not have, or have in one accent only (ARPAbet)."""

_HEADER = "#JSGF V1.0;\ngrammar coffee_shop;\npublic <utterance> = ( <said> ) <closing>;\n"


@cache
def coffee_grammar() -> str:
    """The whole grammar, as JSGF text."""
    rules = {**_words(), **_details(), **_order(), **_talk()}
    return _HEADER + "".join(f"<{name}> = {body};\n" for name, body in rules.items())


def _words() -> dict[str, str]:
    return {
        "drink": _usual_first(menu.DRINKS),
        "size": _usual_first(menu.SIZES),
        "roast": _one_of(menu.ROASTS),
        "shots": _one_of(phrase for phrase in menu.SHOTS if " " in phrase),
        "amount": _one_of(phrase.replace(" ", "_") for phrase in menu.AMOUNTS),
        "milk": _with_amount(menu.MILKS),
        "sweetener": _with_amount(menu.SWEETENERS),
    }


def _details() -> dict[str, str]:
    return {
        "article": _weighted({"a": 5, "an": 2, "one": 1, "the": 0.3, "some": 0.3, "": 3}),
        "before": _in_any_order(("size", "roast", "shots"), stop=4),
        "refused": _one_of((*menu.NO_MILK, *menu.NO_SWEETENER, *menu.NO_MILK_OR_SWEETENER)),
        "additions": _weighted(
            {
                "<milk> [ [ and ] ( <sweetener> | <refused> ) ]": 1,
                "<sweetener> [ [ and ] ( <milk> | <refused> ) ]": 1,
            }
        ),
        "after": _weighted(
            {
                "": 3,
                "( /6/ with | /1/ <NULL> | /0.3/ and ) <additions>": 7,
                "<refused>": 0.5,
                "and <refused>": 0.1,
                "[ with [ a ] ] ( <size> | <roast> | <shots> )": 0.3,
            }
        ),
    }


def _order() -> dict[str, str]:
    return {
        "greeting": _one_of(phrases.GREETINGS),
        "carrier": _carriers(),
        "opening": _weighted(
            {
                "<greeting>": 0.2,
                "<carrier>": 9,
                "": 3,
                "<greeting> <carrier>": 0.5,
                "<changing>": 1,
            }
        ),
        "changing": _weighted(
            {
                _one_of(phrase for phrase in phrases.CORRECTIONS if phrase != "instead"): 4,
                "change <topic> to": 1,
                "no ( i said | i meant )": 1,
                "<no>": 1,
                "<yes>": 0.3,
            }
        ),
        "topic": _one_of(phrases.TOPICS),
        "closing": _weighted({"": 9, "please": 1, "thanks": 0.2, "thank you": 0.2, "instead": 0.1}),
        "order": "<article> <before> <drink> <after>",
        "bare": _weighted(
            {
                "<additions>": 2,
                "<refused>": 1,
                "<size> | <roast> | <shots> | single | double | triple": 3,
                "a <size> one": 0.5,
            }
        ),
        "lead": _weighted(
            {"": 6, "a": 2, "just [ a ]": 1, "with [ a ]": 1, "the": 0.5, "and": 0.3}
        ),
    }


def _talk() -> dict[str, str]:
    return {
        "yes": _one_of(phrases.YES),
        "no": _one_of(phrases.NO),
        "intent": _weighted(
            {
                "<yes> [ /0.3/ <yes> ]": 4,
                "<no>": 4,
                _one_of(phrases.NEITHER): 1,
                _one_of(phrases.DONE): 1,
                _one_of(phrases.REPEAT): 1,
                _one_of(phrases.HELP): 1,
                _one_of(phrases.QUESTIONS): 0.5,
                _one_of(phrases.PERSON): 1,
                _one_of(phrases.GOODBYE): 1,
                f"( {_one_of(phrases.THANKS)} ) ( {_one_of(phrases.GOODBYE)} )": 0.5,
                _one_of(phrases.CANCEL): 0.5,
                _one_of(phrases.START_OVER): 0.5,
                "change <topic>": 0.3,
                "<greeting>": 0.5,
                "thanks | thank you": 0.5,
            }
        ),
        "said": _weighted({"<opening> ( /7/ <order> | /3/ <lead> <bare> )": 7, "<intent>": 3}),
    }


def _carriers() -> str:
    """Every carrier of the phrase book, the short commands of a counter more often than others."""
    return _weighted({phrase: 2 if phrase.endswith(" me") else 1 for phrase in phrases.CARRIERS})


def _with_amount(kinds: Iterable[str]) -> str:
    return f"( /6/ <NULL> | /4/ <amount> ) ( {_one_of(kinds)} )"


def _usual_first(phrases: Mapping[str, str]) -> str:
    """The phrases, each the more often for being the name on the menu itself."""
    return _weighted({phrase: 1 if phrase == value else 0.2 for phrase, value in phrases.items()})


def _one_of(said: Iterable[str]) -> str:
    return " | ".join(said)


def _weighted(alternatives: Mapping[str, float]) -> str:
    return " | ".join(
        f"/{weight}/ {_grouped(said) or '<NULL>'}" for said, weight in alternatives.items()
    )


def _grouped(said: str) -> str:
    return f"( {said} )" if " | " in said else said


def _in_any_order(rules: tuple[str, ...], *, stop: int) -> str:
    """Some of the rules, none of them twice, as a tree so that beginnings are shared."""

    def branches() -> Iterator[str]:
        for rule in rules:
            others = tuple(other for other in rules if other != rule)
            yield f"/1/ <{rule}> " + (f"( {_in_any_order(others, stop=2)} )" if others else "")

    return " | ".join((f"/{stop}/ <NULL>", *branches()))
