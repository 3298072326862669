"""How long to put up with a vendor's trouble, how often to ask again, and when replies are due."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from twilio_frames.errors.settings import check_settings

__all__ = ["ReplyDeadline", "ReplyPolicy", "Retries", "RetryPolicy", "asked_pause"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a vendor is waited for, and how often it is asked again; seconds.

    Parameters:
        open_secs: For a connection to be opened.
        answer_secs: For anything to come while an answer is due.
        give_up_secs: For a vendor in trouble to be well again. Longer is told, or is the end.
        at_once: After how many failures in a row there is no pause: what has worked for long and
            breaks once is not worth one.
        first_pause_secs: The most that the first pause lasts; each further one lasts twice as long.
        longest_pause_secs: The most that any of them lasts.
        longest_wish_secs: The most that is kept of a pause that the vendor asks for.
        well_after_secs: A connection that has lasted so long was well, whatever came before it.
    """

    open_secs: float = 3.0
    answer_secs: float = 3.0
    give_up_secs: float = 5.0
    at_once: int = 1
    first_pause_secs: float = 0.25
    longest_pause_secs: float = 2.0
    longest_wish_secs: float = 10.0
    well_after_secs: float = 5.0

    def __post_init__(self) -> None:
        check_settings(self)

    def pause_after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row.

        Half of it at least, the rest by chance, so that calls that failed together do not come back
        together.
        """
        if failures <= self.at_once:
            return 0.0
        doublings = min(failures - self.at_once - 1, 10)
        most = min(self.longest_pause_secs, self.first_pause_secs * 2**doublings)
        return most * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, protects nothing


class Retries:
    """How often it has gone wrong in a row, and whether that is too much by now.

    Args:
        policy: What is too much.
        since: When the time for it began, by the clock; None for the first failure.
        clock: Seconds.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._policy = policy
        self._clock = clock
        self._since = since
        self._failures = 0
        self._lasts_secs = 0.0

    def forget(self) -> None:
        """Notes that all is well."""
        self._failures, self._since, self._lasts_secs = 0, None, 0.0

    def note_failure(self, *, wish_secs: float = 0.0, lag_secs: float = 0.0) -> float:
        """Gives how long to wait before the next attempt.

        Args:
            wish_secs: A pause that the vendor asks for; the policy's own comes on top.
            lag_secs: How long such a failure takes to be noticed.
        """
        now = self._clock()
        if self._since is None:
            self._since = now - lag_secs
        self._failures += 1
        wish_secs = min(wish_secs, self._policy.longest_wish_secs)
        pause = self._policy.pause_after(self._failures) + wish_secs
        # Should it happen once more, that would be known so much later. One more it has.
        notice = lag_secs if self._failures > 1 else 0.0
        self._lasts_secs = now + pause + notice - self._since
        return pause

    @property
    def are_spent(self) -> bool:
        """Whether it would be too late for another attempt."""
        return self._lasts_secs > self._policy.give_up_secs


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone for (``Retry-After``); None if it does not."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPolicy(RetryPolicy):
    """How long a caller can be kept waiting for a reply; seconds.

    Parameters:
        open_secs: For a connection.
        answer_secs: For the first words of a reply, or the first piece of a function call.
        next_words_secs: For each piece that follows.
        reply_secs: For the whole reply, all attempts included.
        give_up_secs: A further attempt begins no later than this after the first began.
        at_once: After how many failures there is no pause.
        first_pause_secs: The most that the first pause lasts.
        longest_pause_secs: The most that any of them lasts.
        longest_wish_secs: The most that is kept of a pause that the vendor asks for.
    """

    answer_secs: float = 6.0
    next_words_secs: float = 4.0
    reply_secs: float = 60.0
    at_once: int = 0
    first_pause_secs: float = 0.4
    longest_wish_secs: float = math.inf


class ReplyDeadline:
    """When the next piece of a reply is due, from here on.

    The first words have their time from the beginning, whatever comes before them; then each piece
    has its own.

    Args:
        policy: How long each part may take.
        end: When the whole reply is due, seconds of ``time.monotonic()``; None for the policy's.
    """

    def __init__(self, policy: ReplyPolicy, *, end: float | None = None):
        now = time.monotonic()
        self._policy = policy
        self._has_begun = False
        self.reproach = ""
        """What had been expected, once it has not come in time."""
        self._until = now + policy.answer_secs
        self._end = now + policy.reply_secs if end is None else end

    def note_piece(self, *, says_something: bool) -> None:
        """Notes that a piece has come, and whether there was more in it than a beginning."""
        self._has_begun = self._has_begun or says_something
        if self._has_begun:
            self._until = time.monotonic() + self._policy.next_words_secs

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
        what, setting = "first words", "answer_secs"
        if self._end <= self._until:
            what, setting = "whole reply", "reply_secs"
        elif self._has_begun:
            what, setting = "next words", "next_words_secs"
        seconds = getattr(self._policy, setting)
        return f"expected the {what} within {seconds:g} s, got none: raise {setting}"
