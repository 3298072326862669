"""What callers say besides the order itself, by what they mean with it.

The recogniser's grammar and the parser of orders both read these tables. A phrase counts when it
is found anywhere in what a caller says. Lower case, without punctuation.
"""

from collections.abc import Mapping

__all__ = [
    "CANCEL",
    "CARRIERS",
    "CORRECTIONS",
    "COURTESIES",
    "DONE",
    "GOODBYE",
    "GREETINGS",
    "HELP",
    "NEITHER",
    "NO",
    "PERSON",
    "QUESTIONS",
    "REPEAT",
    "START_OVER",
    "THANKS",
    "TOPICS",
    "YES",
]

YES: tuple[str, ...] = (
    "yes",
    "yeah",
    "yep",
    "sure",
    "okay",
    "correct",
    "right",
    "perfect",
    "that's right",
    "that is right",
    "that's correct",
    "that is correct",
    "sounds good",
    "yes it is",
)

NO: tuple[str, ...] = (
    "no",
    "nope",
    "no it isn't",
    "that's wrong",
    "that is wrong",
    "that's not right",
    "that is not right",
    "not quite",
)

NEITHER: tuple[str, ...] = (
    "nothing",
    "neither",
    "none",
    "no thanks",
    "no thank you",
    "never mind",
)
"""Answers that decline whatever was offered."""

DONE: tuple[str, ...] = (
    "that's it",
    "that's all",
    "that is all",
    "that will be all",
    "nothing else",
    "no that's it",
    "no that's all",
)
"""The caller has no more to add."""

REPEAT: tuple[str, ...] = (
    "repeat that",
    "say that again",
    "can you repeat that",
    "could you repeat that",
    "can you say that again",
    "could you say that again",
    "what did you say",
    "pardon",
    "sorry",
)

HELP: tuple[str, ...] = (
    "help",
    "help me",
    "what do you have",
    "what have you got",
    "what can i say",
    "what can i order",
    "i don't know",
    "i'm not sure",
    "what are my options",
    "what's on the menu",
)

QUESTIONS: Mapping[str, str] = {
    "what drinks do you have": "drink",
    "what coffee do you have": "drink",
    "what sizes do you have": "size",
    "what roasts do you have": "roast",
    "what milk do you have": "milk",
    "what kind of milk do you have": "milk",
    "what kinds of milk do you have": "milk",
}
"""A call for help with one slot of the order."""

PERSON: tuple[str, ...] = (
    "speak to a person",
    "talk to a person",
    "speak to a human",
    "talk to a human",
    "speak to someone",
    "talk to someone",
    "can i speak to a person",
    "can i talk to a person",
    "i want to speak to a person",
    "i'd like to speak to a person",
    "i'd like to talk to a person",
    "i would like to speak to a person",
    "i'd like to speak to someone",
    "i'd like to speak to customer support",
    "speak to customer support",
    "customer support",
    "customer service",
    "let me speak to a person",
    "a real person",
    "a person",
    "a human",
    "operator",
)

GOODBYE: tuple[str, ...] = (
    "goodbye",
    "bye",
    "bye bye",
    "hang up",
)

CANCEL: tuple[str, ...] = ("cancel", "cancel that", "cancel my order", "cancel the order")

START_OVER: tuple[str, ...] = ("start over", "start again")

CORRECTIONS: tuple[str, ...] = (
    "actually",
    "actually make that",
    "actually make it",
    "make that",
    "make it",
    "change that to",
    "change it to",
    "no make that",
    "no make it",
    "wait make that",
    "sorry make that",
    "i meant",
    "i said",
    "instead",
)
"""What stands before a change of mind. ``instead`` may also end one."""

TOPICS: Mapping[str, str] = {
    "the drink": "drink",
    "the size": "size",
    "the roast": "roast",
    "the shots": "shots",
    "the milk": "milk",
    "the sugar": "sweetener",
    "the sweetener": "sweetener",
}
"""What a caller wants to talk about next, and the slot of the order it is."""

CARRIERS: tuple[str, ...] = (
    "i would like",
    "i'd like",
    "i want",
    "i'll have",
    "i will have",
    "i'll take",
    "i'll get",
    "i need",
    "give me",
    "get me",
    "make me",
    "brew me",
    "can i have",
    "can i get",
    "could i have",
    "could i get",
    "may i have",
    "may i get",
    "can i please have",
    "could i please have",
    "can i please get",
    "can i order",
    "i want to order",
    "can you make me",
    "could you make me",
    "can you get me",
    "let me have",
    "let me get",
    "i would like to order",
    "i'd like to order",
)
"""What stands before an order and means nothing by itself."""

GREETINGS: tuple[str, ...] = ("hi", "hello", "hey")

COURTESIES: tuple[str, ...] = ("please",)
"""What may stand anywhere and means nothing."""

THANKS: tuple[str, ...] = ("thanks", "thank you")
"""What means something only when it is all the caller says."""
