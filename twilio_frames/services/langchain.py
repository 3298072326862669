"""A LangChain chain as the mind of a phone bot, with a memory of what was heard.

::

    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be brief."), MessagesPlaceholder("history"), ("human", "{input}")]
    )
    mind = PhoneLangchainProcessor(prompt | ChatOpenAI(model="gpt-4.1"))

LangChain's own memories note down what a chain has said. On the telephone that is not what was
heard: callers interrupt. So the chain is given the call's memory anew for each turn.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import MissingExtraError
from twilio_frames.frames import VendorRole
from twilio_frames.processors.vendor_watch import WatchedVendor

try:
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from pipecat.processors.frameworks.langchain import LangchainProcessor
except ImportError:
    raise MissingExtraError("langchain", "langchain") from None

__all__ = ["PhoneLangchainProcessor", "heard_messages"]

_KINDS: dict[str, type[BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
}


def heard_messages(context: LLMContext) -> list[BaseMessage]:
    """A call's memory in LangChain's form: what the caller said, and what was heard of the bot.

    Function calls and their results, pictures and sounds are left out.
    """
    return list(_read(context))


def _read(context: LLMContext) -> Iterator[BaseMessage]:
    for message in context.get_messages():
        if not isinstance(message, dict):
            continue
        kind, content = _KINDS.get(message["role"]), message.get("content")
        if kind is not None and isinstance(content, str):
            yield kind(content=content)


class PhoneLangchainProcessor(WatchedVendor, LangchainProcessor):
    """Pipecat's processor for LangChain, where a chain may fail or hang and the call goes on.

    It takes the place of an LLM service. The chain's input is a mapping with the newest message and
    with those before it; of the bot's words they hold those that the caller heard.

    An exception in the chain, or a piece of text that takes too long, is one error of the pipeline,
    without the caller's words in it, and the caller hears an apology. An interruption cancels the
    chain at its current ``await``, and with it the request that is under way.

    A context without any message brings no response: greet with a ``TTSSpeakFrame``.

    Args:
        chain: The chain. It streams texts or messages.
        transcript_key: Where in its input the text of the newest message is.
        history_key: Where in its input the messages before it are, as LangChain's; None to leave
            them out.
        apology: Said when the chain fails; empty to stay silent.
        time_limit: Seconds that the chain may take for each piece of text.
    """

    vendor_role = VendorRole.LLM

    def __init__(
        self,
        chain: Runnable[Any, Any],
        transcript_key: str = "input",
        *,
        history_key: str | None = "history",
        apology: str = "I'm sorry, something went wrong. Could you say that again?",
        time_limit: float = 20.0,
    ):
        super().__init__(chain, transcript_key)
        self._phone_chain = chain
        self._phone_key = transcript_key
        self._history_key = history_key
        self._context: LLMContext | None = None
        self._session: str | None = None
        self._apology = apology
        self._time_limit = time_limit

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
        await super().process_frame(frame, direction)

    # Pipecat's own logs the caller's words, puts an exception's text into the error, and speaks
    # the Python of what is no plain text.
    async def _ainvoke(self, text: str) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        try:
            await self._respond(text)
        except TimeoutError as error:
            await self._apologise(f"no text came within {self._time_limit:g} s", error)
        except Exception as error:
            # Not the exception's text, which may hold the caller's words.
            await self._apologise(f"it raised {type(error).__name__}", error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    async def _respond(self, text: str) -> None:
        await self.start_ttfb_metrics()
        config: RunnableConfig = {"configurable": {"session_id": self._session}}
        pieces = self._phone_chain.astream(self._input(text), config)
        try:
            while (piece := await self._next_piece(pieces)) is not None:
                if words := _text_of(piece):
                    await self.stop_ttfb_metrics()
                    await self.push_frame(LLMTextFrame(words))
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    def _input(self, text: str) -> dict[str, Any]:
        history: dict[str, Any] = {}
        if self._history_key and self._context is not None:
            history[self._history_key] = heard_messages(self._context)[:-1]
        return {self._phone_key: text} | history

    async def _next_piece(self, pieces: AsyncIterator[Any]) -> Any:
        async with asyncio.timeout(self._time_limit):
            return await anext(pieces, None)

    async def _apologise(self, reason: str, error: Exception) -> None:
        await self.push_error(
            f"expected the chain to respond, {reason}: look at the chain, or at whom it asks",
            exception=error,
            category=ErrorCategory.APPLICATION,
        )
        if self._apology:
            # The space parts it from what may have been said before.
            await self.push_frame(LLMTextFrame(f" {self._apology}"))


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
