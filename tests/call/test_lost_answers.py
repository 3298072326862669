"""What Twilio was asked for by REST and has done, though its answer was lost."""

import asyncio

import pytest

from tests.call.test_detours import DetourBot, lengths, with_account
from tests.call.test_warm_transfer import (
    BY_TWILIO,
    SALES,
    SETTINGS,
    WarmBot,
    phone_is_quiet,
    takes_it,
)
from twilio_frames.call import Call, TransferOutcome
from twilio_frames.frames import CallBackFrame, CallEndReason
from twilio_frames.testing import AccountRules, Phone
from twilio_frames.twiml import Pause


@pytest.fixture
def phone() -> Phone:
    return Phone(rules=AccountRules(answers_lost=1.0))


async def test_detour_is_made(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        result = await call.detour(Pause(seconds=1), by_rest=True)
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    assert lengths(caller) == [pytest.approx(0.5, abs=0.03)]


async def test_caller_is_taken_off_hold(phone: Phone, files: str):
    async def act(call: Call, bot: DetourBot) -> object:
        async with call.on_hold(files):
            await asyncio.sleep(1.0)
        await bot.say(0.5)
        return None

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert len(bot.after.frames(CallBackFrame)) == 1
    assert lengths(caller)[-1] == pytest.approx(0.5, abs=0.03)


async def test_other_twiml_is_given(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        await call.redirect(twiml="<Response><Pause length='2'/></Response>")
        return call.end_reason

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    assert bot.got is CallEndReason.TRANSFERRED


async def test_recording_is_known_and_can_be_paused(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> object:
        sid = await call.recording.start()
        async with call.recording.paused():
            await asyncio.sleep(1.0)
        await call.recording.stop()
        return sid

    bot = DetourBot(act)
    async with phone.call(with_account(bot)) as caller:
        await caller.wait_for_end(seconds=30)
        await asyncio.wait_for(bot.reason, 30)

    events = caller.log.events("recording")
    assert {event.details["recording_sid"] for event in events} == {bot.got}


@pytest.mark.parametrize("key", ["1", "2"], ids=["accepts", "declines"])
async def test_person_who_was_called_all_the_same_is_asked(phone: Phone, key: str):
    bot = WarmBot(briefing=BY_TWILIO)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, takes_it(key, then=lambda agent: agent.wait(3.0)))
        async with desk.call() as caller:
            result = await bot.outcome()
            await caller.wait_for_end(seconds=30)
        assert await phone_is_quiet(desk)

    wanted = TransferOutcome.ANSWERED if key == "1" else TransferOutcome.DECLINED
    assert result.outcome is wanted
