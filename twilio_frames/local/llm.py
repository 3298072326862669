"""A dialogue written in Python as the LLM of a bot: it greets, answers, and ends the call."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from twilio_frames.processors.llm import PythonLLMService

__all__ = ["Dialogue", "DialogueLLMService", "DialogueReply"]


class DialogueReply(Protocol):
    """What a dialogue says next."""

    @property
    def text(self) -> str:
        """The words to speak."""
        ...

    @property
    def ends_call(self) -> bool:
        """Whether the call is over once they have been heard."""
        ...


class Dialogue(Protocol):
    """A conversation with one caller. Both methods run on the event loop: they must be quick."""

    def greeting(self) -> DialogueReply:
        """What to say when the call begins."""
        ...

    def answer(self, text: str) -> DialogueReply:
        """What to say to the caller's words; to an empty text, what to say into a silence."""
        ...


class DialogueLLMService(PythonLLMService):
    """Speaks for a dialogue object, one per call.

    - A context without any words of the caller brings the greeting, so an ``LLMRunFrame`` queued
      at the start of the call is all that is needed to say it.
    - Words of the caller that arrived since the last turn, in one message or several, go to
      ``answer()`` together. If there are none (an ``LLMRunFrame`` after a silence), it gets ``""``.
    - A reply that ends the call is spoken to its end before the pipeline is asked to end. A caller
      who talks over it has second thoughts: the end waits for the answer to that.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        *,
        goodbye_limit: float = 20.0,
        second_thoughts: float = 8.0,
        **kwargs: Any,
    ):
        """Makes the service.

        Args:
            dialogue: The conversation of this call.
            goodbye_limit: Seconds after which the call ends even if no end of the last words was
                heard of.
            second_thoughts: Seconds that a caller who interrupts the last words has for saying
                something before the call ends all the same.
            **kwargs: Passed to ``PythonLLMService``.
        """
        # A dialogue that gives an empty text means it.
        kwargs.setdefault("may_be_silent", True)
        super().__init__(**kwargs)
        self._dialogue = dialogue
        self._goodbye_limit = goodbye_limit
        self._second_thoughts = second_thoughts
        self._begun = False
        self._last_read: object = None
        self._goodbye_heard = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        """Says the dialogue's greeting or its answer to the newest words."""
        reply = self._next_reply(context)
        self._goodbye_heard.clear()
        if reply.text:
            yield reply.text
        if reply.ends_call:
            self._ending = self.create_task(self._end_after_goodbye())

    def _next_reply(self, context: LLMContext) -> DialogueReply:
        messages = list(self._unread(context))
        begins, self._begun = not self._begun, True
        if messages:
            self._last_read = messages[0]
        elif begins:
            return self._dialogue.greeting()
        return self._dialogue.answer(" ".join(map(_text, reversed(messages))))

    def _unread(self, context: LLMContext) -> Iterator[Mapping[str, Any]]:
        """The caller's messages since the last turn, newest first."""
        messages = [message for message in context.get_messages() if isinstance(message, dict)]
        known = any(message is self._last_read for message in messages)
        for message in reversed(messages):
            if message is self._last_read:
                return
            # Where the last message read was trimmed away, the bot's last words are the border.
            if self._last_read and not known and message["role"] == "assistant":
                return
            if message["role"] == "user":
                yield message

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follows the last words of the call; responds as every LLM service does."""
        match frame:
            case BotStoppedSpeakingFrame():
                self._goodbye_heard.set()
            case InterruptionFrame() if self._ending:
                await self._stay()
                self._ending = self.create_task(self._end_after_second_thoughts())
            case LLMContextFrame() | EndFrame() | CancelFrame():
                await self._stay()
            case _:
                pass
        await super().process_frame(frame, direction)

    async def cleanup(self) -> None:
        """Forgets about ending the call."""
        await self._stay()
        await super().cleanup()

    async def _end_after_goodbye(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._goodbye_limit):
                await self._goodbye_heard.wait()
        await self.push_frame(EndWorkerFrame(reason="goodbye"))

    async def _end_after_second_thoughts(self) -> None:
        # The bot falling silent means nothing here: it was interrupted.
        await asyncio.sleep(self._second_thoughts)
        await self.push_frame(EndWorkerFrame(reason="goodbye"))

    async def _stay(self) -> None:
        ending, self._ending = self._ending, None
        if ending:
            await self.cancel_task(ending)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")
