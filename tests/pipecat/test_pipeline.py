"""What a worker is told: metrics, rates, heartbeats, an idle time-out, RTVI, tracing."""

import pytest
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    HeartbeatFrame,
    InputAudioRawFrame,
    MetricsFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIProcessor

from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, ToneTTS, calling
from tests.waiting import time_passes


class Told(FrameProcessor):
    """Notes the rate it is told, and those of the audio it gets."""

    def __init__(self):
        super().__init__()
        self.told = 0
        self.fed: set[int] = set()

    async def setup(self, setup):
        await super().setup(setup)
        self.told = setup.audio_in_sample_rate

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.fed.add(frame.sample_rate)
        await self.push_frame(frame, direction)


@feature("`PipelineParams(enable_metrics=True)`", "metrics, at the rates that were given")
async def test_metrics_and_rates(side: Side):
    told = Told()
    wanted = {"enable_metrics": True, "enable_usage_metrics": True}
    bot = Bot(ahead=[told, ToneTTS()], pipeline_params=wanted)
    async with calling(side, bot) as caller:
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()

    assert told.fed == {told.told} == {8000}
    metrics = [frame for frame, _ in bot.after.seen if isinstance(frame, MetricsFrame)]
    named = {type(one).__name__ for frame in metrics for one in frame.data}
    assert {"TTSUsageMetricsData", "TTFBMetricsData"} <= named


@feature("`PipelineParams(enable_heartbeats=True)`", "heartbeats pass through to the end")
async def test_heartbeats_pass(side: Side):
    beats = {"enable_heartbeats": True, "heartbeats_period_secs": 0.2}
    bot = Bot(ahead=[ToneTTS()], pipeline_params=beats)
    async with calling(side, bot) as caller:
        await bot.say("one two three four")
        await caller.wait(1.5)
        await caller.hang_up()

    assert len(bot.after.frames(HeartbeatFrame)) >= 5


@feature("`idle_timeout_secs` of the worker", "a call in which nothing happens is ended")
async def test_idle_pipeline_is_ended(side: Side):
    bot = Bot(options={"idle_timeout_secs": 1.0})
    async with calling(side, bot) as caller:
        await caller.wait_for_end(seconds=5)
        assert caller.result.seconds < 4


@feature("RTVI", "it runs, and its messages, which no phone reads, are left out")
async def test_rtvi_is_left_out(side: Side):
    bot = Bot(ahead=[ToneTTS()], options={"enable_rtvi": True})
    async with calling(side, bot) as caller:
        assert bot.worker is not None
        assert isinstance(bot.worker.rtvi, RTVIProcessor)
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()
        alerts = caller.alerts

    assert alerts == ()


@feature("`enable_tracing=True` (OpenTelemetry)", "a span for the conversation, one for each turn")
async def test_turns_are_traced(side: Side):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    bot = Bot(ahead=[ToneTTS()], options={"enable_tracing": True})
    async with calling(side, bot) as caller:
        await bot.say("one two")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.hang_up()
        await time_passes(0.5)

    names = {span.name for span in exporter.get_finished_spans()}
    assert {"conversation", "turn"} <= names
