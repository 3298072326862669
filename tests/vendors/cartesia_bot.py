"""A bot with Cartesia's voice, on a call with the simulated Twilio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import ErrorFrame, Frame, LLMRunFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.memory.conversation import CUT, Ears, ScriptedLLM
from tests.waiting import until
from twilio_frames.audio import MULAW_SILENCE
from twilio_frames.call import Call, phone_worker
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.known_speech import said
from twilio_frames.testing.vendors import CartesiaServer


class Errors(FrameProcessor):
    """Notes what went wrong."""

    def __init__(self):
        super().__init__()
        self.frames: list[ErrorFrame] = []
        self.came = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            self.frames.append(frame)
            self.came.set()
        await self.push_frame(frame, direction)


class Prompter(FrameProcessor):
    """Interrupts when it is told to."""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


@dataclass
class Bot:
    """One call's bot, as a test plays it."""

    tts: PhoneCartesiaTTSService
    caller: Caller | None = None
    llm: ScriptedLLM = field(default_factory=ScriptedLLM)
    context: LLMContext = field(default_factory=LLMContext)
    prompter: Any = field(default_factory=Prompter)
    ears: Ears = field(default_factory=Ears)
    errors: Errors = field(default_factory=Errors)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    worker: PipelineWorker | None = None

    async def __call__(self, call: Call) -> None:
        aggregators = PhoneContextAggregator(self.context)
        transport = call.transport
        before = [transport.input(), self.prompter, aggregators.user(), self.errors, self.llm]
        behind = [transport.output(), self.ears, aggregators.assistant()]
        self.worker = phone_worker(Pipeline([*before, self.tts, *behind]))

        async def started(*_: object) -> None:
            self.ready.set()

        self.worker.add_event_handler("on_pipeline_started", started)
        await call.run(self.worker)

    async def queue(self, *frames: Frame) -> None:
        assert self.worker is not None
        await self.worker.queue_frames(frames)

    async def speak(self, *texts: str) -> None:
        """Says texts, each an utterance of its own."""
        await self.queue(*(TTSSpeakFrame(text) for text in texts))

    async def reply(self, text: str) -> None:
        """Has the LLM reply."""
        self.llm.replies.append([text])
        await self.queue(LLMRunFrame())

    async def interrupt(self) -> None:
        """As the user aggregator does when the caller's turn begins."""
        await self.prompter.broadcast_interruption()

    async def word(self, word: str) -> None:
        """Waits until a word has been heard."""
        await self.ears.until(lambda: any(word in one for one in self.ears.words))

    async def remembers(self, count: int, seconds: float = 15.0) -> list[str]:
        """Waits until the memory has so many messages; gives them."""
        # A list of messages has nothing to await.
        await until(lambda: len(self.lines()) >= count, seconds=seconds, every=0.02)
        return self.lines()

    def lines(self) -> list[str]:
        """What the bot remembers to have said."""
        messages: list[Any] = self.context.get_messages()
        return [str(message["content"]) for message in messages]

    @property
    def heard(self) -> bytes:
        """All that was played to the caller so far, mu-law."""
        assert self.caller is not None
        return self.caller.heard_so_far

    @property
    def heard_sound(self) -> bytes:
        """The same without silence, so also without the holes of a machine that is busy."""
        return without_silence(self.heard)

    def times_heard(self, text: str) -> list[int]:
        """How often each word of a text was heard, bit for bit and to its end."""
        sound = self.heard_sound
        return [sound.count(word.mulaw) for word in said(text)]

    async def hears(self, *texts: str) -> None:
        """Waits until each word of some texts has been heard."""
        await until(lambda: all(all(self.times_heard(text)) for text in texts), seconds=5)

    def begun(self, text: str) -> int:
        """How often the words of a text were begun, altogether."""
        sound = self.heard_sound
        return sum(sound.count(word.mulaw[:400]) for word in said(text))

    def heard_part(self, text: str) -> str:
        """What the memory of a text that was cut must be."""
        sound = self.heard_sound
        words = [word.written for word in said(text) if word.mulaw in sound]
        return " ".join([*words, CUT])


def without_silence(mulaw: bytes) -> bytes:
    """The sound in some audio; the words of the stand-in hold no silence."""
    return mulaw.translate(None, bytes([MULAW_SILENCE]))


@asynccontextmanager
async def call(cartesia: CartesiaServer, **options: Any) -> AsyncIterator[Bot]:
    """Rings a bot whose voice is this Cartesia's."""
    settings = PhoneCartesiaTTSService.Settings(voice="someone")
    async with cartesia:
        given = {"api_key": "secret", "url": cartesia.tts_url, "settings": settings, **options}
        bot = Bot(PhoneCartesiaTTSService(**given))
        async with Phone().call(bot) as caller, asyncio.timeout(40):
            bot.caller = caller
            await bot.ready.wait()
            yield bot
