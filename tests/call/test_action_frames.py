"""What a call can do, done by frames: in order with speech, or at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.call.test_detours import DetourBot
from tests.call.test_hold_music import MUSIC
from twilio_frames.call import Call, DetourResult, DigitsOutcome, TransferOutcome
from twilio_frames.frames import (
    CallActionFrame,
    CallActionUrgentFrame,
    CallAwayFrame,
    CallBackFrame,
    CallEndReason,
)
from twilio_frames.server import ServerSettings
from twilio_frames.testing import Caller, Phone
from twilio_frames.twiml import OtherTwiml, Pause

SALES = "+12125550123"
SETTINGS = ServerSettings(phone_number="+14155550199")

Action = Callable[[Call], Awaitable[Any]]

ACTIONS: dict[str, Action] = {
    "detour": lambda call: call.detour(Pause(seconds=1)),
    "send_digits": lambda call: call.send_digits("1"),
    "pay": lambda call: call.detour(OtherTwiml(xml="<Pay/>")),
    "transfer": lambda call: call.transfer(SALES),
    "warm_transfer": lambda call: call.warm_transfer(SALES, briefing="Anna calls."),
    "take_over": lambda call: call.take_over(SALES),
    "collect_digits": lambda call: call.collect_digits(length=1),
    "menu": lambda call: call.menu({"1": "sales"}),
    "whisper": lambda call: call.whisper("They are kind."),
    "start recording": lambda call: call.recording.start(),
    "stop recording": lambda call: call.recording.stop(),
    "hold": lambda call: call.hold(MUSIC),
    "resume": lambda call: call.resume(),
}


async def press_often(caller: Caller) -> None:
    while caller.is_connected:
        await caller.press("1")
        await caller.wait(1.0)


async def test_each_is_done_when_what_was_said_before_was_heard(phone: Phone):
    results: dict[str, Any] = {}

    def noting(name: str, action: Action) -> Action:
        async def act(call: Call) -> None:
            results[name] = await action(call)
            done[name].set()

        return act

    done = {name: asyncio.Event() for name in ACTIONS}

    async def act(call: Call, bot: DetourBot) -> object:
        for name, action in ACTIONS.items():
            await bot.say(0.2)
            await bot.before.push_frame(CallActionFrame(act=noting(name, action)))
            async with asyncio.timeout(60):
                await done[name].wait()
        return None

    bot = DetourBot(act)
    async with phone.desk(bot, settings=SETTINGS) as desk:
        desk.twilio.answer_with(SALES, None)
        async with desk.call() as caller:
            pressing = asyncio.create_task(press_often(caller))
            await caller.wait_for_end(seconds=200)
            await asyncio.wait_for(bot.reason, 30)
            pressing.cancel()

    assert bot.got is None
    assert list(results) == list(ACTIONS)
    for name in ("transfer", "warm_transfer", "take_over"):
        assert results[name].outcome is TransferOutcome.BUSY
    for name in ("collect_digits", "menu"):
        assert results[name].outcome is DigitsOutcome.COMPLETE
    assert all(isinstance(results[name], DetourResult) for name in ("detour", "pay"))
    assert results["start recording"].startswith("RE")


async def test_caller_on_hold_elsewhere_is_taken_back_by_a_frame(phone: Phone, files: str):
    """A frame that goes in order with speech would wait until the caller is back."""

    async def act(call: Call, bot: DetourBot) -> object:
        await bot.before.push_frame(CallActionFrame(act=lambda call: call.hold(files)))
        await bot.after.wait_for(CallAwayFrame)
        await asyncio.sleep(2.0)
        await bot.before.push_frame(CallActionUrgentFrame(act=lambda call: call.resume()))
        await bot.after.wait_for(CallBackFrame)
        await bot.say(0.3)
        return None

    bot = DetourBot(act)
    async with phone.desk(bot, settings=SETTINGS) as desk, desk.call() as caller:
        await caller.wait_for_end(seconds=60)
        await asyncio.wait_for(bot.reason, 30)

    assert await bot.reason is CallEndReason.BOT_HUNG_UP
    assert caller.result.heard_spans[-1].stream == 1


@pytest.mark.parametrize("kind", [CallActionFrame, CallActionUrgentFrame])
async def test_call_is_ended_by_a_frame(
    phone: Phone, kind: type[CallActionFrame | CallActionUrgentFrame]
):
    async def act(call: Call, bot: DetourBot) -> object:
        await bot.before.push_frame(kind(act=lambda call: call.hang_up()))
        await call.line_ended()
        return None

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=10)
        assert await asyncio.wait_for(bot.reason, 10) is CallEndReason.BOT_HUNG_UP


async def test_what_an_action_raises_leaves_the_call_up(phone: Phone):
    def fails(_: Call) -> Awaitable[object]:
        raise ValueError("no such thing")

    async def act(call: Call, bot: DetourBot) -> object:
        await bot.before.push_frame(CallActionFrame(act=fails))
        await bot.before.push_frame(CallActionUrgentFrame(act=fails))
        await bot.say(0.3)
        return await call.detour(Pause(seconds=1))

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()
