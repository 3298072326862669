"""A bot with a realtime model, on the phone, and what came of its calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import ErrorFrame, LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import LLMService

from tests.transport.bots import Tap
from twilio_frames.call import Call
from twilio_frames.frames import MulawInputFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.testing import Caller, CallResult
from twilio_frames.testing.callers.tones import tones
from twilio_frames.testing.vendors import RealtimeServer, SpokenReply

INSTRUCTIONS = "You answer the telephone of a bakery."
FILLER = tones("12")
APOLOGY = tones("789")
GREETING = SpokenReply.of("Good morning, bakery.")
LONG = SpokenReply.of("We have rye bread and wheat bread and buns and little rolls.")
ANSWER = SpokenReply.of("We open at seven.")
QUESTION = "And when do you open tomorrow?"


Make = Callable[[RealtimeServer], LLMService[Any]]


def ours(**options: Any) -> Make:
    """Our service, pointed at the server."""
    options = {
        "filler_audio": FILLER,
        "apology_audio": APOLOGY,
        "settings": PhoneOpenAIRealtimeLLMService.Settings(system_instruction=INSTRUCTIONS),
    } | options

    def make(server: RealtimeServer) -> LLMService[Any]:
        return PhoneOpenAIRealtimeLLMService(
            api_key="secret", base_url=server.realtime_url, **options
        )

    return make


@dataclass
class RealtimeBot:
    """Takes calls; keeps the conversation of the last one, and its errors."""

    server: RealtimeServer
    make: Make = field(default_factory=ours)
    strategies: Any = None
    context: LLMContext = field(default_factory=LLMContext)
    errors: list[str] = field(default_factory=list)
    tap: Tap = field(default_factory=Tap)
    functions: dict[str, Any] = field(default_factory=dict)
    llm: LLMService[Any] | None = None

    async def __call__(self, call: Call) -> None:
        aggregator = PhoneContextAggregator(self.context, turn_strategies=self.strategies)
        self.llm = llm = self.make(self.server)
        self.tap = Tap()
        for name, function in self.functions.items():
            llm.register_function(name, function)
        pipeline = Pipeline([
            call.transport.input(),
            PhoneVAD(),
            self.tap,
            aggregator.user(),
            llm,
            call.transport.output(),
            aggregator.assistant(),
        ])  # fmt: skip
        await call.run(pipeline, begin_with=[LLMRunFrame()])

    @property
    def messages(self) -> list[Any]:
        """What the memory holds."""
        return [message for message in self.context.get_messages() if isinstance(message, dict)]

    @property
    def said(self) -> list[str]:
        """What the memory holds of the bot, message by message."""
        return [
            str(message["content"])
            for message in self.messages
            if message["role"] == "assistant" and message.get("content")
        ]

    @property
    def told(self) -> list[str]:
        """The errors that were reported."""
        return [frame.error for frame, _ in self.tap.seen if isinstance(frame, ErrorFrame)]

    def has_transcript(self, words: str) -> bool:
        """Whether the service has taken in the transcript of what was said last."""
        return self.llm is not None and self.llm._session.last_transcript == words  # pyright: ignore

    def caller_audio(self) -> bytes:
        """What Twilio sent of the caller."""
        frames = [frame for frame, _ in self.tap.seen if isinstance(frame, MulawInputFrame)]
        return b"".join(frame.mulaw for frame in frames)


async def until_heard(caller: Caller, reply: SpokenReply) -> None:
    """Waits until the beginning of a reply has been heard."""
    begin = loud_part(reply.mulaw[:1600])
    assert await caller.wait_until(lambda: begin in loud_part(caller.heard_so_far), seconds=15)


def loud_part(mulaw: bytes) -> bytes:
    """Audio without its silence: a busy machine makes holes in it."""
    return mulaw.replace(b"\xff", b"")


def place(sound: bytes, result: CallResult) -> int:
    """Where a sound was heard first, silence apart; -1 if it was not."""
    return loud_part(result.heard_bot).find(loud_part(sound[:1600]))


def first_cut(result: CallResult) -> float:
    """Milliseconds of the bot's speech that were heard before the first cut, holes apart."""
    end = 0
    for span in result.heard_spans:
        if span.begin != end:
            break
        end = span.end
    return end / 8


def heard(reply: SpokenReply, result: CallResult) -> bool:
    """Whether a reply was heard whole, bit for bit."""
    return loud_part(reply.mulaw) in loud_part(result.heard_bot)


async def ask_when_bot_is_done(caller: Caller) -> None:
    await caller.wait_for_bot(silence=0.6)
    await caller.say(QUESTION)
    await caller.wait_for_bot(silence=0.6)
