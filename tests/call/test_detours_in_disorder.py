"""Detours whose webhooks come twice and late, and whose bots and callers are gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientSession, web
from aiohttp.typedefs import Handler

from tests.call.test_detours import DetourBot, lengths, speaks, with_account
from twilio_frames.call import Call, DetourResult
from twilio_frames.errors import DetourError, RestError
from twilio_frames.frames import CallAwayFrame, CallBackFrame, CallEndReason, DetourFrame
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.server.state import STATE
from twilio_frames.signature import SIGNATURE_HEADER, sign
from twilio_frames.testing import Phone
from twilio_frames.twiml import Dial, Gather, Pause, Say

Between = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


def app_with(bot: Callable[[Call], Awaitable[None]], phone: Phone, between: Between):
    """A server between whose requests and answers something happens."""
    app = create_app(bot, ServerSettings(auth_token=phone.auth_token, max_calls=2))

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await between(request, handler)

    app.middlewares.append(around)
    return app


async def asked_twice(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The first answer is too slow, so Twilio asks again and takes the second."""
    if request.path in ("/after-stream", "/back"):
        await handler(request)
    return await handler(request)


async def test_what_is_asked_twice_is_done_once(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(
            Pause(seconds=2), Dial(targets=("+12125550123",)), Dial(targets=("+12125550124",))
        )

    bot = DetourBot(act)
    async with phone.desk(app_with(bot, phone, asked_twice)) as desk:
        desk.twilio.answer_with("+12125550123", None)
        desk.twilio.answer_with("+12125550124", speaks(1.0))
        async with desk.call() as caller:
            await caller.wait_for_end(seconds=30)
            result = await bot.result()

    assert [one["DialCallStatus"] for one in result.results] == ["busy", "completed"]
    assert result.away_secs > 3.0


async def test_two_verbs_may_tell_the_same(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        ask = Gather(digits=1, timeout_secs=5)
        return await call.detour(ask, ask)

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await bot.after.wait_for(CallAwayFrame)
        for _ in range(2):
            await caller.wait(0.5)
            await caller.press("1")
        await caller.wait_for_end(seconds=30)
        result = await bot.result()

    assert [one["Digits"] for one in result.results] == ["1", "1"]


async def test_question_told_again_late_does_not_lose_the_way_back(phone: Phone):
    asked: list[tuple[web.Request, Handler]] = []

    async def late(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/after-stream":
            asked.append((request, handler))
        answer = await handler(request)
        if request.path == "/back":
            again, its_handler = asked[0]
            await its_handler(again)
        return answer

    async def act(call: Call, bot: DetourBot) -> DetourResult:
        result = await call.detour(Pause(seconds=1))
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(app_with(bot, phone, late)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert [span.stream for span in caller.result.heard_spans] == [1]


async def test_stream_whose_bot_is_gone_gets_no_other_bot(phone: Phone):
    """The bot ends between the answer that connects the call and its stream."""
    bots = 0

    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=1))

    first = DetourBot(act)

    async def answer(call: Call) -> None:
        nonlocal bots
        bots += 1
        await first(call)

    async def gone(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.path == "/back":
            await first.call.transport.close()
        return answer

    async with phone.call(app_with(answer, phone, gone)) as caller:
        await caller.wait_for_end(seconds=30)

    assert bots == 1


async def test_way_back_takes_no_line_from_others(phone: Phone):
    busy: list[bool] = []

    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.path == "/back":
            busy.append(await app[STATE].is_full())
        return answer

    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=1))

    bot = DetourBot(act)
    app = app_with(bot, phone, look)
    async with phone.call(app) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert busy == [False]


async def test_caller_who_hangs_up_as_the_stream_is_left_is_gone_at_once(phone: Phone):
    async def act(call: Call, _: DetourBot) -> DetourResult:
        return await call.detour(Pause(seconds=60))

    bot = DetourBot(act)
    async with phone.desk(bot) as desk, desk.call():
        await bot.after.wait_for(CallAwayFrame)
        url = desk.base_url + "/after-stream"
        told = {"CallSid": bot.call.call_sid, "CallStatus": "completed"}
        headers = {SIGNATURE_HEADER: sign(phone.auth_token, url, told)}
        async with ClientSession() as twilio, twilio.post(url, data=told, headers=headers) as said:
            assert said.status == 200
        error = await bot.error()

    assert error.has_ended
    assert await bot.reason is CallEndReason.CALLER_HUNG_UP


async def test_detours_out_of_a_pipeline_wait_for_each_other(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        for seconds in (0.5, 0.25):
            await bot.say(seconds)
            await bot.before.push_frame(DetourFrame(verbs=(Pause(seconds=1),)))
            await bot.before.push_frame(DetourFrame(verbs=(Pause(seconds=1),)))
        await bot.say(0.5)
        await bot.after.wait_for(CallBackFrame, count=4)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=60)
        await bot.result()

    assert [span.stream for span in caller.result.heard_spans] == [0, 2, 4]


@pytest.mark.parametrize("at_once", [False, True])
async def test_detour_that_nobody_waits_for_is_in_no_ones_way(phone: Phone, at_once: bool):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        first = asyncio.create_task(call.detour(Pause(seconds=2)))
        await bot.after.wait_for(CallAwayFrame)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        with pytest.raises(DetourError, match="makes no detour"):
            await call.detour(Pause(seconds=1), when_busy="refuse")
        result = await asyncio.wait_for(call.detour(Pause(seconds=1), at_once=at_once), 20)
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=60)
        await bot.result()

    assert len(bot.after.frames(CallBackFrame)) == 2
    assert [span.stream for span in caller.result.heard_spans] == [2]


async def test_bot_says_on_where_twilio_refuses_to_let_it_leave_at_once(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.say(3.0)
        await asyncio.sleep(1.0)
        with pytest.raises(RestError):
            await call.detour(Pause(seconds=1), by_rest=True, at_once=True)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    async with phone.call(with_account(bot, "AC" + "2" * 32)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert sum(lengths(caller)) >= 3.0


async def test_frame_whose_verbs_twilio_would_refuse_never_leaves(phone: Phone):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await bot.before.push_frame(DetourFrame(verbs=(Say(text="x" * 70_000),)))
        await bot.say(0.5)
        return DetourResult((), 0.0)

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert not bot.after.frames(CallAwayFrame)
    assert lengths(caller) == [pytest.approx(0.5, abs=0.03)]


@pytest.mark.parametrize("at_once", [False, True])
async def test_call_may_leave_before_its_pipeline_is_up(phone: Phone, at_once: bool):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        result = await call.detour(Pause(seconds=1), at_once=at_once)
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert len(bot.after.frames(CallAwayFrame)) == 1
    assert lengths(caller) == [pytest.approx(0.5, abs=0.03)]


async def test_stream_that_is_refused_once_is_opened_then(phone: Phone):
    upgrades = 0

    async def refuse_the_second(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal upgrades
        upgrades += request.path == "/stream"
        if request.path == "/stream" and upgrades == 2:
            return web.Response(status=503)
        return await handler(request)

    async def act(call: Call, bot: DetourBot) -> DetourResult:
        result = await call.detour(Pause(seconds=1))
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(app_with(bot, phone, refuse_the_second)) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    assert upgrades == 3
    assert lengths(caller) == [pytest.approx(0.5, abs=0.03)]
