"""STTFallback: every word is understood once, whoever hears it."""

import asyncio
import struct

import pytest
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    STTMetadataFrame,
    STTMuteFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.utils.errors import ErrorCategory

from tests.processors.fallback_rig import Clock, ScriptedSTT, began, ended, running, vendors
from tests.waiting import time_passes
from twilio_frames.processors.fallback import STTFallback, VendorState
from twilio_frames.processors.fallback.vendor_health import FailureKind


def audio(first: int, count: int) -> list[Frame]:
    """Frames of 20 ms whose samples are the frame's number."""
    return [
        InputAudioRawFrame(struct.pack("<h", number) * 160, 8000, 1)
        for number in range(first, first + count)
    ]


def pair(**kwargs) -> tuple[ScriptedSTT, ScriptedSTT]:
    return ScriptedSTT("first", **kwargs), ScriptedSTT("second")


def fallback(*services: ScriptedSTT, **kwargs) -> STTFallback:
    settings = {"vendors": vendors(), "names": ["first", "second"], "patience_secs": 0.2}
    return STTFallback(services, **{**settings, **kwargs})


async def test_first_hears_while_it_is_well():
    first, second = pair()
    async with running(fallback(first, second)) as rig:
        await rig.give(*audio(0, 10), began(), *audio(10, 30), ended())
        await rig.after.wait_for(TranscriptionFrame)

    assert rig.transcripts() == ["first final"]
    assert second.heard == []


async def test_hang_is_noticed_and_no_audio_is_lost():
    first, second = pair(is_deaf=True)
    async with running(fallback(first, second)) as rig:
        await rig.give(*audio(0, 60), began(), *audio(60, 40), ended(), *audio(100, 5))
        await rig.after.wait_for(TranscriptionFrame)

    assert rig.transcripts() == ["second final"]
    # With a second of what was before.
    assert second.heard == list(range(second.heard[0], 105))
    assert second.heard[0] in range(10, 16)
    assert rig.switches == [("first", "second")]
    assert rig.fallback.health[0].last_failure is FailureKind.LATE


@pytest.mark.parametrize("is_over", [False, True])
async def test_end_does_not_wait_for_words(is_over: bool):
    first, second = ScriptedSTT("first", is_deaf=True), ScriptedSTT("second", is_deaf=True)
    async with running(fallback(first, second, patience_secs=30.0)) as rig:
        await rig.give(began(), *audio(0, 20), *([ended()] if is_over else []), EndFrame())
        async with asyncio.timeout(5):
            await rig.after.wait_for(EndFrame)


async def test_noise_is_no_failure():
    first, second = ScriptedSTT("first", is_deaf=True), ScriptedSTT("second", is_deaf=True)
    async with running(fallback(first, second)) as rig:
        await rig.give(began(), *audio(0, 20), ended())
        await rig.after.wait_for(VADUserStoppedSpeakingFrame)
        await time_passes(0.6)

    assert not rig.switches
    assert not rig.passed(TTSSpeakFrame)
    assert second.heard == list(range(20))


async def test_late_words_of_first_count_if_they_come_first():
    first, second = ScriptedSTT("first", is_deaf=True), ScriptedSTT("second", is_deaf=True)
    async with running(fallback(first, second, patience_secs=0.3)) as rig:
        await rig.give(began(), *audio(0, 20), ended())
        await rig.after.wait_for(VADUserStoppedSpeakingFrame)
        await time_passes(0.4)
        await first.hear("late")
        await second.hear("later")
        await rig.after.wait_for(TranscriptionFrame)
        await time_passes(0.1)

    assert rig.transcripts() == ["first late"]
    assert not rig.switches


@pytest.mark.parametrize("category", [ErrorCategory.CONNECTIVITY, ErrorCategory.AUTHENTICATION])
async def test_error_in_mid_utterance_loses_nothing(category: ErrorCategory):
    first, second = pair()
    async with running(fallback(first, second)) as rig:
        await rig.give(began(), *audio(0, 20))
        await rig.after.wait_for(InputAudioRawFrame, count=20)
        await first.break_down(category)
        await rig.give(*audio(20, 20), ended())
        await rig.after.wait_for(TranscriptionFrame)
        await first.hear("after all")
        await time_passes(0.1)

    assert rig.transcripts() == ["second final"]
    assert second.heard == list(range(40))
    assert not rig.errors


