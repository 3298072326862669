import asyncio
from typing import Any

import numpy as np
import pytest
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
)

from tests.pipecat_versions import needs_output_sound
from tests.processors.output_rig import FakeLine, speaking
from tests.transport.bots import listening, speech, tone
from tests.waiting import until
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.frames import MulawInputFrame, MulawOutputFrame
from twilio_frames.services.line_audio import LineAudio
from twilio_frames.testing import Phone
from twilio_frames.transport import TwilioParams


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
async def test_no_rate_loses_a_sample(rate: int):
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(speech(0.37, rate=rate))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert abs(len(line.audio()) - 2960) <= 1
    if rate == 8000:
        assert line.audio().startswith(encode_mulaw(tone(0.37)))


class Negative(BaseAudioFilter):
    """Turns the sign of every sample."""

    async def start(self, sample_rate: int):
        self.rate = sample_rate

    async def stop(self): ...

    async def process_frame(self, frame): ...

    async def filter(self, audio: bytes) -> bytes:
        return (-np.frombuffer(audio, dtype=np.int16)).tobytes()


class Odd(Negative):
    """Gives what is no sound, or none at all, from its second call on."""

    def __init__(self, given: Any):
        self._given = given
        self.calls = 0

    async def filter(self, audio: bytes) -> Any:
        self.calls += 1
        if self.calls < 2:
            return audio
        if isinstance(self._given, BaseException):
            raise self._given
        return self._given


NO_SOUND = [None, "sound", b"odd", ValueError("what a caller said"), asyncio.CancelledError()]


async def said(params: TwilioParams, *before: Frame, mulaw: bool = False) -> np.ndarray:
    """What a tone sounds like on the line."""
    line = FakeLine()
    frames = speech(0.1)
    if mulaw:
        frames[1] = MulawOutputFrame.of(encode_mulaw(tone(0.1)))
    async with speaking(line, params) as (worker, tap):
        await worker.queue_frames([*before, *frames])
        await tap.wait_for(BotStoppedSpeakingFrame)
    return np.frombuffer(decode_mulaw(line.audio()), dtype=np.int16)


@needs_output_sound
@pytest.mark.parametrize("mulaw", [False, True])
async def test_volume_and_filter_of_pipecat_are_heard(mulaw: bool):
    gain = pipecat_frames.VolumeGainFrame(0.5)
    plain, half, negative = (
        await said(TwilioParams(), mulaw=mulaw),
        await said(TwilioParams(audio_out_volume=0.5), gain, mulaw=mulaw),
        await said(TwilioParams(audio_out_filter=Negative()), mulaw=mulaw),
    )

    # Mu-law is good to some four percent.
    assert np.abs(half).max() == pytest.approx(np.abs(plain).max() / 4, rel=0.05)
    assert np.corrcoef(plain, negative)[0, 1] == pytest.approx(-1.0)


@needs_output_sound
@pytest.mark.parametrize("given", NO_SOUND)
async def test_filter_that_fails_costs_no_word(given: Any):
    broken = Odd(given)
    line = FakeLine()
    async with speaking(line, TwilioParams(audio_out_filter=broken)) as (worker, tap):
        await worker.queue_frames([*speech(0.1), *speech(0.1)])
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert broken.calls == 2
    assert len(line.audio()) == 1600
    assert not tap.frames(ErrorFrame)


@pytest.mark.parametrize("given", NO_SOUND)
async def test_caller_is_heard_though_the_filter_fails(given: Any, phone: Phone):
    broken = Odd(given)
    async with listening(TwilioParams(audio_in_filter=broken)) as (url, bots):
        async with phone.call(url) as caller:
            bot = await bots.get()
            await caller.wait(0.5)
        assert await bot.end_reason() == "caller hung up"

    assert broken.calls == 2
    heard = [frame for frame, _ in bot.before.seen if isinstance(frame, InputAudioRawFrame)]
    assert sum(len(frame.audio) for frame in heard) > 0.3 * 16000


async def test_recogniser_that_takes_mulaw_hears_the_filtered_sound(phone: Phone):
    async with listening(TwilioParams(audio_in_filter=Negative())) as (url, bots):
        async with phone.call(url) as caller:
            bot = await bots.get()
            await caller.say(encode_mulaw(tone(0.5)))
            await caller.wait(0.2)
        await bot.end_reason()

    heard = [frame for frame in bot.before.frames(InputAudioRawFrame) if any(frame.audio)]  # pyright: ignore[reportAttributeAccessIssue]
    assert heard
    for frame in heard:
        assert isinstance(frame, MulawInputFrame)
        assert LineAudio().mulaw_of(frame) == encode_mulaw(frame.audio)


@needs_output_sound
async def test_volume_frame_holds_from_there_on():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        await worker.queue_frames([*speech(0.1), pipecat_frames.VolumeFrame(0.5), *speech(0.1)])
        await tap.wait_for(BotStoppedSpeakingFrame)

    first, second = np.split(np.abs(np.frombuffer(decode_mulaw(line.audio()), np.int16)), 2)
    assert second.max() == pytest.approx(first.max() / 2, rel=0.05)


async def test_end_silence_is_sent():
    line = FakeLine()
    async with speaking(line, TwilioParams(audio_out_end_silence_secs=1)) as (worker, _):
        await worker.queue_frames([*speech(0.1), EndFrame()])
        await until(lambda: not line.is_open)

    assert line.audio()[800:] == mulaw_silence(1.0)
