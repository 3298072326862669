"""Pipecat's timer of an idle caller stands still while the call is away from its stream."""

import asyncio
import time
from typing import Any

import pytest
from pipecat.frames.frames import UserIdleTimeoutUpdateFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams

from tests.call.keyed_bots import clip
from twilio_frames.call import Call
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.testing import Phone
from twilio_frames.twiml import Pause


class IdleBot:
    """Notes when its caller was idle; goes away in between.

    Args:
        secs: How long a caller may say nothing.
        set_meanwhile: What that is changed to while the call is away.
    """

    def __init__(self, secs: float, set_meanwhile: float | None = None):
        params = LLMUserAggregatorParams(user_idle_timeout=secs)
        self.context = PhoneContextAggregator(LLMContext(), user_params=params)
        self.user = self.context.user()
        self.user.add_event_handler("on_user_turn_idle", self._idle)
        self.set_meanwhile = set_meanwhile
        self.idle_at: list[float] = []
        self.back_at = 0.0
        self.done = asyncio.Event()

    async def _idle(self, _: object) -> None:
        self.idle_at.append(time.monotonic())
        self.done.set()

    async def __call__(self, call: Call) -> None:
        parts = [call.transport.input(), self.user, call.transport.output()]
        acting = asyncio.create_task(self._act(call))
        await call.run(Pipeline([*parts, self.context.assistant()]), greeting=clip(1.0))
        await acting

    async def _act(self, call: Call) -> Any:
        await call.transport.wait_for_start()
        going = asyncio.create_task(call.detour(Pause(seconds=10)))
        if self.set_meanwhile is not None:
            await asyncio.wait({going}, timeout=5)
            await self.user.queue_frame(UserIdleTimeoutUpdateFrame(timeout=self.set_meanwhile))
        await going
        self.back_at = time.monotonic()
        await asyncio.wait_for(self.done.wait(), 30)
        await call.hang_up()


@pytest.mark.parametrize("set_meanwhile", [None, 5.0])
async def test_caller_who_is_away_is_not_idle(phone: Phone, set_meanwhile: float | None):
    bot = IdleBot(3.0, set_meanwhile)

    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=60)

    assert len(bot.idle_at) == 1
    expected = set_meanwhile or 3.0
    assert bot.idle_at[0] - bot.back_at == pytest.approx(expected, abs=0.3)


async def test_caller_may_be_idle_for_ever(phone: Phone):
    bot = IdleBot(0.0)
    bot.done.set()

    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=60)

    assert not bot.idle_at
