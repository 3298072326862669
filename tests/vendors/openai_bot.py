"""A bot that thinks with OpenAI's service, whose caller says what a test lays ready."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pipecat.frames.frames import ErrorFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.tts_service import TTSService

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, TimedSpeaker  # pyright: ignore[reportMissingImports]
from truth_words import (  # pyright: ignore[reportMissingImports]
    TAIL,
    bare_word,
    burst,
)

from tests.waiting import time_passes, until
from twilio_frames.audio import MULAW_SILENCE
from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.replies.filler import FILLERS
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors import OpenAIServer

HELLO = "Hello there."
"""What the caller is heard to say, whatever it is read as."""

SORRY = "Sorry, once more."


class Scribe(UtteranceSTTService):
    """Knows what was said, whatever it sounded like."""

    def __init__(self):
        super().__init__(ttfs_p99_latency=0.1)
        self.said: deque[str] = deque()

    async def transcribe(self, pcm: bytes) -> str | None:
        return self.said.popleft() if self.said else None


class ThinkingBot:
    """One call's bot.

    Args:
        server: Who thinks.
        tts: What it speaks with.
        options: More arguments of the service.
    """

    def __init__(
        self,
        server: OpenAIServer,
        *,
        model: str = "gpt-4.1",
        tts: TTSService | None = None,
        **options: Any,
    ):
        self.server = server
        self._tts = tts or TimedSpeaker(Behaviour())
        self.options = {"apology": SORRY, **options}
        self._model = model
        self.scribe = Scribe()
        self.errors: list[ErrorFrame] = []
        self.orders: list[dict[str, Any]] = []
        self.order_secs = 0.0
        self.order_error: Exception | None = None
        self.context = LLMContext(tools=[self.order])
        self.llm: PhoneOpenAILLMService | None = None

    async def mind(self) -> FrameProcessor:
        """Who thinks, in one call."""
        self.llm = PhoneOpenAILLMService(
            base_url=self.server.base_url,
            api_key="sk-of-the-tests",
            settings=PhoneOpenAILLMService.Settings(model=self._model),
            **self.options,
        )
        return self.llm

    async def __call__(self, call: Call) -> None:
        async def take(_: object, frame: ErrorFrame) -> None:
            self.errors.append(frame)

        mind = await self.mind()
        mind.add_event_handler("on_error", take)
        aggregators = PhoneContextAggregator(self.context)
        await call.run(
            Pipeline([
                call.transport.input(),
                PhoneVAD(),
                self.scribe,
                aggregators.user(),
                mind,
                self._tts,
                call.transport.output(),
                aggregators.assistant(),
            ])
        )  # fmt: skip

    async def order(self, params: FunctionCallParams, drink: str, size: str) -> None:
        """Orders a drink.

        Args:
            drink: What drink.
            size: How large.
        """
        self.orders.append({"drink": drink, "size": size})
        await time_passes(self.order_secs)
        if self.order_error is not None:
            raise self.order_error
        await params.result_callback({"number": 7})

    async def remembers(self, *lines: str) -> None:
        """Waits until the memory is this, a line for each message."""
        try:
            # A list of messages has nothing to await.
            await until(lambda: self.lines() == list(lines), seconds=5, every=0.05)
        except TimeoutError:
            raise AssertionError(f"expected {lines}, got {self.lines()}") from None

    def lines(self) -> list[str]:
        """The memory, a line for each message."""
        return [_line(message) for message in self.context.get_messages()]


def _line(message: Any) -> str:
    if calls := message.get("tool_calls"):
        return "calls " + ", ".join(call["function"]["name"] for call in calls)
    return f"{message['role']}: {message.get('content')}"


class Talk:
    """The caller, with the words that the bot gets to read.

    Each word of the bot has a sound of its own, so what was heard is known to the word.
    """

    def __init__(self, caller: Caller, bot: ThinkingBot):
        self.caller = caller
        self._bot = bot
        self._spoke_at = 0

    async def say(self, words: str) -> None:
        """Says something; what is read of it are these words."""
        self._bot.scribe.said.append(words)
        await self.caller.say(HELLO)
        self._spoke_at = len(self.caller.heard_so_far)

    async def ask(self, words: str, answer: str) -> None:
        """Says something, and hears just this as the answer."""
        await self.say(words)
        await self.hears(answer)

    async def hears(self, text: str) -> None:
        """Waits until this is what was heard since the caller last spoke, no more and no less."""
        wanted = [bare_word(word) for word in text.split()]
        try:
            # An ear has nothing to await.
            await until(lambda: len(self.heard()) >= len(wanted), seconds=15, every=0.2)
        finally:
            assert self.heard() == wanted, self.heard()

    def heard(self) -> list[str]:
        """All words heard to their ends since the caller last spoke, in order."""
        ear = self.caller.heard_so_far[self._spoke_at :]
        # Words are the only sound, so with or without holes they are whole without the silence.
        sounding = ear.replace(bytes([MULAW_SILENCE]), b"")
        texts = (SORRY, *FILLERS, *(asked.said for asked in self._bot.server.asked))
        found: list[tuple[int, str]] = []
        for word in {word for text in texts for word in map(bare_word, text.split()) if word}:
            end = burst(word)[-TAIL:]
            at = sounding.find(end)
            while at >= 0:
                found.append((at, word))
                at = sounding.find(end, at + TAIL)
        return [word for _, word in sorted(found)]


@asynccontextmanager
async def talking(
    phone: Phone, bot: ThinkingBot, *, keep_errors: bool = False
) -> AsyncIterator[Talk]:
    """Rings the bot."""
    async with phone.call(bot, keep_errors=keep_errors) as caller, asyncio.timeout(40):
        yield Talk(caller, bot)
