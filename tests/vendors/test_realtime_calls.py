"""Whole calls with a realtime model, on good days."""

import pytest
from pipecat.services.llm_service import FunctionCallParams

from tests.vendors.realtime_rig import (
    ANSWER,
    GREETING,
    QUESTION,
    RealtimeBot,
    ask_when_bot_is_done,
    heard,
)
from twilio_frames.frames import VendorRole
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.testing import LoopWatch, Phone
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.vendors import FunctionCall, Pacing, RealtimeServer


async def test_mulaw_passes_bit_for_bit(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    async with RealtimeServer(replies=[GREETING, ANSWER], hears=["when do you open"]) as server:
        bot = RealtimeBot(server)
        call = await phone.ring(bot, ask_when_bot_is_done)
        turn = server.memory[1]

    health = VENDORS.of(VendorRole.REALTIME, "openairealtime")
    assert health.successes == 2
    assert 0 < (health.first_byte(0.95) or 0) < 3
    assert heard(GREETING, call.result)
    assert heard(ANSWER, call.result)
    sent = bot.caller_audio()
    begin = sent.find(turn.audio)
    loud = audible_samples(sent)
    assert begin >= 0
    assert begin < loud[0] < loud[-1] < begin + len(turn.audio)
    assert len(turn.audio) < loud[-1] - loud[0] + 8 * 1500
    assert [item.role for item in server.memory] == ["assistant", "user", "assistant"]
    assert bot.context.get_messages() == [
        {"role": "assistant", "content": GREETING.text},
        {"role": "user", "content": "when do you open"},
        {"role": "assistant", "content": ANSWER.text},
    ]
    assert server.session.refused == bot.told == []


async def test_function_is_called_in_mid_call(phone: Phone):
    async def opening_hours(params: FunctionCallParams) -> None:
        await params.result_callback({"opens": params.arguments["day"]})

    call = FunctionCall("opening_hours", {"day": "Monday"})
    async with RealtimeServer(replies=[GREETING, call, ANSWER], hears=["when"]) as server:
        bot = RealtimeBot(server, functions={"opening_hours": opening_hours})
        result = (await phone.ring(bot, ask_when_bot_is_done)).result

    kinds = [item.kind for item in server.memory]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]
    assert server.memory[3].text == '{"opens": "Monday"}'
    assert heard(ANSWER, result)
    assert server.session.refused == []


async def test_event_loop_is_never_held_up(phone: Phone):
    async with RealtimeServer(replies=[GREETING, ANSWER]) as server:
        bot = RealtimeBot(server)
        async with phone.desk(bot) as desk:
            # The first call of a process imports and loads what all others use.
            await desk.ring(None)
            async with LoopWatch() as watch, desk.call() as caller:
                await caller.wait(0.8)
                await caller.say(QUESTION)
                await caller.wait(1.0)

    # A busy machine lets others run; that is no fault of the call's.
    blocks = [block for block in watch.blocks if block.cpu_secs > 0.02]
    assert not blocks, "\n".join(map(str, blocks))


async def test_greeting_is_soon(phone: Phone):
    async with RealtimeServer(replies=[GREETING], pacing=Pacing(latency=0.0)) as server:
        result = (await phone.ring(RealtimeBot(server), None)).result

    late = 0.0 if result.is_trustworthy else 10.0
    assert result.first_audio is not None
    assert result.first_audio < 1.0 + late
