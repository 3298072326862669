"""Connections that break, fall dumb, stand still or are read slowly; and that runs repeat."""

import base64
import time
from itertools import pairwise

import aiohttp
import pytest
from aiohttp import web

from tests.testing.bots import AUTH_TOKEN, TinyBot, serving, tone
from tests.waiting import until
from twilio_frames.testing import CallEnd, CallerOptions, LineConditions, SimulatedTwilio
from twilio_frames.testing.lines.route import Stall
from twilio_frames.testing.lines.timekeeping import Lateness


@pytest.fixture
async def twilio():
    async with SimulatedTwilio(auth_token=AUTH_TOKEN, seed=1) as twilio:
        yield twilio


async def test_lost_connection_ends_the_call(twilio):
    bot = TinyBot()
    options = CallerOptions(line=LineConditions(lost_at=0.3))
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream", options=options) as caller:
        assert await caller.wait_for_end(seconds=5) is CallEnd.LINE_LOST
        socket = bot.socket
        assert socket is not None
        await until(lambda: socket.closed, seconds=2)

    assert not bot.said("stop")
    assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    assert 3 <= len(bot.said("media")) <= 11
    assert [alert.code for alert in caller.result.alerts] == [31903]


async def test_half_open_peer_says_nothing(twilio):
    bot = TinyBot()
    options = CallerOptions(line=LineConditions(half_open_at=0.3))
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream", options=options) as caller:
        await caller.wait(0.5)
        before = len(bot.messages)
        assert bot.socket is not None
        await bot.play(tone(0.3))
        await bot.mark("unheard")
        await caller.wait(0.5)
        assert not bot.socket.closed
        assert len(bot.messages) == before

    assert not caller.result.turns
    assert not bot.said("stop")


async def test_half_open_peer_answers_no_ping(twilio):
    class PingingBot(TinyBot):
        async def stream(self, request: web.Request) -> web.WebSocketResponse:
            self.socket = web.WebSocketResponse(heartbeat=0.2)
            await self.socket.prepare(request)
            async for message in self.socket:
                self.messages.append(message.json())
            return self.socket

    async def wait_until_closed(conditions: LineConditions, seconds: float) -> bool:
        bot = PingingBot()
        options = CallerOptions(line=conditions)
        async with (
            serving(bot) as host,
            twilio.call(f"ws://{host}/stream", options=options) as caller,
        ):
            await caller.wait(seconds)
            assert caller.is_connected
            assert bot.socket is not None
            return bot.socket.closed

    assert await wait_until_closed(LineConditions(half_open_at=0.3), 1.2)
    assert not await wait_until_closed(LineConditions(half_open_at=30), 1.2)


async def test_stall_brings_a_burst(twilio):
    arrived: list[float] = []

    class TimingBot(TinyBot):
        async def _take(self, message: dict) -> None:
            arrived.append(time.monotonic())
            await super()._take(message)

    options = CallerOptions(line=LineConditions(stalls=(Stall(at=0.5, seconds=0.4),)))
    bot = TimingBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream", options=options) as caller:
        await caller.wait(1.2)

    pauses = [after - before for before, after in pairwise(arrived)]
    longest = max(range(len(pauses)), key=pauses.__getitem__)
    assert 0.35 < pauses[longest] < 0.6
    # 20 frames were held back, and came at once.
    assert sum(pauses[longest + 1 : longest + 18]) < 0.1
    timestamps = [int(media["media"]["timestamp"]) for media in bot.said("media")]
    assert timestamps == list(range(timestamps[0], timestamps[-1] + 20, 20))


async def test_slow_reader_hears_late(twilio):
    async def greet(bot: TinyBot):
        for _ in range(10):
            await bot.play(tone(0.1))

    options = CallerOptions(line=LineConditions(reading_rate=4000))
    async with (
        serving(TinyBot(greet)) as host,
        twilio.call(f"ws://{host}/stream", options=options) as caller,
    ):
        await caller.wait(3.2)

    heard = caller.result.heard_spans
    # 1,100 characters for each 0.1 s take 0.28 s.
    assert 9 <= len(heard) <= 10
    assert 2.2 < heard[-1].ended_at - heard[0].began_at < 3.2


async def test_same_seed_sends_the_same_bytes():
    async def sent(seed: int) -> list[tuple[str, bytes]]:
        bot = TinyBot()
        line = LineConditions(
            comfort_noise=-60, is_over_a_law=True, delay_to_bot=0.02, jitter_to_bot=0.05
        )
        options = CallerOptions(line=line, seed=seed, noise_level=-50)
        async with (
            SimulatedTwilio(auth_token=AUTH_TOKEN, seed=seed) as twilio,
            serving(bot) as host,
            twilio.call(f"ws://{host}/stream", options=options) as caller,
        ):
            await caller.wait(1.0)
        return [
            (media["media"]["timestamp"], base64.b64decode(media["media"]["payload"]))
            for media in bot.said("media")
        ][:30]

    first, again, other = await sent(1), await sent(1), await sent(2)
    assert len(first) == 30
    assert first == again
    assert not {payload for _, payload in first} & {payload for _, payload in other}


async def test_own_timekeeping_is_in_the_result(twilio):
    async with (
        serving(TinyBot()) as host,
        twilio.call(f"ws://{host}/stream") as caller,
    ):
        await caller.wait(0.2)
        while_on_time = caller.result.timekeeping
        await caller.wait(0.1)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            pass
        await caller.wait(0.1)

    late = caller.result.timekeeping
    assert late.turns > while_on_time.turns >= 10
    assert late.worst > 0.15
    assert not late.is_trustworthy
    assert not caller.result.is_trustworthy
    assert "did not keep time" in late.warning


def test_turn_that_comes_early_is_in_time():
    lateness = Lateness()
    lateness.count(-5.0)

    assert lateness.timekeeping.worst == 0.0
    assert lateness.timekeeping.turns == 1
