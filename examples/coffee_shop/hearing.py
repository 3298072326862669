"""The coffee shop's ears: one recogniser of its grammar for all calls of the process."""

import asyncio
import threading
from functools import cache

from twilio_frames.examples.coffee_shop.grammar import PRONUNCIATIONS, coffee_grammar
from twilio_frames.local.recognition.recogniser import Recogniser
from twilio_frames.local.stt import PocketsphinxSTTService

__all__ = ["coffee_recogniser", "coffee_shop_stt"]


_making = threading.Lock()


def coffee_recogniser() -> Recogniser:
    """The recogniser, made when it is first asked for; ask in a thread that may wait a moment.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
    """
    with _making:
        return _made()


@cache
def _made() -> Recogniser:
    return Recogniser(coffee_grammar(), pronunciations=PRONUNCIATIONS)


async def coffee_shop_stt() -> PocketsphinxSTTService:
    """A speech recognition service for one call.

    Raises:
        MissingExtraError: If the ``local`` extra is not installed.
    """
    return PocketsphinxSTTService(await asyncio.to_thread(coffee_recogniser))
