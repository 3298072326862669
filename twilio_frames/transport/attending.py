"""Tells whoever attends of each call in this process: a test kit, or a tool that shows its words.

Whatever application a transport is made in, and whoever made it, it is told of. What an attendant
raises stays with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.protocol import Start
from twilio_frames.safe_logging import report_unforeseen

__all__ = ["Attendant", "AttendedTransport", "attending", "tell_failed", "tell_made"]

_attendants: list["Attendant"] = []


class AttendedTransport(Protocol):
    """What an attendant sees of a :class:`twilio_frames.transport.TwilioTransport`."""

    @property
    def start(self) -> Start | None:
        """The stream's ``start``; None until it has come."""
        ...

    def input(self) -> FrameProcessor:
        """The caller's side."""
        ...

    def output(self) -> FrameProcessor:
        """The bot's side."""
        ...


class Attendant(Protocol):
    """Is told of calls. The methods run on the event loop, and return at once."""

    def transport_made(self, transport: AttendedTransport) -> None:
        """A transport was made, in the task that runs."""
        ...

    def bot_failed(self, transport: AttendedTransport, error: BaseException) -> None:
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


def tell_made(transport: AttendedTransport) -> None:
    """Tells all of a transport that was made."""
    _tell(lambda attendant: attendant.transport_made(transport))


def tell_failed(transport: AttendedTransport, error: BaseException) -> None:
    """Tells all of a bot that raised."""
    _tell(lambda attendant: attendant.bot_failed(transport, error))


def _tell(what: Callable[[Attendant], None]) -> None:
    for attendant in tuple(_attendants):
        try:
            what(attendant)
        except Exception as error:
            report_unforeseen(error, "who attends to calls")
