"""How long to wait for a vendor, and how often to ask again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Backoff", "ReplyDeadline", "ReplyPatience", "asked_pause", "pause_after"]

_FIRST_WAIT = 0.4
_LONGEST_WAIT = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPatience:
    """How long a caller can be kept waiting for a reply; seconds.

    Parameters:
        connect: For a connection.
        first_token: For the first words of a reply, or the first piece of a function call.
        between_tokens: For each piece that follows.
        reply: For the whole reply, all attempts included.
        retries: A further attempt begins no later than this after the first began.
    """

    connect: float = 3.0
    first_token: float = 6.0
    between_tokens: float = 4.0
    reply: float = 60.0
    retries: float = 10.0


class ReplyDeadline:
    """When the next piece of a reply is due, from here on.

    The first words have their time from the beginning, whatever comes before them; then each piece
    has its own.

    Args:
        patience: How long each part may take.
        end: When the whole reply is due, seconds of ``time.monotonic()``; None for the patience's.
    """

    def __init__(self, patience: ReplyPatience, *, end: float | None = None):
        now = time.monotonic()
        self._patience = patience
        self._has_begun = False
        self.reproach = ""
        """What had been expected, once it has not come in time."""
        self._until = now + patience.first_token
        self._end = now + patience.reply if end is None else end

    def note_piece(self, *, says_something: bool) -> None:
        """Notes that a piece has come, and whether there was more in it than a beginning."""
        self._has_begun = self._has_begun or says_something
        if self._has_begun:
            self._until = time.monotonic() + self._patience.between_tokens

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Waits within, for the next piece, as long as it may take.

        Raises:
            TimeoutError: If it takes longer; its text says what had been expected.
        """
        seconds = min(self._until, self._end) - time.monotonic()
        limit = asyncio.timeout(max(0.0, seconds))
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            self.reproach = self._expected()
            raise TimeoutError(self.reproach) from error

    def _expected(self) -> str:
        what, seconds = "first words", self._patience.first_token
        if self._end <= self._until:
            what, seconds = "whole reply", self._patience.reply
        elif self._has_begun:
            what, seconds = "next words", self._patience.between_tokens
        return f"expected the {what} within {seconds:g} s, got none: raise the patience"


def pause_after(failures: int, *, first: float = 0.1, longest: float = 5.0) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, none after none.

    Half of it at least, the rest by chance, so that calls that failed together do not come back
    together. For what is tried for as long as a call lasts; :class:`Backoff` has an end.

    Args:
        failures: How many there were.
        first: The most after the first of them.
        longest: The most after many.
    """
    if failures < 1:
        return 0.0
    most = min(longest, first * 2 ** min(failures - 1, 10))
    return most * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, protects nothing


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone for (``Retry-After``); None if it does not."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


class Backoff:
    """When to ask again: after random times that grow, within a budget.

    Full jitter: each wait is anything between nothing and a limit that doubles, so that many calls
    that failed together do not come back together.

    Args:
        budget: Seconds from here within which a further attempt may begin.
        draw: Gives a number between its two arguments.
        clock: Seconds.
    """

    def __init__(
        self,
        budget: float,
        *,
        draw: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._draw = draw
        self._clock = clock
        self._end = clock() + budget
        self._limit = _FIRST_WAIT

    def next_wait(self, retry_after: float | None = None) -> float | None:
        """How long to wait before the next attempt; None to give up.

        Args:
            retry_after: What the vendor asked for. It is kept, with some jitter on top; where it
                does not fit into the budget there is no further attempt.
        """
        wait = self._draw(0.0, self._limit) + (retry_after or 0.0)
        self._limit = min(self._limit * 2, _LONGEST_WAIT)
        return wait if self._clock() + wait <= self._end else None
