"""What is heard beside the bot's speech: no word waits for it, and it is no speech."""

import asyncio
from typing import Any

import numpy as np
import pytest
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    InterruptionFrame,
    MixerEnableFrame,
    MixerUpdateSettingsFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    VADUserStartedSpeakingFrame,
)

from tests.processors.output_rig import FakeLine, speaking
from tests.transport.bots import speech, tone
from tests.waiting import time_passes, until
from twilio_frames.audio import decode_mulaw
from twilio_frames.frames import BotHeldFrame, ResumeFrame
from twilio_frames.processors.output.background import Background, LiveSound
from twilio_frames.protocol import SendMedia
from twilio_frames.transport import TwilioParams

HUM = 100


class Hum(BaseAudioMixer):
    """A sound whose every sample is the same."""

    def __init__(self, level: int = HUM, *, fails_at: int | None = None):
        self.level = level
        self.rates: list[int] = []
        self.stops = self.calls = 0
        self._fails_at = fails_at

    async def start(self, sample_rate: int):
        self.rates.append(sample_rate)

    async def stop(self):
        self.stops += 1

    async def process_frame(self, frame):
        match frame:
            case MixerEnableFrame(enable=enable):
                self.level = HUM if enable else 0
            case MixerUpdateSettingsFrame(settings=settings):
                self.level = settings["level"]
            case _:
                pass

    async def mix(self, audio: bytes) -> bytes:
        self.calls += 1
        if self.calls == self._fails_at:
            raise ValueError("what a caller said")
        samples = np.frombuffer(audio, np.int16).astype(np.int32) + self.level
        return samples.clip(-32768, 32767).astype(np.int16).tobytes()


def hums(level: int = HUM) -> TwilioParams:
    return TwilioParams(audio_out_mixer=Hum(level))


def samples(line: FakeLine, since: float = 0.0) -> np.ndarray:
    """What was sent since a time."""
    sent = b"".join(m.payload for at, m in line.sent if isinstance(m, SendMedia) and at >= since)
    return np.frombuffer(decode_mulaw(sent), np.int16).astype(int)


async def test_mixer_is_heard_in_pauses_and_is_no_speech():
    line, params = FakeLine(), hums()
    async with speaking(line, params) as (_, tap):
        await tap.wait_for(StartFrame)
        began = asyncio.get_running_loop().time()
        await time_passes(1.0)

    mixer: Any = params.audio_out_mixer
    found = samples(line)
    assert mixer.rates == [8000]
    assert mixer.stops == 1
    # In time, and never far ahead.
    assert 0.9 < len(found) / 8000 < 1.15
    assert np.abs(found - HUM).max() < 8
    assert tap.frames(BotStartedSpeakingFrame) == []
    assert began > 0


async def test_speech_does_not_wait_for_a_mixer():
    line = FakeLine()
    async with speaking(line, hums()) as (worker, tap):
        await time_passes(0.5)
        asked = asyncio.get_running_loop().time()
        await worker.queue_frames(speech(0.5))
        await tap.wait_for(BotStoppedSpeakingFrame)
        heard = asyncio.get_running_loop().time() - asked

    # It lies behind at most 80 ms of the background.
    assert 0.5 <= heard < 0.5 + 0.1


async def test_mixer_is_under_the_speech_too():
    line, plain = FakeLine(), FakeLine()
    for one, params in ((line, hums(2000)), (plain, TwilioParams())):
        async with speaking(one, params) as (worker, tap):
            await worker.queue_frames(speech(0.3))
            await tap.wait_for(BotStoppedSpeakingFrame)

    spoken = samples(plain)
    found = samples(line)
    begin = int(np.flatnonzero(np.abs(found - 2000) > 200)[0])
    lies = np.flatnonzero(np.abs(spoken) > 200)[0]
    beside = found[begin - lies :][: len(spoken)] - spoken[: len(found) - begin + lies]
    assert np.median(beside) == pytest.approx(2000, abs=150)


async def test_nothing_is_heard_where_the_bot_is_held():
    line = FakeLine()
    async with speaking(line, hums()) as (worker, tap):
        await worker.queue_frames(speech(2.0))
        await tap.wait_for(BotStartedSpeakingFrame)
        await time_passes(0.3)
        await worker.queue_frame(VADUserStartedSpeakingFrame())
        await tap.wait_for(BotHeldFrame)
        await time_passes(0.1)
        held_at = asyncio.get_running_loop().time()
        await time_passes(0.3)
        while_held = samples(line, held_at)
        await worker.queue_frame(ResumeFrame())
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert len(while_held) == 0
    assert len(tap.frames(BotStartedSpeakingFrame)) == 1


