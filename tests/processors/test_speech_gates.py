"""Clips go the way of all speech, past whoever may hold it back."""

import asyncio

from pipecat.extensions.voicemail.voicemail_detector import TTSGate
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.sync.event_notifier import EventNotifier
from pipecat.workers.runner import WorkerRunner

from tests.processors.fallback_rig import ScriptedTTS
from tests.processors.output_rig import FakeLine
from tests.transport.bots import Tap
from tests.waiting import until
from twilio_frames.call import Call
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.processors.pipeline.gates import speech_gates
from twilio_frames.processors.replies.filler import SilenceFiller
from twilio_frames.protocol import SendMedia
from twilio_frames.testing.phone import Phone
from twilio_frames.transport import TwilioParams

CLIP = Clip(text="one two", mulaw=bytes([0x20, 0xA0] * 1600))


class Gate(FrameProcessor):
    """Keeps speech until a key is pressed."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[Frame, FrameDirection]] = []
        self._is_open = False

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and not self._is_open:
            self._kept.append((frame, direction))
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame):
            self._is_open = True
            for kept in self._kept:
                await self.push_frame(*kept)


class Taking(FrameProcessor):
    """Takes the bot's audio for a recording, and lets it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = b""

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputAudioRawFrame):
            self.audio += frame.audio
        await self.push_frame(frame, direction)


async def test_voicemail_gate_holds_clips():
    conversation, voicemail, line, tap, behind = (
        EventNotifier(), EventNotifier(), FakeLine(), Tap(), Tap()
    )  # fmt: skip
    gate, ahead = TTSGate(conversation, voicemail), Taking()
    output = MulawOutput(line, TwilioParams())
    worker = PipelineWorker(
        Pipeline([ahead, gate, tap, output, behind]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frames([SpeakClipFrame(CLIP), InterruptionFrame()])
    await tap.wait_for(InterruptionFrame)
    assert tap.frames(SpeakClipFrame) == []

    await conversation.notify()
    await behind.wait_for(BotStoppedSpeakingFrame)
    await worker.cancel()
    await running

    assert line.audio() == CLIP.mulaw
    # Whoever listens in ahead of the output hears the clip, too.
    assert len(ahead.audio) == 2 * len(CLIP.mulaw)
    assert len(behind.frames(SpeakClipFrame)) == 1


def test_gates_are_what_may_hold_speech_behind_the_voice():
    output = MulawOutput(FakeLine(), TwilioParams())

    def gates(*processors: FrameProcessor) -> list[str]:
        return speech_gates(Pipeline([*processors, output, Gate()]))

    voice = ScriptedTTS()
    assert gates(Gate(), voice, IdentityFilter(), AudioBufferProcessor(), SilenceFiller()) == []
    assert gates(voice, Gate()) == ["Gate"]
    assert gates(Pipeline([voice, Pipeline([Gate()])])) == ["Gate"]
    assert gates(ParallelPipeline([voice], [IdentityFilter()]), Gate()) == ["Gate"]
    # Without a service there is no telling where the voice is.
    assert gates(Gate(), IdentityFilter()) == ["Gate"]


async def test_recorded_greeting_goes_by_the_gate():
    async def bot(call: Call):
        await call.run(
            Pipeline([call.transport.input(), Gate(), call.transport.output()]), greeting=CLIP
        )

    async with Phone(seed=1).call(bot) as caller:
        await caller.wait(0.6)
        heard_before = CLIP.mulaw in caller.heard_so_far
        await caller.press("1")
        await caller.wait_for_bot()
        await caller.hang_up()

    assert not heard_before
    assert CLIP.mulaw in caller.heard_so_far


async def test_greeting_without_a_gate_does_not_wait_for_the_pipeline():
    line = FakeLine()
    output = MulawOutput(line, TwilioParams())
    assert speech_gates(Pipeline([ScriptedTTS(), output])) == []

    await output.say_first(SpeakClipFrame(CLIP))
    await until(lambda: line.of(SendMedia))
    assert line.of(SendMedia)
