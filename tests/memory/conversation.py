"""A whole call against the simulated Twilio, with what the caller heard and what was remembered."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.settings import LLMSettings
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Prompter  # pyright: ignore[reportMissingImports]
from truth_words import heard_words, said, sound  # pyright: ignore[reportMissingImports]

from tests.memory.voices import Voice, speaker
from tests.waiting import time_passes, until
from twilio_frames.call import Call, phone_worker
from twilio_frames.processors.clips import Clip, ClipWord
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.testing import Caller, Phone

LOOK_UP = "look_up"
CUT = "\N{EM DASH}"


class Memory(Enum):
    """Whose aggregators remember."""

    OURS = "PhoneContextAggregator"
    PIPECAT = "LLMContextAggregatorPair"


@dataclass(frozen=True)
class Look:
    """The LLM calls the function."""


@dataclass(frozen=True)
class Think:
    """The LLM takes its time.

    Parameters:
        seconds: How long.
    """

    seconds: float


Reply = Sequence[str | Look | Think]


class ScriptedLLM(LLMService):
    """Replies what was laid ready: texts, thoughts and function calls, in order."""

    def __init__(self):
        none: dict[str, Any] = {f.name: None for f in fields(LLMSettings) if f.name != "extra"}
        super().__init__(settings=LLMSettings(**none))
        self.replies: deque[Reply] = deque()
        self.runs = 0
        self._calls = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            self.runs += 1
            if self.replies:
                await self._reply(self.replies.popleft(), frame.context)
        else:
            await self.push_frame(frame, direction)

    async def _reply(self, reply: Reply, context: LLMContext) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        for part in reply:
            match part:
                case Look():
                    await self._look_up(context)
                case Think():
                    await time_passes(part.seconds)
                case str():
                    for word in part.split():
                        await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())

    async def _look_up(self, context: LLMContext) -> None:
        self._calls += 1
        call = FunctionCallFromLLM(
            function_name=LOOK_UP,
            tool_call_id=f"call{self._calls}",
            arguments={},
            context=context,
        )
        await self.run_function_calls([call])


def clip(text: str) -> Clip:
    """A text as it sounds here, with the true ends of its words."""
    words, end = [], 0
    for word in said(text):
        words.append(ClipWord(text=word.written, end=end + len(word.mulaw)))
        end += len(word.mulaw) + word.pause
    return Clip(mulaw=sound(said(text)), text=text, words=tuple(words))


class Ears(FrameProcessor):
    """Behind the output: which words the pipeline takes to have been heard, and who speaks."""

    def __init__(self):
        super().__init__()
        self.words: list[str] = []
        self.is_speaking = False
        self._changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        async with self._changed:
            match frame:
                case HeardTextFrame():
                    self.words.append(frame.text)
                case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                    self.is_speaking = isinstance(frame, BotStartedSpeakingFrame)
            self._changed.notify_all()
        await self.push_frame(frame, direction)

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(15), self._changed:
            await self._changed.wait_for(is_true)


class Gate(FrameProcessor):
    """Lets nothing by before it is opened, as a service does that is still connecting."""

    def __init__(self, opened: asyncio.Event):
        super().__init__()
        self._opened = opened

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self._opened.wait()
        await self.push_frame(frame, direction)


def _opened() -> asyncio.Event:
    opened = asyncio.Event()
    opened.set()
    return opened


MakeVoice = Callable[[Voice], FrameProcessor]


@dataclass
class Bot:
    """One call's bot, as a test plays it."""

    voice: Voice
    memory: Memory
    llm: ScriptedLLM = field(default_factory=ScriptedLLM)
    context: LLMContext = field(default_factory=LLMContext)
    prompter: Any = field(default_factory=Prompter)
    ears: Ears = field(default_factory=Ears)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    looked_up: asyncio.Event = field(default_factory=asyncio.Event)
    found: asyncio.Event = field(default_factory=asyncio.Event)
    worker: PipelineWorker | None = None
    call: Call | None = None
    greeting: Clip | None = None
    begins: asyncio.Event = field(default_factory=_opened)
    make_voice: MakeVoice = speaker

    async def __call__(self, call: Call) -> None:
        self.call = call
        aggregators = self._aggregators()
        self.llm.register_function(LOOK_UP, self._look_up)
        self.tts = self.make_voice(self.voice)
        self.worker = phone_worker(
            Pipeline(
                [
                    call.transport.input(),
                    self.prompter,
                    Gate(self.begins),
                    aggregators.user(),
                    self.llm,
                    self.tts,
                    call.transport.output(),
                    self.ears,
                    aggregators.assistant(),
                ]
            )
        )

        async def started(*_: object) -> None:
            self.ready.set()

        self.worker.add_event_handler("on_pipeline_started", started)
        await call.run(self.worker, greeting=self.greeting)

    def _aggregators(self) -> LLMContextAggregatorPair:
        if self.memory is Memory.OURS:
            return PhoneContextAggregator(self.context)
        # No caller speaks here; by default each pair would load a model that hears turns end.
        strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()])
        params = LLMUserAggregatorParams(user_turn_strategies=strategies)
        return LLMContextAggregatorPair(self.context, user_params=params)

    async def _look_up(self, params: FunctionCallParams) -> None:
        self.looked_up.set()
        await self.found.wait()
        await params.result_callback({"found": "it"})

    async def queue(self, *frames: Frame) -> None:
        assert self.worker is not None
        await self.worker.queue_frames(frames)

    async def interrupt(self) -> None:
        """As the user aggregator does when the caller's turn begins."""
        await self.prompter.broadcast_interruption()

    async def word(self, word: str) -> None:
        """Waits until a word has been heard."""
        await self.ears.until(lambda: any(word in one for one in self.ears.words))

    async def speaks(self, seconds: float) -> None:
        """Waits until the bot has been speaking for some time."""
        await self.ears.until(lambda: self.ears.is_speaking)
        await time_passes(seconds)

    async def silence(self) -> None:
        """Waits until the bot has said what it had to say."""
        await self.ears.until(lambda: not self.ears.is_speaking)

    async def remembers(self, is_true: Callable[[Sequence[str]], bool]) -> None:
        """Waits for something to be in the memory."""
        # A list of messages has nothing to await.
        await until(lambda: is_true(self.lines()), every=0.01)

    def lines(self) -> list[str]:
        """The memory, a line for each message."""
        return [_line(message) for message in self.context.get_messages()]


