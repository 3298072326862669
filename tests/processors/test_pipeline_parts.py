"""Where a processor stands in its pipeline, also one that nobody names."""

import asyncio

from pipecat.frames.frames import EndFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.workers.runner import WorkerRunner

from tests.processors.output_rig import FakeLine
from tests.transport.bots import speech
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.transport import TwilioParams


class Wrapper(FrameProcessor):
    """A processor of one's own around an output, of which Pipecat knows nothing."""

    def __init__(self, inner: FrameProcessor):
        super().__init__()
        self._inner = inner

    async def setup(self, setup: FrameProcessorSetup):
        await super().setup(setup)
        await self._inner.setup(setup)

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self._inner.process_frame(frame, direction)
        await self.push_frame(frame, direction)

    async def cleanup(self):
        await super().cleanup()
        await self._inner.cleanup()


async def test_output_inside_of_another_processor_speaks():
    line = FakeLine()
    wrapper = Wrapper(MulawOutput(line, TwilioParams()))
    worker = PipelineWorker(Pipeline([wrapper]), enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    await worker.queue_frames([*speech(0.5), EndFrame()])
    async with asyncio.timeout(30):
        await runner.run()

    assert len(line.audio()) >= 4000
