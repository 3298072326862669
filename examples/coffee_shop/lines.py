"""The shop's lines: short sentences that are easy to follow by ear."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import assert_never

from twilio_frames.examples.coffee_shop.menu import MILKY_DRINKS
from twilio_frames.examples.coffee_shop.orders import Order
from twilio_frames.examples.coffee_shop.understanding import Slot

__all__ = [
    "CANCELLED",
    "CHANGE_OF_MIND",
    "GOODBYE",
    "GREETING",
    "NOT_UNDERSTOOD",
    "NO_ORDER",
    "OFFER_PERSON",
    "PASSED_ON",
    "PASSED_ON_UNASKED",
    "SILENCE",
    "UNHEARD",
    "WELCOME",
    "WHICH_EXTRAS",
    "State",
    "acknowledged",
    "help_with",
    "question",
    "question_about",
    "thanks",
]


class State(Enum):
    """What the shop is waiting to hear."""

    DRINK = auto()
    SIZE = auto()
    EXTRAS = auto()
    CONFIRM = auto()
    CHANGE = auto()
    OFFER_PERSON = auto()
    ENDED = auto()


GREETING = "Hello, and welcome to the coffee shop. What can I get you?"

WELCOME = "You're welcome."

WHICH_EXTRAS = "What would you like in it? You can say, for example, oat milk and some sugar."

CHANGE_OF_MIND = "What would you like to change?"

OFFER_PERSON = (
    "I'm sorry, I have trouble understanding you. Would you like to speak to a person? "
    "Please say yes or no."
)

PASSED_ON = "Of course. Somebody from the shop will call you back in a few minutes. Goodbye!"

PASSED_ON_UNASKED = (
    "I'm sorry, this is not working well. Somebody from the shop will call you back in a few "
    "minutes. Goodbye!"
)

GOODBYE = "Goodbye!"

NO_ORDER = "Okay, no order then. Goodbye!"

UNHEARD = "I can't hear you, so I'll hang up. Please call again. Goodbye!"

CANCELLED = "Okay, I have cancelled that. Goodbye!"

NOT_UNDERSTOOD: tuple[str, ...] = (
    "Sorry, I didn't catch that.",
    "I'm sorry, I still didn't understand.",
)

SILENCE: tuple[str, ...] = ("Are you still there?", "Sorry, I can't hear you.")


def question(state: State, order: Order, *, again: bool = False) -> str:
    """What the shop asks in this state; in plainer words where it asks ``again``."""
    match state:
        case State.DRINK:
            if again:
                return "Which drink would you like? You can say, for example, a large latte."
            return "And which drink would you like?" if order else "What can I get you?"
        case State.SIZE:
            size = "small, medium, or large"
            return f"Please say {size}." if again else f"What size would you like: {size}?"
        case State.EXTRAS:
            milk = "Any special milk, or sugar?" if _is_milky(order) else "Any milk or sugar?"
            return f"{milk} If not, say no." if again else milk
        case State.CONFIRM:
            yes_or_no = "Is that right? Please say yes or no." if again else "Is that right?"
            return f"So that's {order.completed().spoken()}. {yes_or_no}"
        case State.CHANGE:
            hint = " You can say, for example, make it a large."
            return CHANGE_OF_MIND + (hint if again else "")
        case State.OFFER_PERSON:
            return "Would you like to speak to a person? Please say yes or no."
        case State.ENDED:
            return GOODBYE
        case _:
            assert_never(state)


def question_about(topic: Slot) -> str:
    """The question for one detail that the caller asked to talk about."""
    return _QUESTIONS_ABOUT[topic]


_QUESTIONS_ABOUT: Mapping[Slot, str] = {
    "drink": "Which drink would you like?",
    "size": "What size would you like: small, medium, or large?",
    "roast": "Which roast would you like: light roast, medium roast, or dark roast?",
    "shots": "Would you like a single shot, a double shot, or a triple shot?",
    "milk": "Which milk would you like? You can say no milk, too.",
    "sweetener": "Which would you like: sugar, brown sugar, honey, or sweetener?",
}


def help_with(topic: Slot | None, state: State) -> str:
    """What can be said in this state, or what there is to choose from for one detail."""
    if topic:
        return _CHOICES[topic]
    match state:
        case State.DRINK:
            return _CHOICES["drink"]
        case State.SIZE:
            return _CHOICES["size"]
        case State.EXTRAS:
            return _CHOICES["milk"] + " Or just say no."
        case State.CONFIRM | State.CHANGE:
            return (
                "If the order is right, say yes. To change it, say, for example, make it a large. "
                "You can also ask me to repeat that."
            )
        case State.OFFER_PERSON | State.ENDED:
            return "You can say, speak to a person, or goodbye."
        case _:
            assert_never(state)


_CHOICES: Mapping[Slot, str] = {
    "drink": (
        "We have coffee, americano, espresso, cappuccino, latte, flat white, macchiato, and mocha. "
        "Some of them come iced. Which one would you like?"
    ),
    "size": (
        "We have small, medium, and large. You can also say eight, twelve, sixteen, or twenty "
        "ounces."
    ),
    "roast": "We have a light roast, a medium roast, and a dark roast.",
    "shots": "You can have a single shot, a double shot, or a triple shot.",
    "milk": (
        "We have whole, skim, soy, almond, and oat milk, and cream. "
        "There is sugar, brown sugar, honey, and sweetener, too."
    ),
    "sweetener": "We have sugar, brown sugar, honey, and sweetener.",
}


def acknowledged(order: Order, following: State, *, changed: bool) -> str:
    """What tells callers that their details arrived, ahead of the question that follows."""
    if following is State.CONFIRM:
        return "Okay, I changed that." if changed else "Okay."
    return f"Okay, {order.spoken()}." if order.drink else "Okay."


def thanks(order: Order) -> str:
    """The last words to a caller whose order was taken."""
    return f"Thank you. Your {order.size} {order.drink} will be ready in ten minutes. Goodbye!"


def _is_milky(order: Order) -> bool:
    return order.drink in MILKY_DRINKS
