"""A bot with two vendors for each role, whose words are known to the caller by their sound."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipecat.frames.frames import ErrorFrame, Frame, VADUserStartedSpeakingFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, TimedSpeaker  # pyright: ignore[reportMissingImports]
from truth_words import (  # pyright: ignore[reportMissingImports]
    HeardWord,
    bare_word,
    heard_words,
    said,
)

from tests.processors.fallback_rig import ScriptedLLM, ScriptedSTT, passed
from tests.transport.bots import Tap
from tests.waiting import until
from twilio_frames.call import Call
from twilio_frames.frames import VendorSwitchedFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.fallback import LLMFallback, STTFallback, TTSFallback
from twilio_frames.processors.fallback.vendor_health import VendorList
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing import Caller, Phone

FILLER = "Zoni bepa."
APOLOGY = "Wudu mika leto."
HELLO = "Hello there."
"""What the caller is heard to say, whatever it is read as."""


class Scribe(UtteranceSTTService):
    """Knows what was said, and how much of it came here."""

    def __init__(self, *words: str):
        super().__init__(ttfs_p99_latency=0.1)
        self.words = deque(words)
        self.seconds: list[float] = []

    async def transcribe(self, pcm: bytes) -> str | None:
        self.seconds.append(len(pcm) / 2 / self.sample_rate)
        return self.words.popleft() if self.words else "more"


class BreakingSTT(ScriptedSTT):
    """Reports an error in the middle of each utterance, or where it begins."""

    def __init__(self, category: ErrorCategory, *, frames: int = 15):
        super().__init__("breaking", is_deaf=True)
        self._category = category
        self._frames = frames
        self._left = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._left = self._frames

    async def run_stt(self, audio: bytes):
        if self._left:
            self._left -= 1
            if not self._left:
                await self.break_down(self._category)
        yield None


class RefusedVoice(TTSService):
    """A voice whose vendor does not take the key."""

    async def run_tts(self, text: str, context_id: str):
        yield ErrorFrame("refused", category=ErrorCategory.AUTHENTICATION)


class DroppedVoice(TimedSpeaker):
    """A voice whose connection breaks in the middle of an utterance."""

    async def _speak(self, context_id: str, words: list[Any]) -> None:
        asyncio.get_running_loop().call_later(0.4, self._broken.set)
        await super()._speak(context_id, words)

    async def start(self, frame) -> None:
        await super().start(frame)
        self._broken = asyncio.Event()
        self._watch = self.create_task(self._break())

    async def _break(self) -> None:
        await self._broken.wait()
        assert self._provider is not None
        await self.cancel_task(self._provider)
        self._provider = None
        await self.push_error("the connection broke", category=ErrorCategory.CONNECTIVITY)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self.cancel_task(self._watch)


class Line(FrameProcessor):
    """Notes the errors that go up the pipeline."""

    def __init__(self):
        super().__init__()
        self.errors: list[ErrorFrame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame)
        await self.push_frame(frame, direction)


@dataclass
class TwoVendorsBot:
    """One call's bot. What is not given is done by one that is well."""

    vendors: VendorList = field(default_factory=VendorList)
    stt: Sequence[STTService] = ()
    llm: Sequence[LLMService[Any]] = ()
    tts: Sequence[TTSService] = ()
    options: dict[str, Any] = field(default_factory=dict)
    context: LLMContext = field(default_factory=LLMContext)
    before: Line = field(default_factory=Line)
    after: Tap = field(default_factory=Tap)

    def __post_init__(self):
        self.scribe = Scribe()
        self.stt = self.stt or (self.scribe,)
        self.llm = self.llm or (ScriptedLLM(),)
        self.tts = self.tts or (TimedSpeaker(Behaviour()),)

    async def __call__(self, call: Call) -> None:
        aggregators = PhoneContextAggregator(self.context)
        await call.run(
            Pipeline([
                call.transport.input(),
                PhoneVAD(),
                self.before,
                self._one_of(self.stt, STTFallback, "ears", apology=APOLOGY),
                aggregators.user(),
                self._one_of(
                    self.llm, LLMFallback, "mind",
                    patience_secs=1.0, fillers=[FILLER], filler_after=0.7, apology=APOLOGY,
                ),
                self._one_of(self.tts, TTSFallback, "voice"),
                self.after,
                call.transport.output(),
                aggregators.assistant(),
            ])
        )  # fmt: skip

    def _one_of(self, services: Sequence[Any], kind: Any, name: str, **usual: Any) -> Any:
        if len(services) == 1:
            return services[0]
        names = [f"{name} {number}" for number in range(1, len(services) + 1)]
        settings = {**usual, **self.options, "vendors": self.vendors, "names": names}
        return kind(services, **settings)

    @property
    def switches(self) -> list[tuple[str, str]]:
        frames = passed(self.after, VendorSwitchedFrame)
        return [(frame.vendor, frame.successor) for frame in frames]

    async def remembers(self, *lines: str) -> None:
        """Waits until the memory is this, a line for each message."""
        try:
            # A list of messages has nothing to await.
            await until(lambda: self.lines() == list(lines), seconds=8, every=0.05)
        except TimeoutError:
            raise AssertionError(f"expected {lines}, got {self.lines()}") from None

    def lines(self) -> list[str]:
        messages: list[Any] = self.context.get_messages()
        return [f"{message['role']}: {message['content']}" for message in messages]


class Talk:
    """The caller, and which of the bot's words were heard, each by its sound."""

    def __init__(self, caller: Caller, *texts: str):
        self.caller = caller
        self._words = {word.text: word for text in (*texts, FILLER, APOLOGY) for word in said(text)}
        self.spoke_at = 0

    async def say(self) -> None:
        """Says something."""
        await self.caller.say(HELLO)
        self.spoke_at = len(self.caller.heard_so_far)

    async def hears(self, text: str) -> None:
        """Waits until this is what was heard since the caller last spoke, no more and no less."""
        wanted = [bare_word(word) for word in text.split()]
        with suppress(TimeoutError):
            # An ear has nothing to await.
            await until(lambda: len(self.heard()) >= len(wanted), seconds=20, every=0.2)
        assert self.heard() == wanted

    def heard(self) -> list[str]:
        """All words heard to their ends since the caller last spoke, in order."""
        ear = self.caller.heard_so_far
        found: list[HeardWord] = []
        for word in self._words.values():
            begin = self.spoke_at
            while one := heard_words(ear, [word], begin=begin):
                found += one
                begin = one[0].ended_at
        return [one.word.text for one in sorted(found, key=lambda one: one.ended_at)]

    @property
    def silence(self) -> float:
        """Seconds from where the caller stopped to the first of the bot's words."""
        ear = self.caller.heard_so_far
        ends = [
            one.ended_at - len(word.mulaw)
            for word in self._words.values()
            for one in heard_words(ear, [word], begin=self.spoke_at)
        ]
        return (min(ends) - self.spoke_at) / 8000


@asynccontextmanager
async def talking(phone: Phone, bot: TwoVendorsBot, *texts: str) -> AsyncIterator[Talk]:
    """Rings the bot; it will say these texts."""
    async with phone.call(bot) as caller, asyncio.timeout(40):
        yield Talk(caller, *texts)
        assert caller.is_connected
