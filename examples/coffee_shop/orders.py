"""An order: what one caller wants, and how that is said aloud."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from twilio_frames.examples.coffee_shop.menu import BREWED_DRINKS, MILKY_DRINKS

__all__ = ["NONE", "Order", "listed", "with_article"]

NONE = "none"
"""The milk or sweetener of a caller who wants none: something was said, unlike ``None``."""

_SLOT_NAMES = {
    "drink": "coffeeDrink",
    "size": "size",
    "roast": "roast",
    "shots": "numberOfShots",
    "milk": "milkAmount",
    "sweetener": "sugarAmount",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One drink as far as the caller has described it; ``None`` is a detail not mentioned.

    Parameters:
        drink: A value of ``menu.DRINKS``.
        size: A value of ``menu.SIZES``.
        roast: A value of ``menu.ROASTS``.
        shots: A value of ``menu.SHOTS``.
        milk: A value of ``menu.MILKS``, perhaps behind one of ``menu.AMOUNTS``, or ``NONE``.
        sweetener: The same of ``menu.SWEETENERS``.
    """

    drink: str | None = None
    size: str | None = None
    roast: str | None = None
    shots: str | None = None
    milk: str | None = None
    sweetener: str | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def updated(self, changes: "Order") -> "Order":
        """This order with every detail that ``changes`` mentions taken from there."""
        mentioned = {
            field.name: getattr(changes, field.name)
            for field in fields(changes)
            if getattr(changes, field.name) is not None
        }
        return replace(self, **mentioned)

    def completed(self) -> "Order":
        """This order as the shop would make it, with the usual for what was not mentioned."""
        brewed = self.drink in BREWED_DRINKS
        little = self.drink == "espresso" or self.size in ("small", "eight ounce")
        usual = Order(
            roast="medium roast" if brewed else None,
            shots=None if brewed else "single shot" if little else "double shot",
            milk="whole milk" if self.drink in MILKY_DRINKS else NONE,
            sweetener=NONE,
        )
        return usual.updated(self)

    def slots(self) -> dict[str, str]:
        """The details mentioned, under the names that sets of recorded orders use for them."""
        return {
            name: getattr(self, field)
            for field, name in _SLOT_NAMES.items()
            if getattr(self, field) is not None
        }

    def spoken(self) -> str:
        """The order as one says it, such as ``a large latte with a double shot and no sugar``."""
        name = " ".join(word for word in (self.size, self.drink or "drink") if word)
        roast = f", {self.roast}" if self.roast else ""
        extras = self._spoken_extras()
        if not extras:
            return with_article(name) + roast
        comma = "," if roast else ""
        return f"{with_article(name)}{roast}{comma} with {listed(extras)}"

    def _spoken_extras(self) -> list[str]:
        extras = [with_article(self.shots)] if self.shots else []
        extras += [extra for extra in (self.milk, self.sweetener) if extra not in (None, NONE)]
        if self.milk == NONE and self.sweetener == NONE:
            extras.append("no milk or sugar")
        elif self.milk == NONE:
            extras.append("no milk")
        elif self.sweetener == NONE:
            extras.append("no sugar")
        return extras


def with_article(noun: str) -> str:
    """The noun behind ``a`` or ``an``, whichever its first sound asks for."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def listed(items: Sequence[str], conjunction: str = "and") -> str:
    """The items as an English list: ``a``, ``a and b``, ``a, b, and c``."""
    match items:
        case [] | [_]:
            return "".join(items)
        case [first, second]:
            return f"{first} {conjunction} {second}"
        case [*others, last]:
            return f"{', '.join(others)}, {conjunction} {last}"
        case _:
            raise TypeError(f"expected a sequence of strings, got {type(items).__name__}")
