import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import run_test
from pipecat.workers.runner import WorkerRunner

from twilio_frames.local.llm import DialogueLLMService


@dataclass
class Said:
    text: str
    ends_call: bool = False


class Parrot:
    """Repeats the caller, until the caller says goodbye."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def greeting(self) -> Said:
        return Said("Hello.")

    def answer(self, text: str) -> Said:
        self.heard.append(text)
        return Said(f"{text}!", ends_call=text == "goodbye")


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def spoken(frames: Sequence[Frame]) -> str:
    return " ".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


async def turns(*conversations: Sequence[object]) -> tuple[str, list[str]]:
    """What a parrot says and hears when its context grows (or shrinks) to each of these."""
    parrot = Parrot()
    contexts = [LLMContextFrame(LLMContext(list(messages))) for messages in conversations]  # pyright: ignore[reportArgumentType] Plain dicts are messages.
    down, _ = await run_test(DialogueLLMService(parrot), frames_to_send=contexts)
    return spoken(down), parrot.heard


async def test_empty_context_brings_greeting():
    assert await turns([]) == ("Hello.", [])


async def test_greeting_is_said_once():
    said, heard = await turns([], [])

    assert said == "Hello. !"
    assert heard == [""]


async def test_instructions_are_no_words_of_caller():
    assert await turns([{"role": "system", "content": "Be kind."}]) == ("Hello.", [])


async def test_caller_who_speaks_first_is_answered():
    assert await turns([user("a latte")]) == ("a latte!", ["a latte"])


async def test_messages_since_last_turn_go_together():
    one, two, three = user("a latte"), user("a large one"), user("please")

    _, heard = await turns([one], [one, two, three])

    assert heard == ["a latte", "a large one please"]


async def test_message_is_read_once():
    one, two = user("a latte"), user("a latte")

    _, heard = await turns([one], [one, two])

    assert heard == ["a latte", "a latte"]


async def test_nothing_new_is_silence():
    one = user("a latte")

    _, heard = await turns([one], [one, {"role": "assistant", "content": "What size?"}])

    assert heard == ["a latte", ""]


async def test_trimmed_context_is_read_from_bots_last_words():
    trimmed = [user("older"), {"role": "assistant", "content": "What size?"}, user("large")]

    _, heard = await turns([user("a latte")], trimmed)

    assert heard == ["a latte", "large"]


async def test_text_parts_of_message_are_read():
    parts = [{"type": "text", "text": "a latte"}, {"type": "image_url", "image_url": {}}]

    _, heard = await turns([{"role": "user", "content": parts}])

    assert heard == ["a latte"]


async def test_run_frame_brings_greeting_in_pipeline():
    context = LLMContext()
    pair = LLMContextAggregatorPair(context)
    service = DialogueLLMService(Parrot())

    await run_test(
        Pipeline([pair.user(), service, pair.assistant()]), frames_to_send=[LLMRunFrame()]
    )

    assert context.get_messages() == [{"role": "assistant", "content": "Hello."}]


class Line(FrameProcessor):
    """The end of a pipeline: tells what arrived there, and that the bot has fallen silent."""

    def __init__(self) -> None:
        super().__init__()
        self.responded = asyncio.Event()
        self.interrupted = asyncio.Event()
        self.ended = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case LLMFullResponseEndFrame():
                self.responded.set()
            case InterruptionFrame():
                self.interrupted.set()
            case EndFrame():
                self.ended.set()
            case _:
                pass
        await self.push_frame(frame, direction)

    async def fall_silent(self) -> None:
        await self.push_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)


@asynccontextmanager
async def call(service: DialogueLLMService) -> AsyncIterator[tuple[PipelineWorker, Line]]:
    line = Line()
    worker = PipelineWorker(
        Pipeline([service, line]), cancel_on_idle_timeout=False, enable_rtvi=False
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        yield worker, line
    finally:
        await worker.cancel()
        await asyncio.wait_for(running, 5)


async def say(worker: PipelineWorker, line: Line, text: str) -> None:
    line.responded.clear()
    await worker.queue_frame(LLMContextFrame(LLMContext([user(text)])))  # pyright: ignore[reportArgumentType] Plain dicts are messages.
    await asyncio.wait_for(line.responded.wait(), 5)


async def test_call_ends_once_goodbye_was_heard():
    async with call(DialogueLLMService(Parrot())) as (worker, line):
        await say(worker, line, "goodbye")
        assert not line.ended.is_set()

        await line.fall_silent()

        await asyncio.wait_for(line.ended.wait(), 5)


async def test_call_goes_on_after_other_replies():
    async with call(DialogueLLMService(Parrot(), goodbye_limit=0)) as (worker, line):
        await say(worker, line, "a latte")
        await line.fall_silent()
        await say(worker, line, "large")

        assert not line.ended.is_set()


async def test_call_ends_without_end_of_goodbye():
    async with call(DialogueLLMService(Parrot(), goodbye_limit=0.01)) as (worker, line):
        await say(worker, line, "goodbye")

        await asyncio.wait_for(line.ended.wait(), 5)


async def test_interrupted_goodbye_waits_for_caller():
    async with call(DialogueLLMService(Parrot())) as (worker, line):
        await say(worker, line, "goodbye")
        await worker.queue_frame(InterruptionFrame())
        await asyncio.wait_for(line.interrupted.wait(), 5)
        await line.fall_silent()
        await say(worker, line, "actually make that a large")

        assert not line.ended.is_set()


async def test_interrupted_goodbye_ends_without_second_thoughts():
    async with call(DialogueLLMService(Parrot(), second_thoughts=0.01)) as (worker, line):
        await say(worker, line, "goodbye")
        await worker.queue_frame(InterruptionFrame())

        await asyncio.wait_for(line.ended.wait(), 5)
