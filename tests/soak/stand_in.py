"""A bot without a pipeline: what it says and remembers is kept by the real keeper, word by word."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext

from twilio_frames.call import Call
from twilio_frames.frames import RecordingFrame
from twilio_frames.processors.words import HeardTextFrame

__all__ = ["ASK", "GREETING", "StandIn", "answer_to", "utterance"]

WORD_SECS = 0.3
ECHO_SECS = 0.05
"""From the ear to the bot."""
MODEL_SECS = 0.3
UTTERANCE_SECS = 0.8
GREETING = "g0a g0b g0c g0d g0e g0f"
ASK = "again"


def utterance(number: int) -> str:
    """What the caller says."""
    return f"u{number}"


def answer_to(said: str) -> list[str]:
    """What a bot answers."""
    return [f"r{said[1:]}{letter}" for letter in "abcdef"]


class StandIn:
    """One bot.

    Args:
        call: Its call.
        heard: Told of each word that comes to the ear.
    """

    def __init__(self, call: Call, heard: Callable[[str], None]):
        self.call = call
        self.context = LLMContext()
        self.told: list[tuple[str, str]] = []
        """Recordings and how they stand, as it was told."""
        self.crash = asyncio.Event()
        self.leave = asyncio.Event()
        self.is_idle = False
        self.asks = False
        """Whether it asks the caller to say again what may have been lost."""
        self.pending = ""
        """What the caller says, until it is understood."""
        self._heard_at_ear = heard
        self._heard: list[str] = []
        self._said_by_caller: asyncio.Queue[str] = asyncio.Queue(64)
        # What came ahead of it waits for a pipeline.
        for frame in call._untold:  # type: ignore[reportPrivateUsage]
            self._take(frame)
        call.tell = self._tell

    async def _tell(self, frame: Frame) -> None:
        self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, RecordingFrame):
            self.told.append((frame.recording_sid, frame.status))

    def caller_says(self, text: str) -> None:
        """The caller begins to say something; one thing at a time."""
        self.pending = text
        self._said_by_caller.put_nowait(text)

    async def run(self) -> None:
        """Talks until the line ends, or it leaves, or fails."""
        talking = asyncio.create_task(self._talk())
        over = asyncio.create_task(self.call.line_ended())
        crash, leave = (
            asyncio.create_task(self.crash.wait()),
            asyncio.create_task(self.leave.wait()),
        )
        try:
            await asyncio.wait({talking, over, crash, leave}, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
            if crash.done():
                raise RuntimeError("the bot is broken")
            if leave.done():
                await self.call.hang_up()
        finally:
            for task in (talking, over, crash, leave):
                task.cancel()
            if self.call.keeper is not None:
                await self.call.keeper.close()

    async def _talk(self) -> None:
        resumed, keeper = self.call.resumed, self.call.keeper
        assert keeper is not None
        frames: list[Frame] = [TTSSpeakFrame(GREETING)]
        if resumed is not None and resumed.has_begun:
            resumed.restore(self.context)
            frames = resumed.frames(ASK, has_memory=True)
            self.asks = any(isinstance(one, TTSSpeakFrame) and one.text == ASK for one in frames)
        elif resumed is not None:
            # Nobody who lives knows of anything: it begins anew, and greets.
            self.asks = True
        keeper.begin(self.context)
        await asyncio.sleep(0.1)
        for frame in frames:
            await self._until_interrupted(self._do(frame))
        while True:
            self.is_idle = self._said_by_caller.empty()
            said = await self._said_by_caller.get()
            self.is_idle = False
            self._observe(UserStartedSpeakingFrame())
            await asyncio.sleep(UTTERANCE_SECS)
            self.context.add_message({"role": "user", "content": said})
            self.pending = ""
            self._observe(LLMContextFrame(self.context))
            await self._until_interrupted(self._answer())

    async def _until_interrupted(self, speaking: Any) -> None:
        task = asyncio.create_task(speaking)
        listening = asyncio.create_task(self._until_caller_speaks())
        try:
            await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._observe(UserStartedSpeakingFrame())
                self._observe(InterruptionFrame())
        finally:
            task.cancel()
            listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        # What is on its way of what was heard.
        await asyncio.sleep(2 * ECHO_SECS)
        if self._heard:
            self.context.add_message({"role": "assistant", "content": " ".join(self._heard)})
            self._heard = []

    async def _until_caller_speaks(self) -> None:
        while self._said_by_caller.empty():  # noqa: ASYNC110  # it stays in the queue
            await asyncio.sleep(0.05)

    async def _do(self, frame: Frame) -> None:
        if isinstance(frame, LLMRunFrame):
            await self._answer()
        elif isinstance(frame, TTSSpeakFrame):
            self._observe(frame)
            await self._say(frame.text.split())

    async def _answer(self) -> None:
        """The model goes on from what stands in the memory."""
        messages: list[Any] = list(self.context.messages)
        asked = [one["content"] for one in messages if one["role"] == "user"]
        if not asked:
            return
        known = " ".join(one["content"] for one in messages if one["role"] == "assistant").split()
        words = [word for word in answer_to(asked[-1]) if word not in known]
        self._observe(LLMFullResponseStartFrame())
        for part, is_last in ((words[:3], False), (words[3:], True)):
            await asyncio.sleep(MODEL_SECS)
            self._observe(LLMTextFrame("".join(f"{word} " for word in part)))
            if is_last:
                self._observe(LLMFullResponseEndFrame())
            await self._say(part)

    async def _say(self, words: list[str]) -> None:
        for word in words:
            await asyncio.sleep(WORD_SECS)
            self._heard_at_ear(word)
            asyncio.get_running_loop().call_later(ECHO_SECS, self._echoed, word)

    def _echoed(self, word: str) -> None:
        if self.call.end_reason is None:
            self._heard.append(word)
            self._observe(HeardTextFrame(word, "word"))

    def _observe(self, frame: Frame) -> None:
        assert self.call.keeper is not None
        nowhere: Any = None
        self.call.keeper.observe(
            FramePushed(
                source=nowhere, destination=nowhere, frame=frame, direction=nowhere, timestamp=0
            )
        )