async def test_caller_over_a_background_holds_nothing():
    line = FakeLine()
    async with speaking(line, hums()) as (worker, tap):
        await time_passes(0.2)
        await worker.queue_frame(VADUserStartedSpeakingFrame())
        await worker.queue_frame(InterruptionFrame())
        await tap.wait_for(InterruptionFrame)
        since = asyncio.get_running_loop().time()
        await time_passes(0.4)

    assert tap.frames(BotHeldFrame) == []
    assert len(samples(line, since)) > 0.3 * 8000


async def test_frames_control_the_mixer():
    line = FakeLine()
    async with speaking(line, hums()) as (worker, tap):
        await tap.wait_for(StartFrame)
        await time_passes(0.2)
        await worker.queue_frame(MixerUpdateSettingsFrame({"level": 3000}))
        await time_passes(0.2)
        loud_by = samples(line).max()
        await worker.queue_frame(MixerEnableFrame(False))
        await time_passes(0.2)
        since = asyncio.get_running_loop().time()
        await time_passes(0.3)
        off = samples(line, since)
        await worker.queue_frame(MixerEnableFrame(True))
        await time_passes(0.2)

    assert loud_by == pytest.approx(3000, abs=150)
    # Silence is not sent.
    assert len(off) == 0
    assert samples(line)[-1] == pytest.approx(HUM, abs=8)


async def test_mixer_that_fails_is_left_out():
    line = FakeLine()
    params = TwilioParams(audio_out_mixer=Hum(fails_at=5))
    async with speaking(line, params) as (worker, tap):
        await time_passes(0.4)
        await worker.queue_frames(speech(0.3))
        await tap.wait_for(BotStoppedSpeakingFrame)

    assert np.abs(samples(line)).max() > 10000


class OddMixer(Hum):
    """Gives what is no sound, or none at all, from its third call on."""

    def __init__(self, given: Any):
        super().__init__()
        self._given = given

    async def mix(self, audio: bytes) -> Any:
        self.calls += 1
        if self.calls < 3:
            return audio
        if isinstance(self._given, BaseException):
            raise self._given
        return self._given


@pytest.mark.parametrize("given", [None, "sound", 5, b"odd", asyncio.CancelledError()])
async def test_mixer_that_gives_no_sound_is_left_out(given: Any):
    line, params = FakeLine(), TwilioParams(audio_out_mixer=OddMixer(given))
    async with speaking(line, params) as (worker, tap):
        await time_passes(0.3)
        await worker.queue_frames(speech(0.3))
        await tap.wait_for(BotStoppedSpeakingFrame)

    mixer: Any = params.audio_out_mixer
    assert mixer.calls == 3
    assert np.abs(samples(line)).max() > 10000


async def test_mixer_may_give_arrays():
    class Arrays(Hum):
        async def mix(self, audio: bytes) -> Any:
            return np.frombuffer(await super().mix(audio), np.int16)

    line = FakeLine()
    async with speaking(line, TwilioParams(audio_out_mixer=Arrays())) as (_, tap):
        await tap.wait_for(StartFrame)
        await time_passes(0.5)

    assert np.abs(samples(line) - HUM).max() < 8


class StuckMixer(Hum):
    """One whose method never returns."""

    def __init__(self, method: str):
        super().__init__()
        setattr(self, method, self._hang)

    async def _hang(self, *_: object) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("method", ["start", "mix", "process_frame", "stop"])
async def test_mixer_that_hangs_costs_no_word(method: str):
    line, params = FakeLine(), TwilioParams(audio_out_mixer=StuckMixer(method))
    async with speaking(line, params) as (worker, tap):
        await worker.queue_frame(MixerEnableFrame(enable=True))
        await worker.queue_frames([*speech(1.0)])
        async with asyncio.timeout(10):
            await tap.wait_for(BotStoppedSpeakingFrame)
            await worker.queue_frame(EndFrame())
            await tap.wait_for(EndFrame)


async def test_call_ends_beside_a_mixer():
    line = FakeLine(echoes=False)
    params = TwilioParams(audio_out_mixer=Hum(), playout_timeout_secs=0.2)
    async with speaking(line, params) as (worker, _):
        await worker.queue_frames([*speech(0.3), EndFrame()])
        await until(lambda: not line.is_open, seconds=5)
    assert not line.is_open


