"""What the line does to a call, and how exactly the simulation knows it."""

import asyncio
import base64
import time
from itertools import pairwise

import numpy as np
import pytest

from tests.testing.bots import AUTH_TOKEN, TinyBot, serving, tone
from tests.waiting import time_passes, until
from twilio_frames.audio import decode_mulaw
from twilio_frames.testing import CallEnd, CallerOptions, LineConditions, SimulatedTwilio
from twilio_frames.testing.lines.conditions import DelayLine
from twilio_frames.testing.lines.route import Route

DELAY = 0.1


@pytest.fixture
async def twilio():
    async with SimulatedTwilio(auth_token=AUTH_TOKEN, seed=1) as twilio:
        yield twilio


def log_time(caller, event: str, source: str) -> float:
    return caller.log.events(event, source)[0].time


async def test_marks_return_to_the_millisecond(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.1234))
        await bot.mark("end")

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("mark")

    took = log_time(caller, "mark", "to_bot") - log_time(caller, "media", "from_bot")
    # Never early; a busy machine may be late.
    assert 0.123 < took < 0.135


async def test_heard_spans_name_the_bytes(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.15, 300))
        await time_passes(0.3)
        await bot.play(tone(5, 600))

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await caller.wait_until_bot_speaks(for_seconds=0.5)
        await bot.send("clear")
        await bot.play(tone(0.1, 900))
        await caller.wait_for_bot(silence=0.3)

    sent = tone(0.15, 300) + tone(5, 600) + tone(0.1, 900)
    first, second, third = result_spans = caller.result.heard_spans
    for span in result_spans:
        begin, end = round(span.began_at * 8000), round(span.ended_at * 8000)
        assert caller.result.heard_bot[begin:end] == sent[span.begin : span.end]
    assert (first.begin, first.end, second.begin) == (0, 1200, 1200)
    assert second.end < 1200 + 8000
    assert (third.begin, third.end) == (len(sent) - 800, len(sent))
    answered = log_time(caller, "answered", "call")
    cut = log_time(caller, "clear", "from_bot") - answered
    assert second.ended_at == pytest.approx(cut, abs=0.005)


async def test_last_word_is_heard_before_closing(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.23))
        await bot.mark("end")

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("mark")
        assert bot.socket is not None
        await bot.socket.close()
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP

    assert tone(0.23) in caller.result.heard_bot
    assert caller.result.cut_off_secs == 0


async def test_mark_takes_a_round_trip(twilio):
    bot = TinyBot()
    options = CallerOptions(line=LineConditions.one_way(DELAY))
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream", options=options):
        await bot.wait_for("start")
        sent = time.monotonic()
        await bot.mark("empty")
        await bot.wait_for("mark")
        took = time.monotonic() - sent

    assert 2 * DELAY - 0.002 < took < 2 * DELAY + 0.05


async def test_delay_does_not_cut_the_end(twilio):
    async def greet(bot: TinyBot):
        assert bot.socket is not None
        await bot.play(tone(0.5))
        await time_passes(0.45)
        await bot.socket.close()

    options = CallerOptions(line=LineConditions.one_way(DELAY))
    async with (
        serving(TinyBot(greet)) as host,
        twilio.call(f"ws://{host}/stream", options=options) as caller,
    ):
        await caller.wait_for_end(seconds=5)

    (span,) = caller.result.heard_spans
    # The closing takes as long to arrive as the audio did.
    assert span.ended_at - span.began_at == pytest.approx(0.45, abs=0.03)


async def test_delay_line_keeps_order():
    arrived: list[tuple[int, float]] = []
    began = asyncio.get_running_loop().time()
    line = DelayLine[int](
        lambda number, at: arrived.append((number, at)),
        Route(delay=0.02, jitter=0.03, seed=4),
        answered_at=lambda: began,
    )
    for number in range(40):
        line.put(number, began + number / 100)
    await until(lambda: line.is_empty, seconds=2)

    assert [number for number, _ in arrived] == list(range(40))
    times = [at for _, at in arrived]
    assert all(after >= before for before, after in pairwise(times))
    waits = [at - began - number / 100 for number, at in arrived]
    assert min(waits) >= 0.02
    assert 0.03 < max(waits) <= 0.05 + 1e-6


async def test_bot_hears_its_echo(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.3))

    bot = TinyBot(greet)
    options = CallerOptions(line=LineConditions(echo_level=-20, echo_delay=0.2))
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream", options=options) as caller:
        await caller.wait(0.9)
    heard = b"".join(base64.b64decode(m["media"]["payload"]) for m in bot.said("media"))

    loud = np.flatnonzero(np.abs(pcm(heard)) > 400)
    assert (loud[-1] - loud[0]) / 8000 == pytest.approx(0.3, abs=0.01)


def pcm(mulaw: bytes) -> np.ndarray:
    return np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(float)
