"""Whether what a chain's model said is all there."""

from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.outputs import ChatGeneration, LLMResult
from loguru import logger

from twilio_frames.errors import BrokenOffReplyError, IncompleteReplyError

__all__ = ["Endings"]

# Whose chat models of LangChain tell why an answer ended, wherever it did.
_TELLING = frozenset({"openai", "anthropic", "azure", "google_genai", "google_vertexai"})
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_WITHHELD = ("content_filter", "SAFETY", "refusal")
_CUT = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens")


class Endings(AsyncCallbackHandler):
    """How the answers of a chain's models end; behind a parser of texts, nothing else shows it.

    A model that never tells why it ended is not doubted.
    """

    def __init__(self) -> None:
        self._metadata: dict[str, Any] | None = None

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Takes no note of what was asked, which would otherwise be made into a text."""

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Takes note of the latest answer's end."""
        self._metadata = _metadata_of(response)

    def check(self) -> None:
        """Looks at whether the latest answer is all there; one that was cut to length is logged.

        Raises:
            BrokenOffReplyError: If it broke off.
            IncompleteReplyError: If the vendor withheld the rest.
        """
        if self._metadata is None:
            return
        reason = _reason_in(self._metadata)
        if reason is None and self._metadata.get("model_provider") in _TELLING:
            raise BrokenOffReplyError(
                "expected the model to say why its answer ended, got none: the server, or a proxy "
                "before it, broke off"
            )
        if reason in _WITHHELD:
            raise IncompleteReplyError("expected a whole answer, got one that the vendor withheld")
        if reason in _CUT:
            logger.warning(
                "expected a whole answer, got one that its limit of tokens cut off: raise "
                "max_tokens, or ask for shorter answers"
            )


def _metadata_of(response: LLMResult) -> dict[str, Any] | None:
    for generations in response.generations:
        for generation in generations:
            if isinstance(generation, ChatGeneration):
                return generation.message.response_metadata | (generation.generation_info or {})
    return None


def _reason_in(metadata: dict[str, Any]) -> str | None:
    details = metadata.get("incomplete_details")
    if isinstance(details, dict):
        # A response of OpenAI's newer kind.
        return str(details.get("reason"))
    if metadata.get("status") == "completed":
        return "stop"
    return next((str(metadata[name]) for name in _REASONS if metadata.get(name)), None)
