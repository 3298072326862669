"""A bot that has called somebody, and whoever answers it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.answering.test_decider import speech
from tests.transport.bots import Tap
from twilio_frames.call import Call
from twilio_frames.call.answering import Answer, AnswerPolicy
from twilio_frames.frames import AnsweredByFrame, CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.testing import Caller, CallerOptions, Phone

MESSAGE = "Please call Ann back at four."
PURPOSE = "It is Ann about the order."
GREETING = "Good morning from Ann."
REPLY = "Anything else then?"


class Recogniser(FrameProcessor):
    """Transcribes what the test says was said."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)

    async def transcribe(self, text: str) -> None:
        await self.push_frame(TranscriptionFrame(text, "callee", "now"))


class Model(FrameProcessor):
    """Replies the same whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self.asked += 1
        reply = (LLMFullResponseStartFrame(), LLMTextFrame(REPLY), LLMFullResponseEndFrame())
        for each in reply:
            await self.push_frame(each)


@dataclass
class Outbound:
    """A call that was answered, from both sides."""

    recogniser: Recogniser = field(default_factory=Recogniser)
    model: Model = field(default_factory=Model)
    context: LLMContext = field(default_factory=LLMContext)
    tap: Tap = field(default_factory=Tap)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    call: Call | None = None
    first: "asyncio.Task[Answer] | None" = None
    ended: "asyncio.Future[CallEndReason | None] | None" = None

    @property
    def answers(self) -> list[Answer]:
        return [frame.answer for frame, _ in self.tap.seen if isinstance(frame, AnsweredByFrame)]

    @property
    def whos(self) -> list[str]:
        return [answer.answered_by.value for answer in self.answers]

    @property
    def memory(self) -> list[tuple[str, Any]]:
        return [
            (one["role"], one.get("content"))
            for one in self.context.get_messages()
            if isinstance(one, dict)
        ]


@asynccontextmanager
async def answered(
    phone: Phone,
    policy: AnswerPolicy,
    *,
    greeting: str | None = GREETING,
    options: CallerOptions | None = None,
) -> AsyncIterator[tuple[Caller, Outbound]]:
    """Has a bot's call answered; gives whoever answers, and the bot's side."""
    out = Outbound()

    async def bot(call: Call) -> None:
        out.call = call
        out.first = asyncio.create_task(call.wait_for_answer())
        out.ended = asyncio.get_running_loop().create_future()
        pair = PhoneContextAggregator(out.context)
        output = call.transport.output()
        parts = [call.transport.input(), out.tap, out.recogniser, pair.user(), out.model]
        pipeline = Pipeline([*parts, EspeakTTSService(), output, pair.assistant()])
        out.up.set()
        out.ended.set_result(await call.run(pipeline, greeting=greeting, answering=policy))

    async with phone.call(bot, options=options) as caller:
        yield caller, out


async def says(caller: Caller, out: Outbound, seconds: float, words: str) -> None:
    """Says something for so long, whose words are transcribed at its end."""
    await caller.say(speech(seconds))
    await out.recogniser.transcribe(words)
