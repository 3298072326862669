"""What a caller meant, from the words that were recognised.

Every phrase of the menu and of the phrase book is looked for in the words from left to right, the
longest first; words between them mean nothing. So the order of details is free, and ``could I get
a large dark roast americano with some soy milk please`` needs no rule of its own.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from itertools import product
from typing import Literal, cast

from twilio_frames.examples.coffee_shop import menu, phrases
from twilio_frames.examples.coffee_shop.orders import NONE, Order

__all__ = ["UNINTELLIGIBLE", "Intent", "Reading", "Slot", "understand"]

UNINTELLIGIBLE = "[unintelligible]"
"""What a recogniser puts in place of speech it does not want to guess at."""

Slot = Literal["drink", "size", "roast", "shots", "milk", "sweetener"]


class Intent(Enum):
    """What a caller does with a phrase, other than giving a detail of the order."""

    YES = "yes"
    NO = "no"
    NEITHER = "neither"
    DONE = "done"
    CORRECTION = "correction"
    REPEAT = "repeat"
    HELP = "help"
    PERSON = "person"
    START_OVER = "start over"
    GREETING = "greeting"
    THANKS = "thanks"
    CANCEL = "cancel"
    GOODBYE = "goodbye"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was understood of one turn of the caller.

    Parameters:
        order: The details mentioned.
        intents: What else the caller did.
        topic: The detail the caller wants to talk about or asks about.
    """

    order: Order = field(default_factory=Order)
    intents: frozenset[Intent] = frozenset()
    topic: Slot | None = None

    @property
    def understood(self) -> bool:
        """Whether anything in the words had a meaning."""
        return bool(self.order or self.intents or self.topic)


def understand(text: str) -> Reading:
    """Reads the words of one caller's turn, in any order and with anything in between.

    Where a detail is mentioned twice the last one counts, except that a plain ``coffee`` never
    takes the place of a drink with a name (``an espresso coffee``).
    """
    order = Order()
    intents: set[Intent] = set()
    topic: Slot | None = None
    for meaning in _meanings(_words(text)):
        if meaning.order.drink == "coffee" and order.drink:
            continue
        order = order.updated(meaning.order)
        intents |= meaning.intents
        topic = meaning.topic or topic
    if order or topic or intents != {Intent.THANKS}:
        intents.discard(Intent.THANKS)
    return Reading(order=order, intents=frozenset(intents), topic=topic)


_SPELLED: Mapping[str, str] = {
    "8": "eight",
    "12": "twelve",
    "16": "sixteen",
    "20": "twenty",
    "oz": "ounce",
}


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.replace(UNINTELLIGIBLE, " ").replace("\u2019", "'"))
    # The comma of "no, milk please" parts the no from the milk; other punctuation says nothing.
    words: list[str] = re.findall(
        r"(?<=\bno),|[a-z]+(?:'[a-z]+)?|\d+", _without_accents(plain).lower()
    )
    return [_SPELLED.get(word, word) for word in words]


def _without_accents(text: str) -> str:
    return "".join(character for character in text if not unicodedata.combining(character))


def _meanings(words: list[str]) -> Iterator[Reading]:
    lexicon, longest = _lexicon(), _longest_phrase()
    start = 0
    while start < len(words):
        for end in range(min(len(words), start + longest), start, -1):
            if (meaning := lexicon.get(tuple(words[start:end]))) is not None:
                yield meaning
                start = end
                break
        else:
            start += 1


@cache
def _lexicon() -> Mapping[tuple[str, ...], Reading]:
    nothing = Reading()
    lexicon = dict.fromkeys((*phrases.CARRIERS, *phrases.COURTESIES), nothing)
    lexicon |= dict.fromkeys(_dismissed_phrases(), nothing)
    for intent, said in _INTENTS.items():
        lexicon |= dict.fromkeys(said, Reading(intents=frozenset((intent,))))
    for phrase, slot in phrases.TOPICS.items():
        lexicon[phrase] = Reading(topic=cast("Slot", slot))
    for phrase, slot in phrases.QUESTIONS.items():
        lexicon[phrase] = Reading(intents=frozenset((Intent.HELP,)), topic=cast("Slot", slot))
    lexicon |= {phrase: Reading(order=order) for phrase, order in _details()}
    return {tuple(phrase.split()): meaning for phrase, meaning in lexicon.items()}


@cache
def _longest_phrase() -> int:
    return max(map(len, _lexicon()))


_INTENTS: Mapping[Intent, tuple[str, ...]] = {
    Intent.YES: phrases.YES,
    Intent.NO: phrases.NO,
    Intent.NEITHER: phrases.NEITHER,
    Intent.DONE: phrases.DONE,
    Intent.CORRECTION: phrases.CORRECTIONS,
    Intent.REPEAT: phrases.REPEAT,
    Intent.HELP: phrases.HELP,
    Intent.PERSON: phrases.PERSON,
    Intent.START_OVER: phrases.START_OVER,
    Intent.GREETING: phrases.GREETINGS,
    Intent.THANKS: phrases.THANKS,
    Intent.CANCEL: phrases.CANCEL,
    Intent.GOODBYE: phrases.GOODBYE,
}

_REFUSALS = ("no", "without", "without any", "hold the", "skip the", "leave out the", "not any")


def _details() -> Iterator[tuple[str, Order]]:
    for phrase, drink in menu.DRINKS.items():
        yield phrase, Order(drink=drink)
    for phrase, size in menu.SIZES.items():
        yield phrase, Order(size=size)
    # Alone, "medium" is a size.
    for phrase, roast in {**menu.ROASTS, "light": "light roast", "dark": "dark roast"}.items():
        yield phrase, Order(roast=roast)
    for phrase, shots in menu.SHOTS.items():
        yield phrase, Order(shots=shots)
    yield from ((phrase, Order(milk=milk)) for phrase, milk in _amounts(menu.MILKS))
    yield from ((phrase, Order(sweetener=kind)) for phrase, kind in _amounts(menu.SWEETENERS))
    yield from _refusals()


def _amounts(kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from kinds.items()
    for (amount, much), (phrase, kind) in product(menu.AMOUNTS.items(), kinds.items()):
        yield f"{amount} {phrase}", f"{much} {kind}"


def _refusals() -> Iterator[tuple[str, Order]]:
    no_milk, no_sweetener = Order(milk=NONE), Order(sweetener=NONE)
    yield from ((phrase, no_milk) for phrase in menu.NO_MILK)
    yield from ((phrase, no_sweetener) for phrase in menu.NO_SWEETENER)
    yield from ((f"{no} {kind}", no_milk) for no, kind in product(_REFUSALS, menu.MILKS))
    yield from ((f"{no} {kind}", no_sweetener) for no, kind in product(_REFUSALS, menu.SWEETENERS))
    neither = replace(no_milk, sweetener=NONE)
    yield from ((phrase, neither) for phrase in menu.NO_MILK_OR_SWEETENER)
    for no, milk, sweetener in product(_REFUSALS, menu.MILKS, menu.SWEETENERS):
        yield f"{no} {milk} or {sweetener}", neither
        yield f"{no} {sweetener} or {milk}", neither


def _dismissed_phrases() -> Iterator[str]:
    """Details that are named only to be turned down, as in ``a mocha, not a latte``."""
    named: Iterable[str] = (
        *menu.DRINKS,
        *menu.SIZES,
        *menu.ROASTS,
        *menu.SHOTS,
        *menu.MILKS,
        *menu.SWEETENERS,
    )
    for dismissal, article, phrase in product(("not", "instead of"), ("", "a ", "an "), named):
        yield f"{dismissal} {article}{phrase}"
