"""Who calls the coffee shop in the demonstration: a script, or recordings of people.

Both listen for what the shop asks, as a caller does, by looking at the state of its dialogue.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from twilio_frames.errors import CallFailedError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.lines import State
from twilio_frames.examples.coffee_shop.orders import Order
from twilio_frames.testing import Caller

FIRST_WISH = "A medium latte with oat milk, please."
SECOND_THOUGHTS = "Actually, make that a large."
GOODBYE = "Thank you, goodbye!"

_MAX_TURNS = 10
_INTERRUPT_AFTER = 1.0
_ANSWERS = {
    State.DRINK: "A medium latte with oat milk, please.",
    State.SIZE: "A large, please.",
    State.EXTRAS: "With oat milk, please.",
    State.CONFIRM: "Yes, that's right.",
    State.CHANGE: "Make it a large.",
    State.OFFER_PERSON: "No.",
}


class Customer(Protocol):
    """Somebody who orders."""

    async def order(self, caller: Caller) -> None:
        """Has the conversation, to its end."""
        ...

    def is_served(self) -> bool:
        """Whether the shop has taken the order right."""
        ...


class ScriptedCustomer:
    """Orders a medium latte, wants a large one while it is read back, confirms, says goodbye.

    Args:
        dialogue: The shop's side of the conversation.
    """

    wanted = Order(drink="latte", size="large", milk="oat milk")

    def __init__(self, dialogue: Dialogue):
        self._dialogue = dialogue
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
                await caller.say(SECOND_THOUGHTS)
                continue
            await caller.wait_for_bot()
            await caller.say(self._answer())
        await say_goodbye(caller)

    def is_served(self) -> bool:
        """Whether the shop has taken the order right."""
        return self._dialogue.confirmed and self._dialogue.order == self.wanted

    def _answer(self) -> str:
        state, order = self._dialogue.state, self._dialogue.order
        if state is State.CONFIRM and order != self.wanted:
            wrong_size = order.size != self.wanted.size
            return "No, make it a large." if wrong_size else "No, a large latte with oat milk."
        if state is State.DRINK and self._has_changed_mind:
            return "A large latte with oat milk, please."
        return _ANSWERS[state]


class RecordedCustomer:
    """Plays one recording a turn, then agrees to whatever was understood.

    Args:
        dialogue: The shop's side of the conversation.
        files: WAV files.
    """

    def __init__(self, dialogue: Dialogue, files: Sequence[Path]):
        self._dialogue = dialogue
        self._files = files

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
            await caller.say(_ANSWERS[State.CONFIRM] if agrees else "No, thank you.")
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
