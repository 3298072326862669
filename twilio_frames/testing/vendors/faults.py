"""What a vendor's bad day looks like to its client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The connection or request is answered with an HTTP error.

    Parameters:
        status: 401 for a key that is not taken, 429 for too many requests, 500, 503 …
        retry_after: Seconds of a ``Retry-After`` header; None to send none.
    """

    status: int
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The connection breaks, without a goodbye.

    Parameters:
        after: How much of the answer has been sent before: messages, chunks or events, as the
            server says. 0 breaks it right behind the handshake, or the request.
    """

    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyEnd:
    """The answer ends in the middle, and the connection as if it had been all.

    So it looks where a proxy closes in a good way what a server left open.

    Parameters:
        after: How much of the answer has been sent before, counted as in :class:`Drop`.
    """

    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """The connection stays, and nothing more comes.

    Parameters:
        after: How much of the answer has been sent before, counted as in :class:`Drop`.
    """

    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The first piece of each answer comes late.

    Parameters:
        seconds: How late.
    """

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Something that is not of the protocol comes in the middle of the answer, which then goes on.

    Parameters:
        after: How much of the answer has been sent before, counted as in :class:`Drop`.
    """

    after: int = 0


Fault = Refusal | Drop | EarlyEnd | Hang | Slow | Garbage
"""One thing that goes wrong with one connection or request."""
