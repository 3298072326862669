"""An LLM that is your own Python: rules, a dialogue, an agent, a chain."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import (
    BaseLLMAdapter,  # pyright: ignore[reportPrivateImportUsage] Its own module moved in Pipecat 1.14.
    LLMService,
)
from pipecat.services.settings import LLMSettings
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_llm

from twilio_frames.errors import BotFailedError
from twilio_frames.pipecat_internals import call_event_handler
from twilio_frames.processors.replies.apology import APOLOGY, ReplyApology
from twilio_frames.processors.replies.empty import is_answer, may_be_empty

__all__ = ["ApologyFrame", "PythonLLMService"]

_NO_WORDS = (
    "expected respond() to say something, got no words: yield some, or give the service "
    "may_be_silent=True where a response may only act"
)
_responding = set["asyncio.Task[object] | None"]()


def is_responding() -> bool:
    """Whether this is awaited in a ``respond()``: frames for its pipeline wait behind it."""
    return asyncio.current_task() in _responding


@dataclass
class ApologyFrame(TTSSpeakFrame):
    """What an LLM service says by itself where its model fails, outside of a response.

    Like a response, a fallback drops it where another service has taken over. Any other
    ``TTSSpeakFrame`` that comes out of an LLM service is taken for what a function says.
    """


class PythonLLMAdapter(BaseLLMAdapter[Mapping[str, Any]]):
    """Hands the conversation on as it is, since there is no vendor's form to bring it into.

    Pipecat's default adapter would import OpenAI's SDK, half a second of it, while a call begins.
    """

    @property
    def id_for_llm_specific_messages(self) -> str:
        """The name under which a context keeps messages for this kind of LLM alone."""
        return "python"

    async def get_llm_invocation_params(
        self, context: LLMContext, **kwargs: Any
    ) -> Mapping[str, Any]:
        """The conversation's messages."""
        return {"messages": self.get_messages(context)}

    def to_provider_tools_format(self, tools_schema: Any) -> list[Any]:
        """No tools: your Python calls what it needs itself."""
        return []

    def get_messages_for_logging(self, context: LLMContext) -> list[dict[str, Any]]:
        """No messages: a caller's words are not for logs."""
        return []


class PythonLLMService(LLMService):
    """Base of an LLM service whose responses come from your own coroutine.

    It takes the place of any vendor's LLM service in a pipeline, with the same frames and metrics
    around each response. An interruption cancels a running response: ``respond()`` sees
    ``asyncio.CancelledError`` at its current ``await``.

    An exception in ``respond()``, a piece of text that takes too long, or a response that says and
    does nothing is reported as an error of the pipeline, the caller hears the apology, and the call
    goes on. It does something if it pushes a ``TTSSpeakFrame``, a clip or the call's end itself.

    A response that only acts on the call is one of a service with ``may_be_silent=True``. What
    takes the caller's time, digits or a transfer, goes into a task of its own: while ``respond()``
    runs, what is said for it would wait::

            async def respond(self, context):
                yield "One moment, I put you through."
                self.create_task(self.call.transfer("+12125550123"))

    Example::

        class Echo(PythonLLMService):
            async def respond(self, context):
                yield f"You said: {context.get_messages()[-1]['content']}"
    """

    adapter_class = PythonLLMAdapter
    judges_replies: ClassVar[bool] = True

    def __init__(
        self,
        *,
        apology: str = APOLOGY,
        time_limit: float = 30.0,
        may_be_silent: bool = False,
        **kwargs: Any,
    ):
        """Makes the service.

        Args:
            apology: Said when a response fails; empty to stay silent.
            time_limit: Seconds that ``respond()`` may take for each piece of text.
            may_be_silent: Whether ``respond()`` may say nothing on purpose, where it only acts, by
                ``call.hang_up()`` say, or leaves the caller to their thoughts.
            **kwargs: Passed to Pipecat's ``LLMService``.
        """
        super().__init__(**{"settings": _no_settings(), **kwargs})
        self._apology = ReplyApology(apology)
        self._said = ""
        self._has_answered = False
        self._time_limit = time_limit
        self.may_be_silent = may_be_silent

    @abstractmethod
    def respond(self, context: LLMContext) -> AsyncIterator[str]:
        """Says what follows in the conversation. Write it with ``async def`` and ``yield``.

        Args:
            context: The conversation so far; its last messages are the caller's newest turn.

        Returns:
            Pieces of text in speaking order, joined as they are, with their own spaces.
        """

    def can_generate_metrics(self) -> bool:
        """Whether this service measures its time to first text: it does."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Responds to a context frame; every other frame passes."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        try:
            await self.push_frame(LLMFullResponseStartFrame())
            await self.start_processing_metrics()
            await self._respond_or_apologise(frame.context)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, and takes note of what answers the caller."""
        self._has_answered = self._has_answered or is_answer(frame)
        await super().push_frame(frame, direction)

    @traced_llm
    async def _respond_or_apologise(self, context: LLMContext) -> None:
        # Any exception of the subclass's code ends here, or its caller would wait in silence.
        try:
            self._has_answered = self.may_be_silent or may_be_empty(context)
            await self._push_response(context)
            if not self._has_answered:
                await self._apologise(_NO_WORDS, BotFailedError(_NO_WORDS))
        except TimeoutError as error:
            await call_event_handler(self, "on_completion_timeout")
            await self._apologise("respond() took too long", error)
        except Exception as error:
            # Not the exception's text, which may hold the caller's words.
            await self._apologise(f"respond() raised {type(error).__name__}", error)

    async def _push_response(self, context: LLMContext) -> None:
        self._said = ""
        await self.start_ttfb_metrics()
        pieces = self.respond(context)
        task = asyncio.current_task()
        _responding.add(task)
        try:
            while (piece := await self._next_piece(pieces)) is not None:
                await self.stop_ttfb_metrics()
                if piece:
                    self._said += piece
                    await self.push_frame(LLMTextFrame(piece))
        finally:
            _responding.discard(task)
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def _next_piece(self, pieces: AsyncIterator[str]) -> str | None:
        async with asyncio.timeout(self._time_limit):
            return await anext(pieces, None)

    async def _apologise(self, reason: str, error: Exception | None = None) -> None:
        await self.push_error(reason, exception=error, category=ErrorCategory.APPLICATION)
        if apology := self._apology.behind(self._said):
            await self.push_frame(LLMTextFrame(apology))


def _no_settings() -> LLMSettings:
    # Pipecat asks for None in each setting that a service does not know.
    return LLMSettings(
        model=None,
        system_instruction=None,
        temperature=None,
        max_tokens=None,
        top_p=None,
        top_k=None,
        frequency_penalty=None,
        presence_penalty=None,
        seed=None,
        filter_incomplete_user_turns=None,
        user_turn_completion_config=None,
    )
