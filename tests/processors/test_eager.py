import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ControlFrame,
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    InterimTranscriptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.workers.runner import WorkerRunner

from tests.transport.bots import Tap
from twilio_frames.frames import CallerSpeakingFrame, TurnLikelyOverFrame
from twilio_frames.processors.context import PhoneContextAggregator, phone_turn_strategies
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.turns.eager import EagerReplyStopStrategy

ON = VADUserStartedSpeakingFrame


def off() -> VADUserStoppedSpeakingFrame:
    return VADUserStoppedSpeakingFrame(stop_secs=0.6)


def likely() -> TurnLikelyOverFrame:
    return TurnLikelyOverFrame(0.3)


def words(text: str) -> TranscriptionFrame:
    return TranscriptionFrame(text, "", "", finalized=True)


def interim(text: str) -> InterimTranscriptionFrame:
    return InterimTranscriptionFrame(text, "", "")


@dataclass
class Waypoint(ControlFrame):
    """Tells that what was sent before it has arrived."""

    interruptible: bool = field(default=False, init=False)


class Parrot(PythonLLMService):
    """Says what it is told to have heard, once it may; calls a function if that is asked for."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []
        self.has_been_asked = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        heard = str(context.get_messages()[-1].get("content"))  # pyright: ignore[reportAttributeAccessIssue] They are plain dicts.
        async with self.has_been_asked:
            self.asked.append(heard)
            self.has_been_asked.notify_all()
        await self.may_answer.wait()
        if heard.startswith("book"):
            call = FunctionCallFromLLM("book", "call-1", {}, context)
            await self.run_function_calls([call])
            return
        yield f"You said {heard}"

    async def wait_until_asked(self, count: int) -> None:
        async with asyncio.timeout(10), self.has_been_asked:
            await self.has_been_asked.wait_for(lambda: len(self.asked) >= count)


class Conversation:
    """A caller before aggregator and LLM, and a tap behind them."""

    def __init__(self, pause_secs: float):
        strategies = phone_turn_strategies(eager=True, pause_secs=pause_secs)
        assert strategies.stop
        self.strategy = strategies.stop[0]
        assert isinstance(self.strategy, EagerReplyStopStrategy)
        self.context = PhoneContextAggregator(turn_strategies=strategies)
        self.before, self.llm, self.after = Tap(), Parrot(), Tap()
        parts = [self.context.user(), self.before, self.llm, self.after, self.context.assistant()]
        self.worker = PipelineWorker(Pipeline(parts), enable_rtvi=False)
        self._sent = 0

    async def happens(self, *frames: Frame) -> None:
        """Lets things happen one after the other; words would be overtaken by signals."""
        for frame in frames:
            await self.worker.queue_frame(frame)
            await self.worker.queue_frame(Waypoint())
            self._sent += 1
            await self.before.wait_for(Waypoint, count=self._sent)

    def said(self) -> list[str]:
        return [frame.text for frame in self.after.frames(LLMTextFrame)]  # pyright: ignore[reportAttributeAccessIssue]

    def remembered(self) -> list[str]:
        messages = self.context.context.get_messages()
        return [message.get("content") for message in messages]  # pyright: ignore[reportAttributeAccessIssue, reportReturnType]


@asynccontextmanager
async def conversation(*, pause_secs: float = 0.0) -> AsyncIterator[Conversation]:
    made = Conversation(pause_secs)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(made.worker)
    running = asyncio.create_task(runner.run())
    await made.happens(STTMetadataFrame(service_name="test", ttfs_p99_latency=5.0))
    try:
        yield made
    finally:
        made.llm.may_answer.set()
        await made.worker.queue_frame(EndFrame())
        async with asyncio.timeout(10):
            await running


async def test_reply_is_made_before_the_end_and_said_after_it():
    async with conversation() as call:
        await call.happens(ON(), interim("two coffees"), likely())
        await call.llm.wait_until_asked(1)
        assert call.said() == []
        assert call.remembered() == []

        await call.happens(off(), words("Two coffees."))
        await call.after.wait_for(LLMTextFrame)

        assert call.said() == ["You said two coffees"]
        assert call.llm.asked == ["two coffees"]
        assert call.remembered()[0] == "Two coffees."
        kinds = [type(frame) for frame, _ in call.after.seen]
        assert kinds.index(UserStoppedSpeakingFrame) < kinds.index(LLMTextFrame)


async def test_caller_who_goes_on_leaves_no_trace_of_it():
    async with conversation() as call:
        await call.happens(ON(), interim("two coffees"), likely())
        await call.llm.wait_until_asked(1)
        await call.happens(CallerSpeakingFrame(1.0), interim("two coffees and a tea"))
        await call.happens(off(), words("two coffees and a tea"))
        await call.after.wait_for(LLMFullResponseEndFrame)

        assert call.said() == ["You said two coffees and a tea"]
        assert call.remembered()[0] == "two coffees and a tea"
        assert len([text for text in call.remembered() if "coffees" in text]) == len(
            call.remembered()
        )


async def test_reply_under_way_is_stopped_when_the_caller_goes_on():
    async with conversation() as call:
        call.llm.may_answer.clear()
        await call.happens(ON(), interim("two coffees"), likely())
        await call.llm.wait_until_asked(1)
        await call.happens(CallerSpeakingFrame(1.0), off(), words("two coffees and a tea"))
        # The LLM is free for it: the first reply has been cancelled.
        await call.llm.wait_until_asked(2)
        call.llm.may_answer.set()
        await call.after.wait_for(LLMTextFrame)
        assert call.said() == ["You said two coffees and a tea"]


async def test_withdrawal_that_overtakes_its_reply_counts():
    async with conversation() as call:
        frames = [ON(), interim("two coffees"), likely(), CallerSpeakingFrame(1.0)]
        await call.happens(*frames[:2])
        # At once: the start of the reply is still on its way to the LLM.
        await call.worker.queue_frames(frames[2:])
        await call.happens(off(), words("two coffees and a tea"))
        await call.after.wait_for(LLMTextFrame)
        assert call.said() == ["You said two coffees and a tea"]


async def test_other_words_in_the_end_make_another_reply():
    async with conversation() as call:
        await call.happens(ON(), interim("two coffees"), likely(), off(), words("two toffees"))
        await call.after.wait_for(LLMTextFrame)
        assert call.said() == ["You said two toffees"]
        assert call.remembered()[0] == "two toffees"


async def test_functions_are_called_after_the_end_alone():
    booked: list[str] = []

    async def book(params: FunctionCallParams) -> None:
        booked.append(params.function_name)
        await params.result_callback({"done": True}, properties=None)

    async with conversation() as call:
        call.llm.register_function("book", book)
        await call.happens(ON(), interim("book a table"), likely())
        await call.llm.wait_until_asked(1)
        await call.happens(interim("book a table"))
        assert booked == []
        assert len(call.llm.asked) == 1

        await call.happens(off(), words("book a table"))
        await call.after.wait_for(FunctionCallInProgressFrame)
        await call.llm.wait_until_asked(2)
        assert booked == ["book"]


async def test_recogniser_without_interim_words_gains_what_is_left():
    async with conversation(pause_secs=0.2) as call:
        await call.happens(ON(), off(), words("two coffees"))
        await call.llm.wait_until_asked(1)
        assert call.after.frames(UserStoppedSpeakingFrame) == []
        await call.after.wait_for(LLMTextFrame)
        assert call.llm.asked == ["two coffees"]


async def test_caller_pauses_again_and_again():
    async with conversation() as call:
        said = ["one", "two", "three", "four", "five", "six"]
        await call.happens(ON())
        for count in range(1, len(said) + 1):
            await call.happens(interim(" ".join(said[:count])), likely(), CallerSpeakingFrame(1.0))
        await call.happens(off(), words(" ".join(said)))
        await call.after.wait_for(LLMTextFrame)
        assert call.said() == [f"You said {' '.join(said)}"]
        # Three of the pauses, and the turn's end.
        assert len(call.llm.asked) == 4


async def test_words_from_before_the_turn_make_it_wait():
    async with conversation() as call:
        await call.happens(BotStartedSpeakingFrame(), words("uh-huh"), BotStoppedSpeakingFrame())
        await call.happens(ON(), interim("two coffees"), likely())
        assert call.llm.asked == []
        await call.happens(off(), words("two coffees"))
        await call.after.wait_for(LLMTextFrame)
        assert call.said() == ["You said two coffees"]
