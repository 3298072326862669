"""The answer that the caller waits for. No I/O; the time is passed in."""

from dataclasses import dataclass
from typing import Any, ClassVar

from loguru import logger
from pipecat.utils.errors import ErrorCategory

_CATEGORIES = {
    "rate_limit_exceeded": ErrorCategory.RATE_LIMIT,
    "insufficient_quota": ErrorCategory.QUOTA,
    "server_error": ErrorCategory.SERVER,
}
_NO_AUDIO = "words without audio"
_CUT = "max_output_tokens"
_MAY_WORK_LATER = frozenset({"rate_limit_exceeded", "server_error", _NO_AUDIO})


@dataclass(slots=True)
class PendingResponse:
    """Whether an answer is owed, since when, and what was done about it.

    Parameters:
        since: When it was ordered, or the bot was last heard meanwhile; None if none is owed.
        news_at: When the model last said anything.
        retries: How often it was ordered anew.
        is_bridged: Whether the caller has been told to wait.
    """

    RETRIES: ClassVar[int] = 2
    RETRY_SECS: ClassVar[float] = 0.5

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

    def may_retry(self) -> bool:
        """Notes that it has failed; gives whether it is to be ordered anew."""
        self.retries += 1
        return self.is_open and self.retries <= self.RETRIES

    def pause_after(self, failure: str) -> float | None:
        """Notes a failure; gives the seconds until it is ordered anew, None if it is not."""
        if not self.may_retry() or failure not in _MAY_WORK_LATER:
            return None
        return self.RETRY_SECS * 2 ** (self.retries - 1)


def category_of(failure: str) -> ErrorCategory:
    """Pipecat's word for a failure of an answer."""
    return _CATEGORIES.get(failure, ErrorCategory.UNKNOWN)


def failure_of(response: Any, *, is_silent: bool) -> str:
    """Why an answer is not what was asked for; empty if it is, or if it was cancelled.

    Args:
        response: It, as it ended.
        is_silent: Whether it has words, and no audio.
    """
    details = response.status_details or {}
    if response.status == "failed":
        error = details.get("error") or {}
        return str(error.get("code") or error.get("type"))
    reason = details.get("reason") if response.status == "incomplete" else None
    if reason == _CUT:
        logger.warning(
            "expected a whole answer, got one that its limit of tokens cut off: raise "
            "max_output_tokens, or ask for shorter answers"
        )
    elif reason:
        # It ended well, and is not whole.
        return str(reason)
    return _NO_AUDIO if is_silent else ""
