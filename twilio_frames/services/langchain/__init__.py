"""A LangChain chain as the mind of a phone bot, with a memory of what was heard.

::

    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be brief."), MessagesPlaceholder("history"), ("human", "{input}")]
    )
    mind = PhoneLangchainProcessor(prompt | ChatOpenAI(model="gpt-4.1"))

LangChain's own memories note down what a chain has said. On the telephone that is not what was
heard: callers interrupt. So the chain is given the call's memory anew for each turn.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory, extract_http_status_code

from twilio_frames.errors import BrokenOffReplyError, IncompleteReplyError, brought_by
from twilio_frames.frames import VendorRole
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor
from twilio_frames.processors.replies.apology import APOLOGY, ReplyApology
from twilio_frames.processors.replies.empty import is_speakable
from twilio_frames.processors.replies.filler import FillsSilence
from twilio_frames.services.retry_policy import ReplyDeadline, ReplyPolicy
from twilio_frames.services.traced_replies import TracedReplies

with brought_by("langchain"):
    from langchain_core.callbacks import AsyncCallbackHandler
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
    from langchain_core.outputs import ChatGeneration, LLMResult
    from langchain_core.runnables import Runnable, RunnableConfig
    from pipecat.processors.frameworks.langchain import LangchainProcessor

__all__ = ["PhoneLangchainProcessor"]

_KINDS: dict[str, type[BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
}
_NO_MORE = object()
# Whose chat models of LangChain tell why an answer ended, wherever it did.
_TELLING = frozenset({"openai", "anthropic", "azure", "google_genai", "google_vertexai"})
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_WITHHELD = ("content_filter", "SAFETY", "refusal")
_CUT = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens")


class _Endings(AsyncCallbackHandler):
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


def heard_messages(context: LLMContext) -> list[BaseMessage]:
    """A call's memory in LangChain's form: what the caller said, and what was heard of the bot.

    Function calls and their results, pictures and sounds are left out.
    """
    return list(_read(context.get_messages()))


def _read(messages: Sequence[Any]) -> Iterator[BaseMessage]:
    for message in messages:
        if not isinstance(message, dict):
            continue
        kind, words = _KINDS.get(message["role"]), _words_in(message.get("content"))
        if kind is not None and words is not None:
            yield kind(content=words)


def _words_in(content: Any) -> str | None:
    """The words of a message; None if it has none, but pictures or calls."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [part["text"] for part in content if part.get("type") == "text"]
    return " ".join(texts) if texts else None


def _in_words(frame: LLMContextFrame) -> LLMContextFrame:
    """The same if its newest message is plain text, else one whose only message is its words."""
    for newest in frame.context.get_messages()[-1:]:
        content = newest.get("content") if isinstance(newest, dict) else None
        if isinstance(content, list):
            words = _words_in(content) or ""
            return LLMContextFrame(LLMContext([{"role": "user", "content": words}]))
    return frame


