"""The demonstration's callers, talking to the shop in words instead of sound."""

from pathlib import Path
from typing import cast

import pytest

from twilio_frames.cli.demo.customers import RecordedCustomer, ScriptedCustomer
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.examples.coffee_shop.lines import State
from twilio_frames.examples.coffee_shop.understanding import UNINTELLIGIBLE
from twilio_frames.testing import Caller

WISH = "a small cappuccino with honey please"


class WrittenCaller:
    """Passes words straight to the shop; what it mishears can be chosen."""

    def __init__(self, dialogue: Dialogue, misheard: dict[str, str] | None = None):
        self.said: list[str] = []
        self.is_connected = True
        self._dialogue = dialogue
        self._misheard = misheard or {}
        dialogue.greeting()

    async def say(self, speech: str | Path) -> None:
        words = speech.stem if isinstance(speech, Path) else speech
        self.said.append(words)
        plain = words.lower().replace(",", "").replace(".", "").replace("!", "")
        self._dialogue.answer(self._misheard.pop(plain, plain))

    async def wait_for_bot(self) -> None:
        pass

    async def wait_until_bot_speaks(self, *, for_seconds: float = 0) -> None:
        pass

    async def wait_for_end(self) -> None:
        self.is_connected = False


async def order(customer: ScriptedCustomer | RecordedCustomer, caller: WrittenCaller):
    await customer.order(cast("Caller", caller))


async def test_script_gets_a_large_cappuccino():
    shop = Dialogue()
    caller, customer = WrittenCaller(shop), ScriptedCustomer(shop)
    await order(customer, caller)

    assert customer.is_served()
    assert caller.said[1] == "Actually, make it a large."
    assert caller.said[-1] == "Thank you, goodbye!"
    assert shop.state is State.ENDED


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (WISH, UNINTELLIGIBLE),
        (WISH, "a small cappuccino"),
        (WISH, "a cappuccino"),
        (WISH, "a small latte with honey"),
        ("actually make it a large", UNINTELLIGIBLE),
        ("actually make it a large", "no"),
        ("yes please", UNINTELLIGIBLE),
    ],
)
async def test_script_survives_being_misheard(words, heard):
    shop = Dialogue()
    caller, customer = WrittenCaller(shop, {words: heard}), ScriptedCustomer(shop)
    await order(customer, caller)

    assert customer.is_served(), caller.said


async def test_wrong_order_is_not_served():
    shop = Dialogue()
    customer = ScriptedCustomer(shop)
    caller = WrittenCaller(shop, {WISH: "goodbye"})
    await order(customer, caller)

    assert not customer.is_served()


async def test_recording_is_agreed_to():
    shop = Dialogue()
    caller = WrittenCaller(shop)
    customer = RecordedCustomer(shop, [Path("a small espresso.wav")])
    await order(customer, caller)

    assert customer.is_served()
    assert shop.order.drink == "espresso"


async def test_recording_of_no_order_is_not_served():
    shop = Dialogue()
    customer = RecordedCustomer(shop, [Path("hello.wav")])
    await order(customer, WrittenCaller(shop))

    assert not customer.is_served()
