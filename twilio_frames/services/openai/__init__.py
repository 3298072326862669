"""OpenAI, or any server that speaks as OpenAI does, as the LLM of a phone bot."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, ClassVar

from openai import APIError, AsyncOpenAI, Timeout
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pipecat.frames.frames import EagerEndOfTurnCancelFrame, Frame, InterruptionFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.openai.base_llm import (
    OpenAILLMAdapter,  # pyright: ignore[reportPrivateImportUsage] Its own module moved in Pipecat 1.14.
)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import VendorRole
from twilio_frames.pipecat_internals import call_event_handler, openai_client, set_openai_client
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.processors.replies.continuation import to_go_on
from twilio_frames.processors.replies.empty import may_be_empty
from twilio_frames.processors.replies.filler import FillsSilence
from twilio_frames.services.function_calls import ChecksFunctionCalls
from twilio_frames.services.openai.connections import (
    give_back_connections,
    new_connections,
    take_connections,
)
from twilio_frames.services.openai.errors import (
    is_passing,
    judge,
    retry_after,
)
from twilio_frames.services.openai.reply import ChatReply
from twilio_frames.services.retry_policy import ReplyPolicy, Retries

__all__ = ["PhoneOpenAILLMService", "ReplyPolicy"]

_NO_KEY = "none"


class PhoneOpenAILLMService(  # pyright: ignore[reportIncompatibleVariableOverride]
    WatchedVendor, FillsSilence, ChecksFunctionCalls[OpenAILLMAdapter], OpenAILLMService
):
    """Pipecat's service for OpenAI, for somebody who waits on the telephone.

    It takes what that takes, and stands where that stands. ``base_url`` leads to any server that
    speaks as OpenAI does; one on your own machine needs no key.

    - Each part of a reply has a time limit. What may pass (429, 5xx, a broken connection, a hang,
      garbage) is tried again with back-off and jitter within a budget; ``Retry-After`` is kept.
    - A reply that breaks off is gone on with: what was said is not said again.
    - A turn that fails for good is answered by the apology, which the context keeps, so that the
      conversation goes on. A rejected key or an unknown model is one error of the pipeline, and
      leaves the service not usable (``is_usable``) until its settings change.
    - A function's arguments are checked before it runs: see
      :class:`twilio_frames.services.function_calls.ChecksFunctionCalls`.
    - When the caller would wait in silence, a filler is said: see
      :class:`twilio_frames.processors.replies.filler.FillsSilence`.
    - All calls share their connections, and one is open before the first reply is asked for.

    ``retry_on_timeout`` and ``retry_timeout_secs`` of Pipecat's service are not looked at.

    Args:
        api_key: The key; by default that of ``OPENAI_API_KEY``, with a ``base_url`` none.
        base_url: Where the server is, ``http://127.0.0.1:8080/v1`` say.
        policy: How long to wait for what, and how often to ask again.
        apology: Said when a turn fails; empty to stay silent.
        fillers: Said one after the other when the caller would wait in silence.
        filler_after: Seconds of silence after which one is; None for never.
        function_call_timeout_secs: Seconds that a function may take.
        wrong_calls_limit: How many calls with wrong arguments in a row are sent back to the model.
        warm_up: Whether to open a connection when the pipeline is set up.
        **kwargs: Passed to Pipecat's ``OpenAILLMService``.
    """

    vendor_role = VendorRole.LLM
    judges_replies: ClassVar[bool] = True

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        policy: ReplyPolicy | None = None,
        apology: str = APOLOGY,
        warm_up: bool = True,
        **kwargs: Any,
    ):
        self._policy = policy or ReplyPolicy()
        if base_url and not api_key:
            # The SDK would send OpenAI's key, from the environment, to somebody else.
            api_key = _NO_KEY
        kwargs["retry_on_timeout"] = False
        super().__init__(api_key=api_key, base_url=base_url, apology=apology, **kwargs)
        self._warms_up = warm_up
        self._warming: asyncio.Task[None] | None = None
        self._shares_connections = False
        self._broke_off = False

    def create_client(self, *args: Any, **options: Any) -> Any:
        """Makes the SDK's client, in a millisecond; it asks once, since this service asks again."""
        options["http_client"] = new_connections()
        return self._fitted(_client(**options))

    def _fitted(self, client: Any, **options: Any) -> Any:
        timeout = Timeout(None, connect=self._policy.open_secs)
        return client.copy(max_retries=0, timeout=timeout, **options)

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Takes part in the connections of this process, and opens one."""
        await super().setup(setup)
        self._shares_connections = True
        own = openai_client(self)
        set_openai_client(self, self._fitted(own, http_client=take_connections()))
        await own.close()
        await self._start_warming()

    async def cleanup(self) -> None:
        """Closes the connections, if no other call needs them."""
        await self._stop_warming()
        await super().cleanup()
        if self._shares_connections:
            self._shares_connections = False
            await give_back_connections()
        else:
            # It was only ever used outside a pipeline.
            await openai_client(self).close()

    async def warm(self) -> None:
        """Opens a connection by asking for the model's name; whatever comes back will do."""
        with suppress(APIError, TimeoutError, ValueError):
            async with asyncio.timeout(self._policy.open_secs * 2):
                await openai_client(self).models.retrieve(self.settings.model or "none")

    async def _start_warming(self) -> None:
        if self._warms_up and self._shares_connections:
            await self._stop_warming()
            self._warming = self.create_task(self.warm(), "warm")

    async def _stop_warming(self) -> None:
        warming, self._warming = self._warming, None
        if warming is not None:
            await self.cancel_task(warming)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Replies to a context; opens a new connection where an interruption has cost one."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame | EagerEndOfTurnCancelFrame) and self._broke_off:
            self._broke_off = False
            await self._start_warming()

    async def get_chat_completions(self, context: LLMContext) -> Any:
        """The chunks of a reply that is asked for as often as it takes; they end in any case."""
        return _Turn(self._replied(context))

    async def _replied(self, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        if not self.is_usable:
            yield await self._apologise("")
            return
        reply = ChatReply(
            lambda said: self._ask(context, said),
            self._policy,
            may_be_empty=may_be_empty(context),
            note_unreadable=self.note_unreadable,
        )
        chunks = aiter(reply)
        self._broke_off = True
        try:
            async for chunk in chunks:
                yield chunk
            self._broke_off = False
        except Exception as error:
            # Whatever it is, its caller would wait in silence.
            self._broke_off = False
            await self._report(error, context)
            yield await self._apologise(reply.said)
        finally:
            await chunks.aclose()

    async def _ask(self, context: LLMContext, said: str) -> Any:
        if said:
            context = to_go_on(context, said)
        return await super().get_chat_completions(context)

    async def _apologise(self, said: str) -> ChatCompletionChunk:
        # Pipecat takes the apology for OpenAI's first text.
        await self.cancel_ttfb_metrics()
        delta = ChoiceDelta(content=self.apology.behind(said))
        choice = Choice(index=0, delta=delta, finish_reason="stop")
        model = self.settings.model or ""
        return ChatCompletionChunk(
            id="apology", choices=[choice], created=0, model=model, object="chat.completion.chunk"
        )

    async def _report(self, error: Exception, context: LLMContext) -> None:
        category, reason = judge(
            error, where=openai_client(self).base_url.host, model=self.settings.model or ""
        )
        if category is ErrorCategory.CONNECTIVITY and isinstance(error, TimeoutError):
            await call_event_handler(self, "on_completion_timeout")
        # Known to Pipecat since 1.14: a file that is refused would be refused in each turn.
        mend = getattr(context, "remove_invalid_file_message", None)
        if mend and category is ErrorCategory.APPLICATION:
            mend()
        await super().push_error(reason, exception=error, category=category)

    async def push_error(
        self, error_msg: str, exception: Exception | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Pushes an error without the exception's own text, which may hold what was said."""
        if exception is not None and str(exception):
            error_msg = error_msg.replace(str(exception), type(exception).__name__)
        await super().push_error(error_msg, exception, *args, **kwargs)

    async def run_inference(self, context: LLMContext, *args: Any, **kwargs: Any) -> str | None:
        """Asks for a reply outside the call, a summary say, with the same policy."""
        retries = Retries(self._policy, since=time.monotonic())
        while True:
            try:
                async with asyncio.timeout(self._policy.reply_secs):
                    return await super().run_inference(context, *args, **kwargs)
            except Exception as error:
                pause = retries.note_failure(wish_secs=retry_after(error) or 0.0)
                if retries.are_spent or not is_passing(error):
                    raise
            await asyncio.sleep(pause)


class _Turn:
    """What Pipecat reads chunks from, and closes."""

    def __init__(self, chunks: AsyncGenerator[ChatCompletionChunk, None]):
        self._chunks = chunks

    def __aiter__(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        return self._chunks

    async def close(self) -> None:
        await self._chunks.aclose()


def _client(**options: Any) -> Any:
    known = ("api_key", "base_url", "organization", "project", "default_headers", "http_client")
    return AsyncOpenAI(**{name: options[name] for name in known if name in options})
