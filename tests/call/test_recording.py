"""A call recorded by Twilio."""

import asyncio
import re
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from tests.call.test_detours import Act, DetourBot
from tests.testing.bots import tone
from twilio_frames.call import Call, DigitsOutcome, DigitsResult
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import RecordingFrame
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.testing import Phone, SimulatedTwilio
from twilio_frames.transport import CallRecorder


def app_of(
    act: Act, **more: bool
) -> tuple[DetourBot, Callable[[SimulatedTwilio], web.Application]]:
    bot = DetourBot(act)

    def app(twilio: SimulatedTwilio) -> web.Application:
        settings = ServerSettings(
            account_sid=twilio.account_sid, auth_token=twilio.auth_token, api_url=twilio.rest_url
        )
        return create_app(bot, replace(settings, **more))

    return bot, app


async def test_recording_pauses_for_what_nobody_should_keep(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        sid = await call.recording.start()
        assert sid.startswith("RE")
        await bot.say(1.0)
        await bot.after.wait_for(RecordingFrame)
        async with call.recording.paused(), call.recording.paused():
            await asyncio.sleep(2.0)
        await call.recording.stop()
        await bot.after.wait_for(RecordingFrame, count=2)
        return sid

    bot, app = app_of(act)
    async with phone.call(app) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    told = [
        frame for frame in bot.after.frames(RecordingFrame) if isinstance(frame, RecordingFrame)
    ]
    assert [frame.status for frame in told] == ["in-progress", "completed"]
    assert {frame.recording_sid for frame in told} == {bot.got}
    # What was paused is silence in it.
    assert told[1].secs is not None
    assert told[1].secs >= 2.0


async def test_caller_has_to_agree_where_that_is_set(phone: Phone):
    async def act(call: Call, _: DetourBot) -> object:
        with pytest.raises(ConfigurationError, match="agreed"):
            await call.recording.start()
        call.recording.has_consent = True
        return await call.recording.start()

    bot, app = app_of(act, recording_needs_consent=True)
    async with phone.call(app) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert isinstance(bot.got, str)


async def test_call_is_recorded_once(phone: Phone):
    async def act(call: Call, _: DetourBot) -> object:
        await call.recording.start(channels="mono")
        with pytest.raises(ConfigurationError, match="not being recorded"):
            await call.recording.start()
        await call.recording.stop()
        await call.recording.stop()
        return await call.recording.start()

    bot, app = app_of(act)
    async with phone.call(app) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert isinstance(bot.got, str)


async def test_recording_needs_credentials_and_pauses_without(phone: Phone):
    async def act(call: Call, _: DetourBot) -> object:
        with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
            await call.recording.start()
        async with call.recording.paused():
            return True

    bot = DetourBot(act)
    settings = ServerSettings(auth_token=phone.auth_token)
    async with phone.call(create_app(bot, settings)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert bot.got is True


async def test_digits_are_kept_out_of_it(phone: Phone):
    pauses: list[int] = []

    async def act(call: Call, _: DetourBot) -> object:
        await call.recording.start()
        asking = asyncio.create_task(call.collect_digits(length=2))
        await asyncio.wait({asking}, timeout=3.0)
        pauses.append(call.recording._pauses)  # pyright: ignore[reportPrivateUsage]
        result = await asking
        pauses.append(call.recording._pauses)  # pyright: ignore[reportPrivateUsage]
        return result

    bot, app = app_of(act)
    async with phone.call(app) as caller:
        await caller.wait(5.0)
        await caller.press("42")
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert isinstance(bot.got, DigitsResult)
    assert bot.got.digits == "42"
    assert pauses == [1, 0]


async def test_caller_who_hangs_up_over_digits_is_no_error(phone: Phone):
    """Nothing is left of the recording that could go on."""

    async def act(call: Call, _: DetourBot) -> object:
        await call.recording.start()
        return await call.collect_digits(length=2)

    bot, app = app_of(act)
    async with phone.call(app) as caller:
        await caller.wait(3.0)
        await caller.hang_up()
        await asyncio.wait_for(bot.reason, 30)

    assert isinstance(bot.got, DigitsResult)
    assert bot.got.outcome is DigitsOutcome.CALLER_HUNG_UP


async def test_recorder_of_ones_own_pauses_in_step(phone: Phone, tmp_path: Path):
    """Be it that Twilio records nothing, and that digits are asked for meanwhile."""
    begun = asyncio.Event()

    async def act(call: Call, _: DetourBot) -> object:
        call.transport.add_tap(CallRecorder(tmp_path / "call.wav"))
        begun.set()
        await asyncio.sleep(2.0)
        async with call.recording.paused():
            await call.collect_digits(length=1, seconds_to_first=1.0)
            await asyncio.sleep(1.0)
        await asyncio.sleep(2.0)
        return None

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await begun.wait()
        await caller.say(tone(5.0))
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    with wave.open(str(tmp_path / "call.wav")) as recording:
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    loud = np.abs(pcm.reshape(-1, 2)[:, 0]).reshape(-1)[: len(pcm) // 1600 * 800]
    tenths = loud.reshape(-1, 800).max(axis=1) > 1000
    heard = "".join("-" if each else "." for each in tenths)
    assert re.fullmatch(r"\.*-{15,}\.{15,}-{5,}\.*", heard), heard
