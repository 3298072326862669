"""The coffee shop's ears: one recogniser of its grammar for all calls of the process."""

from functools import cache

from twilio_frames.examples.coffee_shop.grammar import PRONUNCIATIONS, coffee_grammar
from twilio_frames.local.recogniser import Recogniser
from twilio_frames.local.stt import PocketsphinxSTTService

__all__ = ["coffee_recogniser", "coffee_shop_stt"]


@cache
def coffee_recogniser() -> Recogniser:
    """The recogniser, made when it is first asked for; ask in a thread that may wait a moment.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
    """
    return Recogniser(coffee_grammar(), pronunciations=PRONUNCIATIONS)


def coffee_shop_stt() -> PocketsphinxSTTService:
    """A speech recognition service for one call.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
    """
    return PocketsphinxSTTService(coffee_recogniser())
