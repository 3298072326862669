"""The conversation of an order: what is asked, what is answered, and when the call is over.

Pure: words in, words out. The state follows from what the order still lacks, so a caller may give
any detail at any time and change it at any time, also over the bot's own voice::

    DRINK -> SIZE -> EXTRAS -> CONFIRM -> ENDED
                                 |  ^
                                 v  |
                               CHANGE

Each turn is asked first for what holds at any time (a person, goodbye, details of the order, help),
then for an answer to the open question.
"""

from dataclasses import dataclass
from enum import Enum, auto

from twilio_frames.examples.coffee_shop import lines
from twilio_frames.examples.coffee_shop.lines import State
from twilio_frames.examples.coffee_shop.menu import MILKY_DRINKS
from twilio_frames.examples.coffee_shop.orders import NONE, Order
from twilio_frames.examples.coffee_shop.understanding import Intent, Reading, Slot, understand

__all__ = ["Dialogue", "Outcome", "Reply", "State"]

_PATIENCE = 3
"""Turns in a row, silent or not understood, after which the shop stops asking the same."""

_AGREEMENT = frozenset((Intent.YES, Intent.DONE))
_REFUSAL = frozenset((Intent.NO, Intent.NEITHER, Intent.DONE))


class Outcome(Enum):
    """Why a conversation ended."""

    ORDERED = auto()
    CANCELLED = auto()
    GOODBYE = auto()
    PERSON = auto()
    SILENCE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the shop says next.

    Parameters:
        text: One to three short sentences, to be spoken.
        ends_call: Whether the call is over once they have been heard.
    """

    text: str
    ends_call: bool = False


class Dialogue:
    """One caller's conversation with the shop."""

    def __init__(self) -> None:
        self._order = Order()
        self._state = State.DRINK
        self._topic: Slot | None = None
        self._outcome: Outcome | None = None
        self._confirmed = False
        self._last = Reply(text=lines.GREETING)
        self._misunderstood = 0
        self._silences = 0

    @property
    def order(self) -> Order:
        """What the caller has said so far; ``order.completed()`` is what the shop would make."""
        return self._order

    @property
    def state(self) -> State:
        """What the shop is waiting to hear."""
        return self._state

    @property
    def outcome(self) -> Outcome | None:
        """Why the conversation ended, None while it goes on."""
        return self._outcome

    @property
    def confirmed(self) -> bool:
        """Whether the caller said yes to the order as it is."""
        return self._confirmed

    def greeting(self) -> Reply:
        """What the shop says when it picks up."""
        return self._say(lines.GREETING)

    def answer(self, text: str) -> Reply:
        """Takes in one turn of the caller.

        Args:
            text: The words recognised, ``understanding.UNINTELLIGIBLE`` where there was speech
                that could not be recognised, or nothing at all for a caller who stays silent.
        """
        if not text.strip():
            return self._after_silence()
        self._silences = 0
        reading = understand(text)
        if not reading.understood:
            return self._after_nonsense()
        self._misunderstood = 0
        return self._answer_at_any_time(reading) or self._answer_to_question(reading)

    def _answer_at_any_time(self, reading: Reading) -> Reply | None:
        intents = reading.intents
        if Intent.PERSON in intents:
            return self._end(Outcome.PERSON, lines.PASSED_ON)
        if Intent.CANCEL in intents:
            return self._cancel()
        if Intent.GOODBYE in intents and self._state is State.ENDED:
            return self._end_again()
        if Intent.GOODBYE in intents and not self._is_agreement(reading):
            return self._end(Outcome.GOODBYE, lines.NO_ORDER)
        if Intent.START_OVER in intents:
            self._order = Order()
        if reading.order:
            return self._after_details(reading)
        if Intent.START_OVER in intents:
            return self._ask("Okay, let's start again.")
        return self._answer_to_aside(reading)

    def _answer_to_aside(self, reading: Reading) -> Reply | None:
        intents = reading.intents
        if Intent.HELP in intents and self._state is not State.ENDED:
            return self._say(lines.help_with(reading.topic, self._state))
        if reading.topic:
            return self._ask_about(reading.topic)
        if intents & (_AGREEMENT | _REFUSAL | {Intent.CORRECTION}):
            return None
        if Intent.REPEAT in intents:
            return self._last
        if self._state is State.ENDED:
            return None
        return self._ask_again(lines.WELCOME) if Intent.THANKS in intents else self._ask("Hello.")

    def _is_agreement(self, reading: Reading) -> bool:
        asked = self._state is State.CONFIRM
        return asked and bool(reading.intents & _AGREEMENT) and not reading.order

    def _after_details(self, reading: Reading) -> Reply:
        details = reading.order
        if self._topic == "roast" and details == Order(size="medium"):
            details = Order(roast="medium roast")
        before, self._order = self._order, self._order.updated(details)
        self._topic = None
        if self._order == before and self._state is State.ENDED:
            return self._end_again()
        if self._order == before and self._state is State.CONFIRM and Intent.YES in reading.intents:
            return self._confirm()
        settled = self._state in (State.CONFIRM, State.CHANGE, State.ENDED)
        changed = settled and self._order != before
        return self._ask(lines.acknowledged(self._order, self._open_state(), changed=changed))

    def _answer_to_question(self, reading: Reading) -> Reply:
        intents = reading.intents
        match self._state:
            case State.CONFIRM if intents & _AGREEMENT and Intent.CORRECTION not in intents:
                return self._confirm()
            case State.CONFIRM:
                self._state = State.CHANGE
                return self._say(lines.CHANGE_OF_MIND)
            case State.CHANGE if intents & _REFUSAL:
                return self._ask("All right.")
            case State.EXTRAS if intents & _REFUSAL:
                return self._without_extras()
            case State.EXTRAS if Intent.YES in intents:
                return self._say(lines.WHICH_EXTRAS)
            case State.OFFER_PERSON if Intent.YES in intents:
                return self._end(Outcome.PERSON, lines.PASSED_ON)
            case State.OFFER_PERSON:
                return self._ask("All right.")
            case State.ENDED:
                return self._end_again()
            case _:
                return self._say(lines.question(self._state, self._order, again=True))

    def _without_extras(self) -> Reply:
        milky = self._order.drink in MILKY_DRINKS
        self._order = self._order.updated(Order(milk=None if milky else NONE, sweetener=NONE))
        return self._ask("Okay.")

    def _ask_about(self, topic: Slot) -> Reply:
        self._topic = topic
        if self._state in (State.CONFIRM, State.ENDED):
            self._state = State.CHANGE
            self._outcome, self._confirmed = None, False
        return self._say(lines.question_about(topic))

    def _after_nonsense(self) -> Reply:
        if self._state is State.ENDED:
            return self._end_again()
        self._misunderstood += 1
        if self._misunderstood > _PATIENCE:
            return self._end(Outcome.PERSON, lines.PASSED_ON_UNASKED)
        if self._misunderstood == _PATIENCE:
            self._state = State.OFFER_PERSON
            return self._say(lines.OFFER_PERSON)
        return self._ask_again(lines.NOT_UNDERSTOOD[self._misunderstood - 1])

    def _after_silence(self) -> Reply:
        if self._state is State.ENDED:
            return self._end_again()
        self._silences += 1
        if self._silences >= _PATIENCE:
            return self._end(Outcome.SILENCE, lines.UNHEARD)
        return self._ask_again(lines.SILENCE[self._silences - 1])

    def _ask(self, lead: str) -> Reply:
        """Asks the next open question, behind a short lead."""
        self._outcome, self._confirmed = None, False
        self._state = self._open_state()
        return self._say(f"{lead} {lines.question(self._state, self._order)}")

    def _ask_again(self, lead: str) -> Reply:
        return self._say(f"{lead} {lines.question(self._state, self._order, again=True)}")

    def _open_state(self) -> State:
        order = self._order
        if order.drink is None:
            return State.DRINK
        if order.size is None:
            return State.SIZE
        if order.milk is None and order.sweetener is None:
            return State.EXTRAS
        return State.CONFIRM

    def _confirm(self) -> Reply:
        self._confirmed = True
        return self._end(Outcome.ORDERED, lines.thanks(self._order))

    def _cancel(self) -> Reply:
        self._confirmed = False
        return self._end(Outcome.CANCELLED, lines.CANCELLED)

    def _end(self, outcome: Outcome, text: str) -> Reply:
        self._state = State.ENDED
        self._outcome = outcome
        self._last = Reply(text=text, ends_call=True)
        return self._last

    def _end_again(self) -> Reply:
        return Reply(text=lines.GOODBYE, ends_call=True)

    def _say(self, text: str) -> Reply:
        self._last = Reply(text=text)
        return self._last
