"""A memory on either side of a voice, on a line that is slow to tell what was heard."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.processors.output_rig import FakeLine
from tests.transport.bots import tone
from tests.waiting import until
from twilio_frames.audio import encode_mulaw
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.words import HeardTextFrame
from twilio_frames.protocol import Clear
from twilio_frames.transport import TwilioParams

SECONDS_A_WORD = 0.2

Line = tuple[str, Any]


class SlowLine(FakeLine):
    """A line on which it takes a while to learn where the voice stopped.

    Args:
        round_trip: Seconds until ``clear`` is answered.
    """

    def __init__(self, round_trip: float):
        super().__init__()
        self._round_trip = round_trip

    async def clear(self) -> bool:
        if not await self.send(Clear()):
            return False
        loop = asyncio.get_running_loop()
        self.playback.clear_sent(["fence"], loop.time())
        loop.call_later(self._round_trip, self.echo, "fence")
        return True


class Mind(FrameProcessor):
    """Stands where an LLM does: keeps what it is asked with, and says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[Line]] = []
        self._changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.DOWNSTREAM:
            async with self._changed:
                self.asked.append(lines_of(frame.context))
                self._changed.notify_all()

    async def is_asked(self, *, count: int = 1) -> list[Line]:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= count)
        return self.asked[count - 1]


class Ear(FrameProcessor):
    """Right behind the output: which words were heard."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, HeardTextFrame):
            async with self._changed:
                self.words.append(frame.text)
                self._changed.notify_all()
        await self.push_frame(frame, direction)

    async def hears(self, word: str) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: word in self.words)


class Talk:
    """One call: a caller who is played by frames, a bot whose speech is as well.

    Args:
        pair: The memory's two ends.
        round_trip: See :class:`SlowLine`.
        before: What stands before the memory.
        between: What stands between the LLM and the output.
    """

    def __init__(
        self,
        pair: LLMContextAggregatorPair,
        *,
        round_trip: float = 0.15,
        before: Sequence[FrameProcessor] = (),
        between: Sequence[FrameProcessor] = (),
        params: TwilioParams | None = None,
    ):
        self.pair = pair
        self.line = SlowLine(round_trip)
        self.mind, self.ear = Mind(), Ear()
        output = MulawOutput(self.line, params or TwilioParams())
        parts = [*before, pair.user(), self.mind, *between, output, self.ear, pair.assistant()]
        self.worker = PipelineWorker(
            Pipeline(parts),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
        )

    async def happens(self, *frames: Frame) -> None:
        await self.worker.queue_frames(frames)

    async def remembers(self, count: int) -> list[Line]:
        """Waits for so many messages to be in the memory."""
        # A list of messages has nothing to await.
        await until(lambda: len(self.memory()) >= count, every=0.01)
        return self.memory()

    def memory(self) -> list[Line]:
        return lines_of(self.pair.user().context)


@asynccontextmanager
async def talk(pair: LLMContextAggregatorPair, **options: Any) -> AsyncIterator[Talk]:
    made = Talk(pair, **options)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(made.worker)
    running = asyncio.create_task(runner.run())
    try:
        yield made
    finally:
        await made.worker.cancel()
        await running


def speech(text: str, context_id: str = "speech", *, interruptible: bool = True) -> list[Frame]:
    """What is said by itself, a fifth of a second a word."""
    audio = MulawOutputFrame.of(
        encode_mulaw(tone(SECONDS_A_WORD * len(text.split()))), context_id=context_id
    )
    frames: list[Frame] = [
        TTSStartedFrame(context_id=context_id),
        audio,
        TTSTextFrame(text, "sentence", context_id=context_id),
        TTSStoppedFrame(context_id=context_id),
    ]
    for frame in frames:
        frame.interruptible = interruptible
    return frames


def reply(text: str, context_id: str = "reply") -> list[Frame]:
    """What an LLM says."""
    return [LLMFullResponseStartFrame(), *speech(text, context_id), LLMFullResponseEndFrame()]


def words(text: str) -> TranscriptionFrame:
    return TranscriptionFrame(text, "", "", finalized=True)


def lines_of(context: LLMContext) -> list[Line]:
    return [
        (message["role"], message.get("content"))
        for message in context.get_messages()
        if isinstance(message, dict)
    ]