async def hum_of_a_processor(worker, secs: float, level: int = 500) -> None:
    """Sound as it is made: 20 ms each 20 ms."""
    piece = np.full(160, level, np.int16).tobytes()
    for _ in range(round(secs / 0.02)):
        await worker.queue_frame(OutputAudioRawFrame(piece, 8000, 1))
        await time_passes(0.02)


async def test_sound_of_a_processor_neither_counts_nor_delays():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        humming = asyncio.create_task(hum_of_a_processor(worker, 4.0))
        waits: list[float] = []
        for number in range(3):
            await time_passes(0.5)
            assert len(tap.frames(BotStartedSpeakingFrame)) == number
            asked = asyncio.get_running_loop().time()
            await worker.queue_frames(speech(0.5))
            await tap.wait_for(BotStoppedSpeakingFrame, count=number + 1)
            waits.append(asyncio.get_running_loop().time() - asked)
        await humming

    assert max(waits) < 0.5 + 0.15
    found = samples(line)
    # Speech is as it was, and the pauses are full.
    assert len(found) / 8000 > 3.8
    assert (np.abs(found - 500) < 25).sum() / 8000 > 1.9


async def test_sound_that_is_ready_is_heard_in_its_turn():
    line = FakeLine()
    jingle = np.full(8000, 3000, np.int16).tobytes()
    pieces = [jingle[at : at + 320] for at in range(0, len(jingle), 320)]
    async with speaking(line) as (worker, tap):
        await worker.queue_frames(
            [
                *speech(0.2),
                *(OutputAudioRawFrame(piece, 8000, 1) for piece in pieces),
                *speech(0.2),
            ]
        )
        await tap.wait_for(BotStoppedSpeakingFrame, count=2)

    found = samples(line)
    assert len(found) == 0.2 * 8000 + 8000 + 0.2 * 8000
    assert np.abs(found[1600:9600] - 3000).max() < 150


async def test_end_of_a_stream_of_speech_is_its_silence():
    line = FakeLine()
    async with speaking(line) as (worker, tap):
        for _ in range(2):
            await worker.queue_frame(SpeechOutputAudioRawFrame(bytes(3200), 8000, 1))
        await worker.queue_frame(SpeechOutputAudioRawFrame(tone(0.4), 8000, 1))
        await worker.queue_frames(
            [SpeechOutputAudioRawFrame(bytes(1600), 8000, 1) for _ in range(20)]
        )
        await tap.wait_for(BotStartedSpeakingFrame)
        sent_before = line.playback.sent
        await tap.wait_for(BotStoppedSpeakingFrame)
        heard = line.playback.heard

    assert sent_before >= 0.4 * 8000
    # 0.4 s of silence, 0.4 s of speech, 0.35 s of silence that may be a pause in it.
    assert 1.1 * 8000 <= heard <= 1.4 * 8000


@pytest.mark.parametrize(
    ("arrivals", "is_live"),
    [
        ([(0.02 * n, 0.02) for n in range(50)], True),
        ([(0.0, 0.02) for n in range(50)], False),
        # A file, read in pieces, faster than it is heard.
        ([(0.005 * n, 0.02) for n in range(400)], False),
        ([(1.0 * n, 1.0) for n in range(4)], True),
        # After a stall all comes at once.
        ([*((0.02 * n, 0.02) for n in range(50)), *((1.4, 0.02) for _ in range(20))], True),
        ([(0.02 * n, 0.02) for n in range(50)] + [(1.01, 2.0)], False),
        ([(0.02 * n, 0.02) for n in range(50)] + [(9.0, 0.02)], False),
    ],
)
def test_sound_is_live_if_it_comes_as_it_is_heard(
    arrivals: list[tuple[float, float]], is_live: bool
):
    live = LiveSound()
    found = [live.is_live(now, secs) for now, secs in arrivals]

    assert found[0] is False
    assert found[-1] is is_live


async def test_sound_that_nobody_took_is_old():
    background = Background()
    background.add(bytes([0x20]) * 2000)
    background.add(bytes([0x30]) * 2000)
    assert set(await background.between()) == {0x30}

    spoken = bytes([0x40]) * 800
    assert await background.under(spoken) == spoken
    assert not background.goes_on
