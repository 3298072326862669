"""The output leaves its line for something else, and goes on when it is back."""

import asyncio

import pytest
from pipecat.frames.frames import (
    OutputDTMFFrame,
    OutputDTMFUrgentFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameProcessor

from tests.processors.output_rig import FakeLine, speaking
from tests.transport.bots import speech
from tests.waiting import others_run, time_passes, until
from twilio_frames.frames import CallBackFrame, DetourFrame
from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.protocol import Clear, SendMedia
from twilio_frames.twiml import Pause, PlayDigits

AWAY = DetourFrame(verbs=(Pause(seconds=1),))


def output_behind(tap: FrameProcessor) -> MulawOutput:
    output = tap.next
    assert isinstance(output, MulawOutput)
    return output


async def test_line_is_left_when_what_was_said_is_heard():
    line = FakeLine()
    async with speaking(line) as (worker, _):
        await worker.queue_frames([*speech(1.0), AWAY, *speech(1.0)])
        await until(lambda: line.is_away, seconds=3)
        assert len(line.audio()) == 8000
        # What is said meanwhile waits.
        await time_passes(2.0)
        assert len(line.audio()) == 8000

        line.come_back()
        await until(lambda: len(line.audio()) == 16000, seconds=3)


async def test_line_that_is_left_at_once_is_left_when_the_cut_is_known():
    """The bot may have been held a moment before: where, is told by what is yet to come back."""
    line = FakeLine(echoes=False)
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(3.0))
        await until(lambda: bool(line.of(SendMedia)), seconds=2)
        line.echo_first()
        await worker.queue_frame(VADUserStartedSpeakingFrame())
        await until(lambda: bool(line.of(Clear)), seconds=2)
        leaving = asyncio.create_task(output_behind(tap).leave_at_once(AWAY))
        await others_run()
        assert not line.is_away

        line.echo("fence")
        await leaving
        assert line.is_away
        assert line.playback.cut is not None
        assert line.playback.cut.is_settled


async def test_rest_is_said_when_the_line_is_back():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(2.0))
        await until(lambda: len(line.audio()) > 8000, seconds=3)
        await output_behind(tap).leave_at_once(AWAY)
        sent = len(line.audio())
        line.come_back()
        await tap.push_frame(CallBackFrame(detour=AWAY))
        await until(lambda: len(line.audio()) > sent, seconds=3)


@pytest.mark.parametrize("kind", [OutputDTMFFrame, OutputDTMFUrgentFrame])
async def test_keys_of_one_frame_and_of_the_next_are_pressed_together(kind):
    line = FakeLine()
    async with speaking(line) as (worker, _):
        await worker.queue_frames([kind.from_string("415*"), kind.from_string("6#")])
        await until(lambda: line.is_away, seconds=3)

    assert line.left_for == [(PlayDigits(digits="415*6#"),)]
