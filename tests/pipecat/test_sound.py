"""What is done to the sound on its way: volume, a filter, a mixer."""

import numpy as np
import pytest
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    FilterEnableFrame,
    MixerEnableFrame,
)

from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, ToneTTS, calling
from tests.pipecat_versions import needs_output_sound
from twilio_frames.audio import decode_mulaw
from twilio_frames.testing import Caller


def heard(caller: Caller) -> np.ndarray:
    return np.abs(np.frombuffer(decode_mulaw(caller.heard_so_far), np.int16).astype(int))


class Half(BaseAudioFilter):
    def __init__(self):
        self.is_on = True

    async def start(self, sample_rate: int): ...

    async def stop(self): ...

    async def process_frame(self, frame):
        if isinstance(frame, FilterEnableFrame):
            self.is_on = frame.enable

    async def filter(self, audio: bytes) -> bytes:
        samples = np.frombuffer(audio, np.int16)
        return (samples // 2).astype(np.int16).tobytes() if self.is_on else audio


class Hum(BaseAudioMixer):
    def __init__(self):
        self.level = 500

    async def start(self, sample_rate: int): ...

    async def stop(self): ...

    async def process_frame(self, frame):
        if isinstance(frame, MixerEnableFrame):
            self.level = 500 if frame.enable else 0

    async def mix(self, audio: bytes) -> bytes:
        samples = np.frombuffer(audio, np.int16).astype(np.int32) + self.level
        return samples.clip(-32768, 32767).astype(np.int16).tobytes()


@feature("`audio_out_filter`, with its control frames", "the bot's audio goes through it")
@needs_output_sound
async def test_filter_is_heard(side: Side):
    bot = Bot(ahead=[ToneTTS()], params={"audio_out_filter": Half()})
    levels: list[int] = []
    async with calling(side, bot) as caller:
        for number in range(2):
            before = len(caller.heard_so_far)
            await bot.say("one two three")
            await bot.after.wait_for(BotStoppedSpeakingFrame, count=number + 1)
            await caller.wait(0.4)
            levels.append(int(heard(caller)[before:].max()))
            await bot.queue(FilterEnableFrame(False))
        await caller.hang_up()

    assert 1.8 < levels[1] / levels[0] < 2.2


@feature("`audio_out_mixer`, with its control frames", "heard in pauses, and is no speech")
async def test_mixer_is_heard(side: Side):
    bot = Bot(ahead=[ToneTTS()], params={"audio_out_mixer": Hum()})
    async with calling(side, bot) as caller:
        await caller.wait(1.0)
        hum = heard(caller)[-4000:]
        spoke = len(bot.after.frames(BotStartedSpeakingFrame))
        await bot.say("one two three")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        loudest = heard(caller).max()
        await bot.queue(MixerEnableFrame(False))
        await caller.wait(1.0)
        off = heard(caller)[-4000:]
        await caller.hang_up()

    assert abs(int(np.median(hum)) - 500) < 25
    assert spoke == 0
    assert loudest > 7000
    assert off.max() < 20


@feature(
    "`audio_out_volume`, `VolumeFrame`, `VolumeGainFrame`",
    "louder or softer, from the place of the frame on",
)
@needs_output_sound
async def test_volume_is_heard(side: Side):
    bot = Bot(ahead=[ToneTTS()], params={"audio_out_volume": 0.5})
    changes = [
        pipecat_frames.VolumeFrame(1.0),
        pipecat_frames.VolumeGainFrame(0.25),
        pipecat_frames.VolumeGainFrame(1.0),
    ]
    levels: list[int] = []
    async with calling(side, bot) as caller:
        for number in range(len(changes) + 1):
            before = len(caller.heard_so_far)
            await bot.say("one two three")
            await bot.after.wait_for(BotStoppedSpeakingFrame, count=number + 1)
            await caller.wait(0.4)
            levels.append(int(heard(caller)[before:].max()))
            await bot.queue(*changes[number : number + 1])
        await caller.hang_up()

    assert np.array(levels) / levels[1] == pytest.approx([0.5, 1, 0.25, 1], rel=0.05)
