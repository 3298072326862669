"""What an error of OpenAI's client means: whether it passes, whose fault it is, what to do."""

import re
from json import JSONDecodeError

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError
from pipecat.utils.errors import ErrorCategory, classify_http_status_code

from twilio_frames.errors import BrokenOffReplyError, IncompleteReplyError

__all__ = ["is_passing", "judge", "retry_after"]

_REFUSED_CONTENT = frozenset({400, 413, 422})
_BUSY = frozenset({408, 409, 429})
_NO_CREDIT = "insufficient_quota"
_CODE = re.compile(r"[a-z0-9_]{1,48}")

_ADVICE = {
    ErrorCategory.AUTHENTICATION: "set api_key to one that this server takes",
    ErrorCategory.AUTHORIZATION: "use a key that may use this model",
    ErrorCategory.INVALID_REQUEST: "check model and settings against what this server has",
    ErrorCategory.APPLICATION: "look at what the context holds",
    ErrorCategory.RATE_LIMIT: "ask for a higher limit, or raise give_up_secs",
    ErrorCategory.QUOTA: "add credit to the account",
    ErrorCategory.SERVER: "see the vendor's status page, or have a second service take over",
    ErrorCategory.UNKNOWN: "look it up with the vendor",
}


def is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, APIStatusError):
        if error.code == _NO_CREDIT:
            return False
        return error.status_code in _BUSY or error.status_code >= 500
    # What ends a stream early comes as one of the SDK's or the
    # operating system's connection errors.
    passing = (APIConnectionError, APITimeoutError, APIError, ConnectionError, TimeoutError)
    return isinstance(error, (*passing, JSONDecodeError, UnicodeDecodeError)) or _is_of_http(error)


def retry_after(error: Exception) -> float | None:
    """How many seconds a server wants to be left alone; None if it did not say."""
    if not isinstance(error, APIStatusError):
        return None
    for name, parts in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            # Its other form, a date, is not used by servers of models.
            return max(0.0, float(error.response.headers.get(name, "")) / parts)
        except ValueError:
            continue
    return None


def _is_of_http(error: Exception) -> bool:
    """Whether the SDK's HTTP library raised it, which the SDK does not always wrap."""
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")


def judge(error: Exception, *, where: str, model: str) -> tuple[ErrorCategory, str]:
    """Whose fault it is, and what to do; without anything that was said.

    Args:
        error: What ended the attempts.
        where: The server's host.
        model: The model that was asked for.
    """
    if not isinstance(error, APIStatusError):
        return _judge_connection(error, where)
    status, code = error.status_code, str(error.code or "")
    got = f"HTTP {status}" + (f" ({code})" if _CODE.fullmatch(code) else "")
    category = classify_http_status_code(status)
    if code == _NO_CREDIT:
        category = ErrorCategory.QUOTA
    elif status in _REFUSED_CONTENT and not _is_about_settings(error):
        category = ErrorCategory.APPLICATION
    return category, f"expected a reply of {model} at {where}, got {got}: {_ADVICE[category]}"


def _judge_connection(error: Exception, where: str) -> tuple[ErrorCategory, str]:
    # What is neither the vendor's nor the line's: the context cannot be made into a request, say.
    category = ErrorCategory.APPLICATION
    if isinstance(error, APIError) and not isinstance(error, APIConnectionError):
        category = ErrorCategory.SERVER
    elif is_passing(error):
        category = ErrorCategory.CONNECTIVITY
    # These are raised by this package, with a text of its own.
    own = (TimeoutError, ConnectionError, IncompleteReplyError, BrokenOffReplyError)
    text = str(error) if type(error) in own else ""
    return category, text or f"expected a reply of {where}, got {type(error).__name__}"


def _is_about_settings(error: APIStatusError) -> bool:
    """Whether it names something else than the messages, which every request would hold again."""
    return bool(error.param) and not str(error.param).startswith("messages")
