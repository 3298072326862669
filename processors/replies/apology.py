"""What a caller hears in the place of what failed, and when that is due."""

from typing import Generic, TypeVar

__all__ = ["APOLOGY", "NOT_HEARD", "Apology", "ReplyApology"]

APOLOGY = "I'm sorry, something went wrong. Could you say that again?"
"""In the place of a reply that failed."""

NOT_HEARD = "I'm sorry, I can't hear you at the moment."
"""To a caller whom no recogniser hears."""

Words = TypeVar("Words", str, bytes)


class Apology(Generic[Words]):
    """An apology that is said once for each time of trouble.

    Args:
        words: What is said, as text or as audio; empty to stay silent.
        times: How often in each time of trouble; None for whenever it is taken.
    """

    def __init__(self, words: Words, *, times: int | None = 1):
        self._words = words
        self._times = times
        self._left = times

    @property
    def is_due(self) -> bool:
        """Whether it was not said often enough yet."""
        return self._left is None or self._left > 0

    def take(self) -> Words:
        """What is to be said now; empty if nothing is."""
        if not self._words or not self.is_due:
            return type(self._words)()
        if self._left is not None:
            self._left -= 1
        return self._words

    def begin_anew(self) -> None:
        """Notes that the next trouble is worth an apology of its own."""
        self._left = self._times


class ReplyApology(Apology[str]):
    """An apology for each reply that fails, in its place or behind what was said of it.

    Args:
        words: What is said; empty to stay silent.
    """

    def __init__(self, words: str = APOLOGY):
        super().__init__(words, times=None)

    def behind(self, said: str) -> str:
        """What is to be said now, parted from what was said of the reply; empty for nothing."""
        apology = self.take()
        if not apology or not said.strip():
            return apology
        space = "" if said[-1].isspace() else " "
        return space + (apology if said.rstrip()[-1] in ".!?" else f"\N{EM DASH} {apology}")
