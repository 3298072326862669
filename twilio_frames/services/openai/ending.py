"""Whether a reply of a chat model is all there."""

from loguru import logger
from openai.types.chat import ChatCompletionChunk

from twilio_frames.errors import BrokenOffReplyError, IncompleteReplyError

__all__ = ["Ending"]

# What servers before others, a router of models say, tell of a model that failed in the middle.
_FAILED = "error"
_WITHHELD = "content_filter"
_CUT = "length"


class Ending:
    """How one attempt at a reply ends, by what its chunks say."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._has_usage = False

    def note(self, chunk: ChatCompletionChunk) -> None:
        """Takes note of a chunk."""
        if chunk.choices:
            self._reason = chunk.choices[0].finish_reason or self._reason
        elif chunk.usage is not None:
            self._has_usage = True

    def check(self) -> None:
        """Looks at whether the reply is all there; a reply that its token limit cut is logged.

        Raises:
            BrokenOffReplyError: If it broke off.
            IncompleteReplyError: If the vendor withheld the rest: asking again would not help.
        """
        if self._reason is None and not self._has_usage:
            raise BrokenOffReplyError(
                "expected a reply with a finish_reason, got one that ended without: the server, "
                "or a proxy before it, broke off"
            )
        if self._reason == _FAILED:
            raise BrokenOffReplyError("expected a whole reply, got one that its model failed at")
        if self._reason == _WITHHELD:
            raise IncompleteReplyError(
                "expected a whole reply, got one that the vendor's content filter cut off: look "
                "at what the context holds"
            )
        if self._reason == _CUT:
            logger.warning(
                "expected a whole reply, got one that its limit of tokens cut off "
                "(finish_reason `length`): raise max_tokens, or ask for shorter replies"
            )
