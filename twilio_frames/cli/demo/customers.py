"""Who calls the coffee shop in the demonstration: a script, or recordings of people.

Both listen for what the shop asks, as a caller does, by looking at the state of its dialogue.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from twilio_frames.errors import CallFailedError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.lines import State
from twilio_frames.examples.coffee_shop.orders import Order
from twilio_frames.testing import Caller

GOODBYE = "Thank you, goodbye!"

_MAX_TURNS = 10
_INTERRUPT_AFTER = 1.0
_WISH = (
    "A small cappuccino with honey, please.",
    "Can I get a small cappuccino with honey, please?",
)
_SECOND_THOUGHTS = ("Actually, make it a large.", "Make that a large, please.", "No, a large.")
_CONSENT = ("Yes.", "Yes, that's right.", "Yes, please.")
_WHOLE_WISH = ("A large cappuccino with honey, please.",)
_MILK = ("Actually, with whole milk.", "With whole milk, please.")
_NO_MORE = ("No, thank you.", "No.")
_ANSWERS: dict[State, tuple[str, ...]] = {
    State.DRINK: _WISH,
    State.SIZE: ("A large, please.",),
    State.EXTRAS: ("With honey, please.",),
    State.CONFIRM: _CONSENT,
    State.CHANGE: _SECOND_THOUGHTS,
    State.OFFER_PERSON: ("No.",),
}


class Customer(Protocol):
    """Somebody who orders.

    Parameters:
        success: What :meth:`is_served` says if it says yes.
    """

    success: str

    async def order(self, caller: Caller) -> None:
        """Has the conversation, to its end."""
        ...

    def is_served(self) -> bool:
        """Whether the shop has taken the order right."""
        ...


class Phrases:
    """Says a thing differently each time it has to be said again."""

    def __init__(self) -> None:
        self._times: Counter[tuple[str, ...]] = Counter()

    def next_of(self, ways: tuple[str, ...]) -> str:
        """The next way to say it."""
        times = self._times[ways]
        self._times[ways] += 1
        return ways[times % len(ways)]


class ScriptedCustomer:
    """Orders a small cappuccino, wants a large one while it is read back, agrees, says goodbye.

    Args:
        dialogue: The shop's side of the conversation.
    """

    success = "taken right"
    wanted = Order(drink="cappuccino", size="large", sweetener="honey")

    def __init__(self, dialogue: Dialogue):
        self._dialogue = dialogue
        self._phrases = Phrases()
        self._has_changed_mind = False

    async def order(self, caller: Caller) -> None:
        """Has the conversation, to its end."""
        for _ in range(_MAX_TURNS):
            await caller.wait_until_bot_speaks()
            if self._dialogue.state is State.ENDED:
                break
            if self._dialogue.state is State.CONFIRM and not self._has_changed_mind:
                self._has_changed_mind = True
                await caller.wait_until_bot_speaks(for_seconds=_INTERRUPT_AFTER)
                await caller.say(self._phrases.next_of(_SECOND_THOUGHTS))
                continue
            await caller.wait_for_bot()
            await caller.say(self._answer())
        await say_goodbye(caller)

    def is_served(self) -> bool:
        """Whether the shop has taken the order right."""
        return self._dialogue.confirmed and self._is_right(self._dialogue.order)

    def _is_right(self, order: Order) -> bool:
        # What the shop adds by itself may as well have been said.
        return order.completed() == self.wanted.completed()

    def _answer(self) -> str:
        state, order = self._dialogue.state, self._dialogue.order
        ways = _ANSWERS[state]
        if state is State.CONFIRM and not self._is_right(order):
            if self._is_right(replace(order, size=self.wanted.size)):
                ways = _SECOND_THOUGHTS
            else:
                ways = _MILK if self._is_right(replace(order, milk=None)) else _WHOLE_WISH
        elif state is State.DRINK and self._has_changed_mind:
            ways = _WHOLE_WISH
        return self._phrases.next_of(ways)


class RecordedCustomer:
    """Plays one recording a turn, then agrees to whatever was understood.

    Args:
        dialogue: The shop's side of the conversation.
        files: WAV files.
    """

    success = "taken and agreed to"

    def __init__(self, dialogue: Dialogue, files: Sequence[Path]):
        self._dialogue = dialogue
        self._files = files
        self._phrases = Phrases()

    async def order(self, caller: Caller) -> None:
        """Has the conversation, to its end."""
        for file in self._files:
            await caller.wait_for_bot()
            if not caller.is_connected:
                return
            await caller.say(file)
        for _ in range(_MAX_TURNS):
            await caller.wait_until_bot_speaks()
            if self._dialogue.state not in (State.CONFIRM, State.EXTRAS):
                break
            await caller.wait_for_bot()
            agrees = self._dialogue.state is State.CONFIRM
            await caller.say(self._phrases.next_of(_CONSENT if agrees else _NO_MORE))
        await say_goodbye(caller)

    def is_served(self) -> bool:
        """Whether the shop took an order and the caller agreed to it."""
        return self._dialogue.confirmed


async def say_goodbye(caller: Caller) -> None:
    """Says goodbye into the bot's last words, as people do, and lets it hang up."""
    try:
        await caller.wait_until_bot_speaks(for_seconds=_INTERRUPT_AFTER)
        await caller.say(GOODBYE)
    except CallFailedError:
        if caller.is_connected:
            raise
    await caller.wait_for_end()
