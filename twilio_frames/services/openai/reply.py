"""One reply of a chat model, asked for as often as it takes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

from loguru import logger
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from twilio_frames.errors import BrokenOffReplyError, IncompleteReplyError
from twilio_frames.processors.replies.continuation import Continuation
from twilio_frames.processors.replies.empty import is_speakable
from twilio_frames.services.openai.calls import CallPieces
from twilio_frames.services.openai.errors import is_passing, retry_after
from twilio_frames.services.retry_policy import ReplyDeadline, ReplyPolicy, Retries

__all__ = ["ChatReply", "Ending"]

Ask = Callable[[str], Awaitable[Any]]
"""Asks for a reply, or for the rest of one of which so much has been said; gives its chunks."""
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


class ChatReply:
    """The chunks of one reply, as Pipecat reads them.

    An attempt that fails is made again while the policy allows. If something had been said by
    then, the rest is asked for, and what repeats it is taken out: see
    :class:`twilio_frames.processors.replies.continuation.Continuation`. Function calls come whole,
    one chunk for each, and only once the reply is complete: a call that was cut off is never made.

    Where the end of the connection is the end of the body, as behind a proxy that speaks HTTP/1.0,
    a server that dies looks like one that is done. So a reply is complete when it says so: by a
    ``finish_reason``, or by the count of tokens, which comes last.

    Args:
        ask: Asks for it.
        policy: How long each part of it may take, and how often it is asked for.
        may_be_empty: Whether a reply without words and calls is one.
        note_unreadable: Is told the id of a call whose arguments are no JSON object; the call
            follows without arguments.
    """

    def __init__(
        self,
        ask: Ask,
        policy: ReplyPolicy,
        *,
        may_be_empty: bool,
        note_unreadable: Callable[[str], None],
    ):
        self._ask = ask
        self._policy = policy
        self._may_be_empty = may_be_empty
        self._note_unreadable = note_unreadable
        self._chunks: AsyncGenerator[ChatCompletionChunk, None] | None = None
        self._end = 0.0
        self.said = ""
        """What has been said so far."""

    def __aiter__(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Begins to ask."""
        return self._attempts()

    async def _attempts(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        now = time.monotonic()
        self._end = now + self._policy.reply_secs
        retries = Retries(self._policy, since=now)
        while True:
            try:
                async with aclosing(self._attempt()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except Exception as error:
                pause = retries.note_failure(wish_secs=retry_after(error) or 0.0)
                is_late = retries.are_spent or time.monotonic() + pause > self._end
                if is_late or not is_passing(error):
                    raise
            await asyncio.sleep(pause)

    async def _attempt(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        calls, rest, last = CallPieces(), Continuation(self.said), None
        async with aclosing(self._received()) as chunks:
            async for chunk in chunks:
                if chunk.choices and (delta := chunk.choices[0].delta):
                    delta.content = rest.add(delta.content or delta.refusal or "")
                    if delta.tool_calls:
                        # No word waits for the arguments of a call, which come behind the words.
                        delta.content += rest.finish()
                    calls.take(delta)
                    self.said += delta.content
                    last = chunk
                yield chunk
        text = rest.finish()
        if not (is_speakable(self.said + text) or calls.are_any or self._may_be_empty):
            raise ConnectionError(
                "expected a reply with words or a function call, got an empty one"
            )
        if last is not None:
            self.said += text
            for delta in self._final_deltas(text, calls):
                yield _with_delta(last, delta)

    def _final_deltas(self, text: str, calls: CallPieces) -> Iterator[ChoiceDelta]:
        if text:
            yield ChoiceDelta(content=text)
        yield from calls.whole(self._note_unreadable)

    async def _received(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The chunks of one attempt, as they come, each in time."""
        deadline = ReplyDeadline(self._policy, end=self._end)
        async with deadline.kept():
            stream = await self._ask(self.said)
        chunks, ending = aiter(stream), Ending()
        try:
            while True:
                async with deadline.kept():
                    chunk = await anext(chunks, None)
                if chunk is None:
                    ending.check()
                    return
                if not _is_chunk(chunk):
                    raise ConnectionError("expected a chat completion's chunk, got something else")
                deadline.note_piece(says_something=_says_something(chunk))
                ending.note(chunk)
                yield chunk
        finally:
            await _close(chunks, stream)


def _is_chunk(chunk: Any) -> bool:
    choices = getattr(chunk, "choices", None)
    if not isinstance(chunk, ChatCompletionChunk) or not isinstance(choices, list | None):
        return False
    return all(isinstance(getattr(one, "delta", None), ChoiceDelta | None) for one in choices or ())


def _says_something(chunk: ChatCompletionChunk) -> bool:
    """Whether there is more in it than the role, with which a reply begins."""
    if not chunk.choices:
        return False
    delta = chunk.choices[0].delta
    # Models that think aloud do so in a field of their own.
    return bool(delta.content or delta.refusal or delta.tool_calls or delta.model_extra)


def _with_delta(chunk: ChatCompletionChunk, delta: ChoiceDelta) -> ChatCompletionChunk:
    choice = chunk.choices[0].model_copy(update={"delta": delta})
    return chunk.model_copy(update={"choices": [choice], "usage": None})


async def _close(chunks: Any, stream: Any) -> None:
    # The iterator first: it holds the one that reads the response.
    for closed in (getattr(chunks, "aclose", None), getattr(stream, "close", None)):
        if closed is not None:
            await closed()
