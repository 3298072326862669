"""Tells whoever attends of each call in this process: a test kit, or a tool that shows its words.

Whatever application a transport is made in, and whoever made it, it is told of. What an attendant
raises stays with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from twilio_frames.safe_logging import report_unforeseen

if TYPE_CHECKING:
    from twilio_frames.transport import TwilioTransport

__all__ = ["Attendant", "attending", "tell_failed", "tell_made"]

_attendants: list["Attendant"] = []


class Attendant(Protocol):
    """Is told of calls. The methods run on the event loop, and return at once."""

    def transport_made(self, transport: "TwilioTransport") -> None:
        """A transport was made, in the task that runs."""
        ...

    def bot_failed(self, transport: "TwilioTransport", error: BaseException) -> None:
        """The bot that answered a call raised."""
        ...


@contextmanager
def attending(attendant: Attendant) -> Iterator[None]:
    """Has somebody attend to all calls that begin meanwhile."""
    _attendants.append(attendant)
    try:
        yield
    finally:
        _attendants.remove(attendant)


def tell_made(transport: "TwilioTransport") -> None:
    """Tells all of a transport that was made."""
    _tell(lambda attendant: attendant.transport_made(transport))


def tell_failed(transport: "TwilioTransport", error: BaseException) -> None:
    """Tells all of a bot that raised."""
    _tell(lambda attendant: attendant.bot_failed(transport, error))


def _tell(what: Callable[[Attendant], None]) -> None:
    for attendant in tuple(_attendants):
        try:
            what(attendant)
        except Exception as error:
            report_unforeseen(error, "who attends to calls")
