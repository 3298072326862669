"""The bot's audio goes on behind the output when it is heard: no sooner, and all of it."""

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.processors.output_rig import FakeLine
from tests.transport.bots import Tap, speech
from tests.waiting import time_passes
from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame, HeardAudioFrame
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.transport import TwilioParams

PCM_BYTES = 2


class Behind(FrameProcessor):
    """Notes what comes out of the output, and how far the ear was then."""

    def __init__(self, line: FakeLine):
        super().__init__()
        self._line = line
        self.told = 0
        self.most_ahead = 0
        self.order: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputAudioRawFrame):
            self.told += len(frame.audio) // PCM_BYTES
            self.most_ahead = max(self.most_ahead, self.told - self._line.playback.heard)
        if not self.order or self.order[-1] != type(frame).__name__:
            self.order.append(type(frame).__name__)
        await self.push_frame(frame, direction)


async def spoken(play: Callable[[PipelineWorker, Tap], Awaitable[None]]) -> tuple[FakeLine, Behind]:
    line, tap = FakeLine(), Tap()
    behind = Behind(line)
    worker = PipelineWorker(
        Pipeline([tap, MulawOutput(line, TwilioParams()), behind]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await play(worker, tap)
    await worker.cancel()
    await running
    return line, behind


async def test_audio_is_told_of_as_it_is_heard():
    async def play(worker: PipelineWorker, tap: Tap):
        await worker.queue_frames(speech(0.6))
        await tap.wait_for(BotStoppedSpeakingFrame)

    line, behind = await spoken(play)

    assert behind.most_ahead <= 0
    assert behind.told == len(line.heard) == 0.6 * 8000
    heard = [name for name in behind.order if name.startswith(("Bot", "Heard"))]
    assert heard[0] == "BotStartedSpeakingFrame"
    assert heard[-2:] == ["HeardAudioFrame", "BotStoppedSpeakingFrame"]


async def test_what_an_interruption_left_unheard_is_not_told_of():
    async def play(worker: PipelineWorker, tap: Tap):
        await worker.queue_frames(speech(3.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await time_passes(0.3)
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    line, behind = await spoken(play)

    assert 0 < behind.told < 2.9 * 8000
    assert behind.told == len(line.heard)
    names = [name for name in behind.order if name in {"HeardAudioFrame", "InterruptionFrame"}]
    assert names[-1] == "InterruptionFrame"


async def told_on(*, to_end: bool, behind: list[FrameProcessor]) -> set[type[Frame]]:
    """What an output pushes that comes again and again, with nobody behind it but these."""
    tap, output = Tap(), MulawOutput(FakeLine(), TwilioParams())
    memory = PhoneContextAggregator(LLMContext())
    worker = PipelineWorker(
        Pipeline([tap, memory.user(), output, *behind, memory.assistant()]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    if to_end:
        worker.add_reached_downstream_filter((TTSAudioRawFrame,))
    pushed: list[Frame] = []

    async def note(_: FrameProcessor, frame: Frame) -> None:
        pushed.append(frame)

    output.add_event_handler("on_before_push_frame", note)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frame(InputAudioRawFrame(bytes(320), 8000, 1))
    await worker.queue_frames([CallerSpeakingFrame(0.2), CallerPausedFrame(0.2, 0.1)])
    await worker.queue_frames(speech(0.3))
    await tap.wait_for(BotStoppedSpeakingFrame)
    await worker.cancel()
    await running
    kinds = {InputAudioRawFrame, HeardAudioFrame, CallerSpeakingFrame, CallerPausedFrame}
    return kinds & {type(frame) for frame in pushed}


async def test_what_comes_again_and_again_goes_on_where_anybody_may_take_it():
    assert not await told_on(to_end=False, behind=[])
    assert len(await told_on(to_end=True, behind=[])) == 4
    assert len(await told_on(to_end=False, behind=[AudioBufferProcessor()])) == 4
    assert len(await told_on(to_end=False, behind=[Pipeline([IdentityFilter()])])) == 4


async def test_clip_is_told_of_once():
    clip = Clip(text="one two", mulaw=bytes([0x20, 0xA0] * 1600))

    async def play(worker: PipelineWorker, tap: Tap):
        await worker.queue_frame(SpeakClipFrame(clip))
        await tap.wait_for(BotStoppedSpeakingFrame)

    _, behind = await spoken(play)

    assert behind.told == len(clip.mulaw)