def _line(message: Any) -> str:
    if calls := message.get("tool_calls"):
        return "calls " + ", ".join(call["id"] for call in calls)
    return f"{message['role']}: {message.get('content')}"


def words_heard_of(ear: bytes, text: str) -> str:
    """Those words of a text that were heard to their ends, each of them once."""
    found = heard_words(ear, said(text))
    assert all(one.times == 1 for one in found)
    return " ".join(one.word.written for one in found)


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Parameters:
        lines: The memory, a line for each message.
        ear: All that was played to the caller, mu-law.
        words_off: By how many words the memory of a reply that was cut may be off.
    """

    name: str
    lines: list[str]
    ear: bytes = field(repr=False)
    runs: int
    words_off: int

    def heard(self, text: str) -> str:
        """Those words of a text that were heard to their ends."""
        return words_heard_of(self.ear, text)

    def remembers_cut(self, line: str, text: str) -> bool:
        """Whether a line holds the words that were heard of a text, and that it was cut."""
        heard, whole = self.heard(text).split(), text.split()
        allowed = range(len(heard) - self.words_off, len(heard) + self.words_off + 1)
        return any(line == f"assistant: {' '.join([*whole[:count], CUT])}" for count in allowed)


Talk = Callable[[Bot], Awaitable[None]]


@asynccontextmanager
async def call(bot: Bot) -> AsyncIterator[Caller]:
    async with Phone().call(bot) as caller, asyncio.timeout(30):
        await bot.ready.wait()
        yield caller


async def _talk(talk: Talk, voice: Voice, memory: Memory, make_voice: MakeVoice) -> Outcome:
    bot = Bot(voice, memory, make_voice=make_voice)
    async with call(bot) as caller:
        try:
            await talk(bot)
        except TimeoutError as error:
            raise AssertionError(f"{voice.value}, {memory.value}: {bot.lines()}") from error
        # What would be too much in the memory has time to get there.
        await time_passes(0.2)
        lines = bot.lines()
        await caller.hang_up()
        # Words that only their letters place may be off by one; so where their times are late.
        words_off = voice is not Voice.TIMES_FIRST
        name = f"{voice.value}, {memory.value}"
        return Outcome(name, lines, caller.result.heard_bot, bot.llm.runs, words_off)


Pair = tuple[Voice, Memory]
Outcomes = Callable[[Talk], Awaitable[list[Outcome]]]

ALL_PAIRS: tuple[Pair, ...] = tuple((voice, memory) for voice in Voice for memory in Memory)
SOME_PAIRS: tuple[Pair, ...] = (
    (Voice.TIMES_FIRST, Memory.PIPECAT),
    (Voice.TEXT_LAST, Memory.OURS),
)


async def have_talk(
    talk: Talk, pairs: Sequence[Pair], make_voice: MakeVoice = speaker
) -> list[Outcome]:
    """Has the same talk with each pair, all at once."""
    talks = [_talk(talk, voice, memory, make_voice) for voice, memory in pairs]
    found = await asyncio.gather(*talks, return_exceptions=True)
    errors = [one for one in found if isinstance(one, Exception)]
    if errors:
        raise ExceptionGroup("some of the calls went wrong", errors)
    return [one for one in found if isinstance(one, Outcome)]
