# The far end of a fake line has nothing to await.
"""The bot falls silent at the first sound of speech, and says on if it was none."""

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    STTMetadataFrame,
    UserMuteStartedFrame,
    UserMuteStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineWorker

from tests.processors.output_rig import FakeLine, speaking
from tests.transport.bots import speech
from tests.waiting import time_passes, until
from twilio_frames.frames import (
    BotHeldFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    ResumeFrame,
    WordsAwaitedFrame,
)
from twilio_frames.processors.output import hold
from twilio_frames.protocol import Clear, SendMedia
from twilio_frames.transport import TwilioParams

LIKELY = CallerSpeakingFrame(speech_secs=0.064, is_certain=False)
NO_SPEECH = CallerPausedFrame(speech_secs=0.1, silence_secs=0.096, is_certain=False)
ON, OFF = VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame


def clears(line: FakeLine) -> int:
    return len(line.of(Clear))


async def until_cleared(line: FakeLine, count: int = 1) -> None:
    await until(lambda: clears(line) >= count, seconds=2)


async def until_resumed(line: FakeLine) -> None:
    sent = len(line.of(SendMedia))
    await until(lambda: len(line.of(SendMedia)) != sent, seconds=2)


async def happens(worker: PipelineWorker, *frames: Frame) -> None:
    """Lets things happen, and gives the output time to act."""
    await worker.queue_frames(frames)
    await time_passes(0.1)


async def test_likely_speech_holds_the_bot():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(3.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(LIKELY)
        await tap.wait_for(BotHeldFrame)
        sent = len(line.of(SendMedia))
        await time_passes(0.3)

        assert clears(line) == 1
        assert len(line.of(SendMedia)) == sent


async def test_bot_says_on_when_it_was_no_speech():
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=30.0)) as (worker, tap):
        await worker.queue_frames(speech(0.8))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(LIKELY)
        await until_cleared(line)
        await worker.queue_frame(NO_SPEECH)
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert clears(line) == 1
    # Said on from the last place to begin at: all of it was said, though some of it twice.
    assert len(line.audio()) >= 6400


async def test_likely_speech_that_is_forgotten_holds_for_a_while_only():
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=0.1)) as (worker, tap):
        await worker.queue_frames(speech(0.8))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(LIKELY)
        await until_cleared(line)
        await tap.wait_for(BotStoppedSpeakingFrame)


async def test_speech_that_became_certain_holds_on():
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=0.3)) as (worker, tap):
        await worker.queue_frames(speech(3.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(LIKELY)
        await until_cleared(line)
        await happens(worker, ON(), CallerPausedFrame(0.2, 0.096))
        sent = len(line.of(SendMedia))
        await time_passes(0.4)
        assert len(line.of(SendMedia)) == sent

        await worker.queue_frame(OFF())
        await until_resumed(line)
        assert clears(line) == 1


async def test_interruption_ends_the_doubt():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(3.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frames([LIKELY, ON(), InterruptionFrame()])
        await tap.wait_for(BotStoppedSpeakingFrame)
        sent = len(line.of(SendMedia))
        await happens(worker, NO_SPEECH)

        assert len(line.of(SendMedia)) == sent
        assert clears(line) == 1


async def test_likely_speech_holds_less_readily_than_certain_speech():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.1)) as (worker, tap):
        await worker.queue_frames(speech(8.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        for count in range(1, 5):
            await worker.queue_frame(LIKELY)
            await until_cleared(line, count)
            await worker.queue_frame(NO_SPEECH)
            await until_resumed(line)
        await happens(worker, LIKELY)
        assert clears(line) == 4

        await worker.queue_frame(ON())
        await until_cleared(line, 5)


@pytest.mark.parametrize("sound", [LIKELY, CallerSpeakingFrame(speech_secs=2.0), ON()])
async def test_protected_speech_is_not_held(sound: Frame):
    line = FakeLine()
    start, audio, stop = speech(0.5)
    audio.interruptible = stop.interruptible = False
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([start, audio, stop])
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(sound)
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert clears(line) == 0


@pytest.mark.parametrize("sound", [LIKELY, CallerSpeakingFrame(speech_secs=2.0), ON()])
async def test_muted_caller_holds_nothing(sound: Frame):
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(3.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await happens(worker, UserMuteStartedFrame(), sound)
        assert clears(line) == 0

        await worker.queue_frames([UserMuteStoppedFrame(), LIKELY])
        await until_cleared(line)


@pytest.mark.parametrize("sounds", [[LIKELY], [ON()]])
async def test_caller_who_is_muted_holds_no_longer(sounds: list[Frame]):
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=30.0)) as (worker, tap):
        await worker.queue_frames(speech(0.8))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frames(sounds)
        await until_cleared(line)
        await worker.queue_frame(UserMuteStartedFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)


async def test_bot_that_never_holds_does_not_in_doubt_either():
    line = FakeLine()
    async with speaking(line, TwilioParams(holds=False)) as (worker, tap):
        await worker.queue_frames(speech(0.5))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(LIKELY)
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert clears(line) == 0


@pytest.mark.parametrize(
    "slow",
    [STTMetadataFrame(service_name="slow", ttfs_p99_latency=30.0), WordsAwaitedFrame(30.0)],
    ids=["by what it says of itself", "this once"],
)
async def test_slow_recogniser_is_not_cut_short(slow: Frame):
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=0.05)) as (worker, tap):
        await worker.queue_frames([slow, *speech(3.0)])
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frames([ON(), OFF()])
        await until_cleared(line)
        sent = len(line.of(SendMedia))
        await time_passes(0.3)
        assert len(line.of(SendMedia)) == sent

        await worker.queue_frame(ResumeFrame())
        await until_resumed(line)


async def test_interruption_after_all_makes_up_for_the_alarm():
    line = FakeLine()
    async with speaking(line, TwilioParams(lead_secs=0.1)) as (worker, tap):
        for count in range(1, 5):
            await worker.queue_frames(speech(3.0))
            await tap.wait_for(BotStartedSpeakingFrame, count=count)
            await worker.queue_frame(ON())
            await until_cleared(line, 2 * count - 1)
            await worker.queue_frame(ResumeFrame())
            await until_resumed(line)
            await worker.queue_frame(InterruptionFrame())
            await tap.wait_for(BotStoppedSpeakingFrame, count=count)


async def test_sound_that_never_ends_does_not_silence_the_bot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hold, "LONGEST_HOLD", 0.3)
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=0.1)) as (worker, tap):
        await worker.queue_frames(speech(0.8))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(ON())
        await until_cleared(line)
        await worker.queue_frame(CallerSpeakingFrame(speech_secs=0.5))
        await until_resumed(line)
        await worker.queue_frame(CallerSpeakingFrame(speech_secs=0.9))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert clears(line) == 1


async def test_end_of_the_call_does_not_wait_for_a_sound_to_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hold, "LONGEST_HOLD", 0.3)
    line = FakeLine()
    async with speaking(line, TwilioParams(hold_secs=0.1)) as (worker, tap):
        await worker.queue_frames(speech(0.5))
        await tap.wait_for(BotStartedSpeakingFrame)
        await worker.queue_frame(ON())
        await until_cleared(line)
        await worker.queue_frame(EndFrame())
        await until(lambda: not line.is_open, seconds=5)
