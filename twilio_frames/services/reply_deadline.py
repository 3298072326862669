"""When the next piece of a reply is due, and how often a reply is asked for."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from twilio_frames.services.retry_policy import RetryPolicy

__all__ = ["ReplyDeadline", "ReplyPolicy"]


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

    open_secs: float = 3.0
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