class PhoneLangchainProcessor(TracedReplies, WatchedVendor, FillsSilence, LangchainProcessor):
    """Pipecat's processor for LangChain, where a chain may fail or hang and the call goes on.

    It takes the place of an LLM service. The chain's input is a mapping with the newest message and
    with those before it; of the bot's words they hold those that the caller heard.

    - When the caller would wait in silence, a filler is said: see
      :class:`twilio_frames.processors.replies.filler.FillsSilence`.
    - A chain that raises, takes too long or has nothing to say, or whose model's answer broke off
      though its stream ended well, is one error of the pipeline,
      without the caller's words in it, and the caller hears an apology, behind what had been said.
      It is part of the conversation, which goes on.
    - The chain is asked once: it may have done something that must not be done twice. Let its
      client ask again, ``ChatOpenAI(timeout=3, max_retries=1)`` say, or ``with_fallbacks``.
    - An interruption cancels the chain at its current ``await``, and with it the request that is
      under way.

    A context without any message brings no response: greet with a ``TTSSpeakFrame``. Of messages
    with pictures the chain is given the words.

    Args:
        chain: The chain. It streams texts or messages.
        transcript_key: Where in its input the text of the newest message is.
        history_key: Where in its input the messages before it are, as LangChain's; None to leave
            them out.
        policy: How long the chain may take for its first words, for each piece that follows (a
            thought or a call of a tool is one), and for all of it. Connections and further
            attempts are its client's.
        apology: Said when the chain fails; empty to stay silent.
        **kwargs: ``fillers`` and ``filler_after``.
    """

    vendor_role = VendorRole.LLM
    is_vendor_the_application = True

    def __init__(
        self,
        chain: Runnable[Any, Any],
        transcript_key: str = "input",
        *,
        history_key: str | None = "history",
        policy: ReplyPolicy | None = None,
        apology: str = APOLOGY,
        **kwargs: Any,
    ):
        super().__init__(chain=chain, transcript_key=transcript_key, **kwargs)
        self._phone_chain = chain
        self._phone_key = transcript_key
        self._history_key = history_key
        self._policy = policy or ReplyPolicy()
        self._context: LLMContext | None = None
        self._session: str | None = None
        self._apology = ReplyApology(apology)
        self._said = ""

    def can_generate_metrics(self) -> bool:
        """Whether this processor measures its time to first text: it does."""
        return True

    def set_participant_id(self, participant_id: str) -> None:
        """Sets the ``session_id`` that the chain gets in its configuration."""
        super().set_participant_id(participant_id)
        self._session = participant_id

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Responds to a context frame; every other frame passes."""
        if isinstance(frame, LLMContextFrame):
            self._context = frame.context
            # Pipecat's passes on what has a picture in it, and nobody answers.
            frame = _in_words(frame)
        await super().process_frame(frame, direction)

    # Pipecat's own logs the caller's words, puts an exception's text into the error, and speaks
    # the Python of what is no plain text.
    async def _ainvoke(self, text: str) -> None:
        self._said = ""
        deadline = ReplyDeadline(self._policy)
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        try:
            await self._respond(text, deadline)
            if not is_speakable(self._said):
                await self._apologise(
                    "expected the chain to say something, got no words: look at what it streams"
                )
        except Exception as error:
            # Whatever it is, its caller would wait in silence. Not its text: that may hold words.
            await self._apologise(deadline.reproach or _what_was_raised(error), error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    async def _respond(self, text: str, deadline: ReplyDeadline) -> None:
        await self.start_ttfb_metrics()
        endings = _Endings()
        config: RunnableConfig = {
            "configurable": {"session_id": self._session},
            "callbacks": [endings],
        }
        pieces = self._phone_chain.astream(self._input(text), config)
        async with aclosing(_in_time(pieces, deadline)) as timely:
            async for piece in timely:
                if words := _text_of(piece):
                    await self.stop_ttfb_metrics()
                    self._said += words
                    await self.push_frame(LLMTextFrame(words))
        endings.check()

    def _input(self, text: str) -> dict[str, Any]:
        history: dict[str, Any] = {}
        if self._history_key and self._context is not None:
            history[self._history_key] = list(_read(self._context.get_messages()[:-1]))
        return {self._phone_key: text} | history

    async def _apologise(self, reason: str, error: Exception | None = None) -> None:
        await self.push_error(reason, exception=error, category=ErrorCategory.APPLICATION)
        if apology := self._apology.behind(self._said):
            await self.push_frame(LLMTextFrame(apology))


async def _in_time(
    pieces: AsyncIterator[Any], deadline: ReplyDeadline
) -> AsyncGenerator[Any, None]:
    """The pieces of an answer as they come."""
    try:
        while True:
            async with deadline.kept():
                piece = await anext(pieces, _NO_MORE)
            if piece is _NO_MORE:
                return
            deadline.note_piece(says_something=_is_progress(piece))
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _is_progress(piece: Any) -> bool:
    """Whether there is more in it than the role, with which a model's answer begins."""
    if isinstance(piece, BaseMessage):
        # Some models think aloud in a field of their own.
        thoughts = any(piece.additional_kwargs.values())
        return bool(piece.content or thoughts or getattr(piece, "tool_call_chunks", None))
    return bool(piece)


def _what_was_raised(error: Exception) -> str:
    if isinstance(error, IncompleteReplyError):
        return str(error)
    status = extract_http_status_code(error)
    got = type(error).__name__ + (f" (HTTP {status})" if status else "")
    return f"expected the chain to respond, it raised {got}: look at the chain, or at whom it asks"


def _text_of(piece: Any) -> str:
    """The words of a piece of a chain's answer; none of its thoughts and calls."""
    match piece:
        case str():
            return piece
        case BaseMessage(content=str(words)):
            return words
        case BaseMessage(content=blocks):
            texts = (block for block in blocks if isinstance(block, dict))
            return "".join(text["text"] for text in texts if text.get("type") == "text")
        case _:
            return ""
