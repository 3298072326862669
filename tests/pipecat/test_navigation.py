"""Bots that call others: people, or menus that are worked by words and keys."""

from typing import Any

import numpy as np
from pipecat.extensions.ivr.ivr_navigator import IVRNavigator, IVRStatus
from pipecat.frames.frames import BotStoppedSpeakingFrame, ErrorFrame

from tests.memory.conversation import ScriptedLLM
from tests.pipecat.features import Side, feature
from tests.pipecat.rig import Bot, Hearer, ToneTTS, calling
from twilio_frames.audio import decode_mulaw
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing import Caller

MENU = "For billing, press one or say billing."
KEY_1 = (697, 1209)
"""Hz."""


def navigating(*replies: str) -> tuple[Bot, IVRNavigator, ScriptedLLM]:
    pair, llm = PhoneContextAggregator(), ScriptedLLM()
    llm.replies += [[reply] for reply in replies]
    navigator = IVRNavigator(llm=llm, ivr_prompt="Get to billing.")
    ahead = [PhoneVAD(), Hearer(MENU), pair.user(), navigator, ToneTTS()]
    return Bot(ahead=ahead, behind=[pair.assistant()]), navigator, llm


def hears_key(caller: Caller) -> bool:
    """Whether the strongest two tones of what was heard are those of a key."""
    pcm = np.frombuffer(decode_mulaw(caller.heard_so_far), np.int16)
    power = np.abs(np.fft.rfft(pcm * 1.0))
    hertz = np.fft.rfftfreq(len(pcm), 1 / 8000)
    low, high = (hertz[np.where(band, power, 0).argmax()] for band in (hertz < 1000, hertz > 1000))
    return bool(pcm.any()) and bool(np.allclose([low, high], KEY_1, atol=15))


@feature("`IVRNavigator`, by words", "menus are told from people, and answered")
async def test_menu_is_answered_by_words(side: Side):
    bot, navigator, llm = navigating("<mode>ivr</mode>", "Billing please.", "<ivr>completed</ivr>")
    told: list[IVRStatus] = []

    @navigator.event_handler("on_ivr_status_changed")
    async def on_status(_: object, status: Any):
        told.append(status)

    async with calling(side, bot) as caller:
        await caller.say(MENU)
        await bot.after.wait_for(BotStoppedSpeakingFrame)
        await caller.say("You are being put through to billing.")
        await caller.wait_until(lambda: llm.runs == 3, seconds=15)
        await caller.wait(1.0)
        await caller.hang_up()

    assert told == [IVRStatus.DETECTED, IVRStatus.COMPLETED]


@feature(
    "`IVRNavigator`, by keys (`OutputDTMFUrgentFrame`)",
    "the key's tones are heard",
    "Twilio presses it, in a call of `twilio_frames.server`; a transport alone says that it cannot",
)
async def test_menu_is_answered_by_keys(side: Side):
    bot, _, llm = navigating("<mode>ivr</mode>", "<dtmf>1</dtmf>")
    async with calling(side, bot) as caller:
        await caller.say(MENU)
        await caller.wait_until(lambda: llm.runs == 2, seconds=15)
        await caller.wait(1.5)
        was_heard = hears_key(caller)
        await caller.hang_up()

    assert was_heard is (side is Side.STOCK)
    errors = [getattr(frame, "error", "") for frame in bot.before.frames(ErrorFrame)]
    assert [("twilio_frames.server" in error) for error in errors] == [True] * (side is Side.OURS)
