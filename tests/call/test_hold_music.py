"""A caller on hold, with music."""

import asyncio

import numpy as np
import pytest
from pipecat.frames.frames import BotSpeakingFrame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline

from tests.call.test_detours import DetourBot, lengths, with_account
from tests.transport.bots import tone
from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.call import Call
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallAwayFrame, CallBackFrame, CallEndReason
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import CallEnd, Phone
from twilio_frames.twiml import Pause

SETTINGS = ServerSettings()
MUSIC = encode_mulaw(tone(0.7, hertz=300.0))


def loudness(mulaw: bytes) -> float:
    pcm = np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(float)
    return float(np.sqrt(np.mean(pcm**2))) if len(pcm) else 0.0


async def test_own_music_is_heard_and_the_caller_is_not(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        await bot.say(0.5)
        async with call.on_hold(MUSIC):
            held.set()
            await asyncio.sleep(4.0)
        await bot.say(0.5)
        return None

    held = asyncio.Event()
    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await held.wait()
        begin = len(bot.before.seen)
        await caller.say("Is anybody there?")
        while_held = bot.before.seen[begin:]
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    heard = caller.result.heard_bot
    assert all(loudness(heard[at : at + 4000]) > 1000 for at in range(8000, 32000, 4000))
    audio = [frame.audio for frame, _ in while_held if isinstance(frame, InputAudioRawFrame)]
    assert audio
    assert not any(any(each) for each in audio)


async def test_twilio_plays_a_file_until_it_is_taken_back(phone: Phone, files: str):
    async def act(call: Call, bot: DetourBot) -> object:
        await bot.say(0.5)
        async with call.on_hold(files):
            await asyncio.sleep(3.0)
        await bot.say(0.5)
        return None

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    (back,) = bot.after.frames(CallBackFrame)
    assert isinstance(back, CallBackFrame)
    assert 3.0 <= back.away_secs < 4.5
    assert len(lengths(caller)) == 2


async def test_file_needs_credentials(phone: Phone):
    async def act(call: Call, _: DetourBot) -> object:
        for music, words in ((b"", "got none"), ("http://127.0.0.1/a.wav", "TWILIO_ACCOUNT_SID")):
            with pytest.raises(ConfigurationError, match=words):
                async with call.on_hold(music):
                    pass
        return None

    bot = DetourBot(act)
    settings = ServerSettings(auth_token=phone.auth_token)
    async with phone.call(create_app(bot, settings)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)


async def test_caller_is_not_put_on_hold_any_more_where_nobody_waits(phone: Phone, files: str):
    """The function is cancelled while what was said before is still being heard."""

    async def hold(call: Call) -> None:
        async with call.on_hold(files):
            await asyncio.sleep(3.0)

    async def act(call: Call, bot: DetourBot) -> object:
        await bot.say(2.0)
        holding = asyncio.create_task(hold(call))
        await bot.before.wait_for(BotSpeakingFrame)
        holding.cancel()
        await asyncio.wait({holding})
        await bot.say(0.5)
        await asyncio.sleep(3.0)
        return None

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert not bot.after.frames(CallAwayFrame)
    assert sum(lengths(caller)) == pytest.approx(2.5, abs=0.1)


async def test_hold_behind_another_detour_ends_when_it_is_to(phone: Phone, files: str):
    async def act(call: Call, bot: DetourBot) -> object:
        first = asyncio.create_task(call.detour(Pause(seconds=3)))
        await bot.after.wait_for(CallAwayFrame)
        async with call.on_hold(files):
            assert first.done()
            await asyncio.sleep(1.0)
        await bot.say(0.5)
        return await first

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    assert result.away_secs >= 3.0
    assert caller.result.heard_spans[-1].stream == 2


async def test_caller_who_hangs_up_on_hold_is_gone_when_the_hold_ends(phone: Phone, files: str):
    """Before anybody has asked whether the call is still up."""

    async def act(call: Call, _: DetourBot) -> object:
        async with call.on_hold(files):
            held.set()
            await gone.wait()
        return None

    held, gone = asyncio.Event(), asyncio.Event()
    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await held.wait()
        await bot.after.wait_for(CallAwayFrame)
        await caller.wait(1.0)
        await caller.hang_up()
        gone.set()
        error = await bot.error()

    assert error.has_ended
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("is_twilios", [False, True], ids=["our own", "Twilio's"])
@pytest.mark.parametrize("end", ["hang up", "fail"])
async def test_caller_is_not_left_with_the_music(
    phone: Phone, files: str, end: str, *, is_twilios: bool
):
    """The bot forgets to take them off hold, or fails."""

    async def act(call: Call, _: DetourBot) -> object:
        await call.hold(files if is_twilios else MUSIC)
        await asyncio.sleep(1.0)
        if end == "fail":
            raise ValueError("no such order")
        await call.hang_up()
        return None

    async def bot(call: Call) -> None:
        acting = asyncio.create_task(act(call, DetourBot(act)))
        running = asyncio.create_task(
            call.run(Pipeline([call.transport.input(), call.transport.output()]))
        )
        try:
            await acting
            await running
        finally:
            running.cancel()
            await asyncio.wait({running})

    async with phone.desk(bot, settings=SETTINGS, keep_errors=True) as desk:
        async with desk.call() as caller:
            assert await caller.wait_for_end(seconds=30) is CallEnd.BOT_HUNG_UP
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "hold-music"]
