"""Pipecat's recorder behind the output."""

import itertools

import numpy as np
from pipecat.frames.frames import BotStoppedSpeakingFrame
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from tests.pipecat.features import Side, feature
from tests.pipecat.rig import TONE, Bot, ToneTTS, calling


@feature("`AudioBufferProcessor`", "a recording as long as the call, each sound in its place")
async def test_recording_is_as_long_as_the_call(side: Side):
    recorder = AudioBufferProcessor(num_channels=2, auto_start_recording=True)
    tracks: dict[str, np.ndarray] = {}

    @recorder.event_handler("on_track_audio_data")
    async def on_tracks(_, user: bytes, bot: bytes, rate: int, channels: int):
        tracks["user"], tracks["bot"] = (np.frombuffer(one, np.int16) for one in (user, bot))

    bot, said_at = Bot(ahead=[ToneTTS()], behind=[recorder]), list[float]()
    async with calling(side, bot) as caller:
        for number in range(3):
            await bot.say("one two three")
            await bot.after.wait_for(BotStoppedSpeakingFrame, count=number + 1)
            await caller.wait(0.5)
            said_at.append((await caller.say(TONE * 800)).began_at or 0.0)
            await caller.wait(0.5)
        await caller.hang_up()
        length = caller.result.seconds

    loud = np.flatnonzero(np.abs(tracks["user"].astype(int)) > 2000) / 8000
    starts = [loud[0], *(b for a, b in itertools.pairwise(loud) if b - a > 0.5)]
    late = [
        (at - starts[0]) - (said - said_at[0]) for at, said in zip(starts, said_at, strict=True)
    ]
    assert length - 0.6 < len(tracks["user"]) / 8000 < length + 0.3
    assert max(map(abs, late)) < 0.1
    assert (np.abs(tracks["bot"].astype(int)) > 2000).sum() / 8000 > 1.2


@feature("`AudioBufferProcessor(enable_turn_audio=True)`", "audio of each of the bot's turns")
async def test_audio_of_turns_is_told(side: Side):
    recorder = AudioBufferProcessor(enable_turn_audio=True, auto_start_recording=True)
    turns: list[float] = []

    @recorder.event_handler("on_bot_turn_audio")
    async def on_turn(_, turn):
        turns.append(len(turn.audio) / 16000)

    bot = Bot(ahead=[ToneTTS()], behind=[recorder])
    async with calling(side, bot) as caller:
        await bot.say("one two three")
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        # Pipecat takes a turn for over when nobody has spoken for a while.
        await caller.wait(4)
        await caller.hang_up()

    assert len(turns) == 1
    assert abs(turns[0] - 0.6) < 0.15
