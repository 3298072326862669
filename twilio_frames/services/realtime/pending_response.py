"""The answer that the caller waits for. No I/O; the time is passed in."""

from dataclasses import dataclass


@dataclass(slots=True)
class PendingResponse:
    """Whether an answer is owed, since when, and what was done about it.

    Parameters:
        since: When it was ordered, or the bot was last heard meanwhile; None if none is owed.
        news_at: When the model last said anything.
        retries: How often it was ordered anew.
        is_bridged: Whether the caller has been told to wait.
    """

    since: float | None = None
    news_at: float = 0.0
    retries: int = 0
    is_bridged: bool = False

    @property
    def is_open(self) -> bool:
        """Whether an answer is owed."""
        return self.since is not None

    def open(self, now: float) -> None:
        """An answer is ordered; the same one perhaps, once more."""
        if self.since is None:
            self.since, self.retries, self.is_bridged = now, 0, False
        self.news_at = now

    def settle(self) -> None:
        """It has come, or is not wanted any more."""
        self.since = None

    def bot_heard(self, now: float) -> None:
        """The bot is being heard: nobody waits yet."""
        if self.since is not None:
            self.since = now

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Whether the model has owed for so long without a sign."""
        return self.since is not None and now - self.news_at > seconds

    def needs_bridge(self, now: float, seconds: float) -> bool:
        """Whether the caller has waited for so long in silence, and was not told to."""
        return self.since is not None and not self.is_bridged and now - self.since > seconds