async def test_vad_frames_pass_once():
    first, second = pair()
    async with running(fallback(first, second)) as rig:
        await rig.give(began(), *audio(0, 20))
        await rig.after.wait_for(InputAudioRawFrame, count=20)
        await first.break_down()
        await rig.give(*audio(20, 20), ended())
        await rig.after.wait_for(TranscriptionFrame)

    assert len(rig.passed(VADUserStartedSpeakingFrame)) == 1
    assert len(rig.passed(VADUserStoppedSpeakingFrame)) == 1
    assert len(rig.passed(InputAudioRawFrame)) == 40
    assert not rig.passed(InterruptionFrame)


async def test_words_that_were_understood_are_not_heard_again():
    first, second = pair()
    async with running(fallback(first, second)) as rig:
        await rig.give(began(), *audio(0, 100))
        await rig.after.wait_for(InputAudioRawFrame, count=100)
        await first.hear("half")
        await rig.after.wait_for(TranscriptionFrame)
        await first.break_down()
        await rig.give(*audio(100, 20), ended())
        await rig.after.wait_for(TranscriptionFrame, count=2)

    assert rig.transcripts() == ["first half", "second final"]
    assert second.heard == list(range(75, 120))


async def test_memory_of_audio_is_bounded():
    first, second = pair()
    async with running(fallback(first, second, keep_secs=1.0)) as rig:
        await rig.give(began(), *audio(0, 200))
        await rig.after.wait_for(InputAudioRawFrame, count=200)
        await first.break_down()
        await rig.give(ended())
        await rig.after.wait_for(TranscriptionFrame)

    assert second.heard == list(range(150, 200))


async def test_metadata_is_that_of_who_hears():
    first, second = pair()
    async with running(fallback(first, second)) as rig:
        await rig.give(began(), *audio(0, 1))
        await rig.after.wait_for(InputAudioRawFrame)
        await first.break_down()
        await rig.after.wait_for(STTMetadataFrame, count=2)

    assert [f.service_name for f in rig.passed(STTMetadataFrame)] == ["first", "second"]


async def test_next_call_is_heard_by_second_and_first_is_tried_again():
    clock = Clock()
    known = vendors(clock)
    first, second = pair()
    async with running(fallback(first, second, vendors=known)) as rig:
        await rig.give(began(), *audio(0, 10))
        await rig.after.wait_for(InputAudioRawFrame, count=10)
        await first.break_down()
        await rig.switched()
    async with running(fallback(*pair(), vendors=known)) as rig:
        await rig.give(began(), *audio(0, 10), ended())
        await rig.after.wait_for(TranscriptionFrame)
        clock.now += 31
        await rig.give(began(), *audio(10, 10), ended())
        await rig.after.wait_for(TranscriptionFrame, count=2)

    assert rig.transcripts() == ["second final", "first final"]
    assert [vendor.state for vendor in known] == [VendorState.WELL, VendorState.WELL]


async def test_two_deaf_ones_apologise_once():
    first, second = ScriptedSTT("first", is_deaf=True), ScriptedSTT("second", is_deaf=True)
    async with running(fallback(first, second, apology="Sorry?")) as rig:
        for number in range(2):
            await rig.give(began(), *audio(100 * number, 60), ended())
            await rig.after.wait_for(VADUserStoppedSpeakingFrame, count=number + 1)
            await time_passes(0.7)

    assert [frame.text for frame in rig.passed(TTSSpeakFrame)] == ["Sorry?"]
    assert len(rig.errors) == 1


async def test_muted_caller_is_no_failure():
    first, second = pair(is_deaf=True)
    async with running(fallback(first, second)) as rig:
        await rig.give(STTMuteFrame(mute=True), began(), *audio(0, 60), ended())
        await rig.after.wait_for(VADUserStoppedSpeakingFrame)
        await time_passes(0.5)

    assert not rig.switches
    assert not rig.passed(TTSSpeakFrame)
    assert (first.is_muted, second.is_muted) == (True, True)
