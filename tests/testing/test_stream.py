"""One stream between the simulated Twilio and a small bot."""

import asyncio
import base64
import wave
from itertools import pairwise
from typing import cast

import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse
from twilio.request_validator import RequestValidator

from tests.testing.bots import AUTH_TOKEN, TinyBot, serving, tone
from twilio_frames.audio import decode_mulaw
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.protocol import Start
from twilio_frames.testing import CallEnd, CallerOptions, SimulatedTwilio
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.stream import MediaStream, StreamEnd


@pytest.fixture
async def twilio():
    async with SimulatedTwilio(auth_token=AUTH_TOKEN, seed=1) as twilio:
        yield twilio


async def test_upgrade_looks_like_twilios(twilio):
    bot = TinyBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream"):
        headers = bot.requests[0].headers

    assert headers["User-Agent"] == "Twilio.TmeWs/1.0"
    assert {"Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"}.isdisjoint(headers)
    signature = RequestValidator(AUTH_TOKEN).compute_signature(f"wss://{host}/stream", {})
    assert headers["x-twilio-signature"] == signature


async def test_query_string_is_lost(twilio):
    bot = TinyBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream?token=1"):
        assert bot.requests[0].query_string == ""


async def test_messages_come_in_twilios_order(twilio):
    bot = TinyBot()
    async with serving(bot) as host:
        async with twilio.call(f"ws://{host}/stream", parameters={"table": "7"}) as caller:
            await bot.wait_for("media", 5)
            await caller.press("1#")
        await bot.wait_for("stop")

    events = [message["event"] for message in bot.messages]
    assert events[:3] == ["connected", "start", "media"]
    assert events[-1] == "stop"
    assert [digit["dtmf"]["digit"] for digit in bot.said("dtmf")] == ["1", "#"]
    assert bot.messages[1]["start"]["customParameters"] == {"table": "7"}
    numbers = [message["sequenceNumber"] for message in bot.messages[1:]]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


async def test_audio_comes_in_20_ms_frames(twilio):
    bot = TinyBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream"):
        media = [message["media"] for message in await bot.wait_for("media", 10)]

    stamps = [int(frame["timestamp"]) for frame in media]
    assert 99 <= stamps[0] <= 190
    assert all(after - before == 20 for before, after in pairwise(stamps))
    assert [frame["chunk"] for frame in media] == [str(n + 1) for n in range(len(media))]
    assert {len(base64.b64decode(frame["payload"])) for frame in media} == {160}


async def test_caller_is_heard_by_the_bot(twilio):
    bot = TinyBot()
    speech = tone(0.3)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("media")
        await caller.say(speech)
        await bot.wait_for("media", len(bot.said("media")) + 2)

    heard = b"".join(base64.b64decode(m["media"]["payload"]) for m in bot.said("media"))
    assert speech in heard


async def test_marks_return_when_played(twilio):
    async def greet(bot: TinyBot):
        await bot.mark("before")
        await bot.play(tone(0.2))
        await bot.mark("middle")
        await bot.play(tone(0.2))
        await bot.mark("end")

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("mark", 3)

    times = [entry.time for entry in caller.log.events("mark", "to_bot")]
    assert bot.marks() == ["before", "middle", "end"]
    assert times[1] - times[0] == pytest.approx(0.2, abs=0.08)
    assert times[2] - times[1] == pytest.approx(0.2, abs=0.08)


async def test_clear_returns_all_marks_and_silences(twilio):
    async def greet(bot: TinyBot):
        for name in "abc":
            await bot.play(tone(5))
            await bot.mark(name)

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await caller.wait_until_bot_speaks(for_seconds=0.3)
        await bot.send("clear")
        await bot.wait_for("mark", 3)
        await caller.wait_for_bot(silence=0.3)

    result = caller.result
    assert bot.marks() == ["a", "b", "c"]
    assert result.turns[0].ended_at - result.turns[0].began_at < 0.8


async def test_talking_over_is_timed(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(10))

    bot = TinyBot(greet)

    async def interrupt(caller):
        await caller.wait_until_bot_speaks(for_seconds=0.2)
        await caller.say(tone(0.4))

    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        talking = asyncio.create_task(interrupt(caller))
        await caller.wait(0.5)
        await bot.send("clear")
        await talking
        await bot.play(tone(0.2))
        await caller.wait_for_bot(silence=0.35)

    (silenced,) = caller.result.silence_times
    (answered,) = caller.result.answer_times
    assert 0.05 < silenced < 0.6
    assert 0 <= answered < 0.4


async def test_recording_holds_what_was_heard(twilio, tmp_path):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.3, 300))
        await bot.play(tone(8, 600))

    bot = TinyBot(greet)
    options = CallerOptions(record=tmp_path / "call.wav", log=tmp_path / "call.jsonl")
    async with serving(bot) as host:
        async with twilio.call(f"ws://{host}/stream", options=options) as caller:
            await caller.wait_until_bot_speaks(for_seconds=0.5)
            await bot.send("clear")
            await caller.say(tone(0.2, 900))

    with wave.open(str(caller.recording), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 2, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    left, right = samples.reshape(-1, 2).T
    heard = np.frombuffer(decode_mulaw(caller.result.heard_bot), dtype=np.int16)
    assert np.array_equal(right, heard)
    said = np.flatnonzero(left)[0]
    assert np.array_equal(left[said : said + 1600], _pcm(tone(0.2, 900)))
    begin = np.flatnonzero(right)[0]
    assert np.array_equal(right[begin : begin + 2400], _pcm(tone(0.3, 300)))
    # Of eight seconds only what came before `clear` was ever heard.
    assert np.count_nonzero(right) < 8000
    assert '"payload"' not in (tmp_path / "call.jsonl").read_text()


def _pcm(mulaw: bytes) -> np.ndarray:
    return np.frombuffer(decode_mulaw(mulaw), dtype=np.int16)


async def test_bad_messages_are_warned_of_once(twilio):
    async def greet(bot: TinyBot):
        assert bot.socket is not None
        for _ in range(2):
            await bot.socket.send_str("no JSON")
            await bot.socket.send_bytes(b"binary")
        await bot.send("mark", mark={"name": "still here"})

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("mark")

    assert sorted(alert.code for alert in caller.result.alerts) == [31950, 31951]
    assert len(caller.result.violations) == 4


async def test_ten_minutes_of_audio_are_enough(twilio):
    async def greet(bot: TinyBot):
        for _ in range(9):
            await bot.play(b"\xff" * 70 * 8000)
        await bot.send("clear")
        await bot.mark("end")

    bot = TinyBot(greet)
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("mark")

        assert [alert.code for alert in caller.result.alerts] == [31931]


class DeafSocket:
    """A peer that never reads and never speaks."""

    close_code = None

    async def send_str(self, text: str) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.Event().wait()


async def test_bot_that_does_not_read_loses_audio():
    start = Start(stream_sid="MZ1", call_sid="CA1")
    websocket = cast("ClientWebSocketResponse", DeafSocket())
    stream = MediaStream(websocket, start, log=CallLog(), first_timestamp=100)
    stream.begin()
    for _ in range(300):
        stream.send_frame(tone(0.02))
    await stream.close()

    assert [alert.code for alert in stream.alerts] == [31930]
    assert 40 <= stream.discarded_frames <= 60


async def test_bot_that_reads_nothing_has_lost_its_connection():
    start = Start(stream_sid="MZ1", call_sid="CA1")
    websocket = cast("ClientWebSocketResponse", DeafSocket())
    stream = MediaStream(websocket, start, log=CallLog(), first_timestamp=100)
    stream.begin()
    began = asyncio.get_running_loop().time()
    while stream.end is None:
        stream.send_frame(tone(0.02))
        await asyncio.sleep(0.02)
    lasted = asyncio.get_running_loop().time() - began
    await stream.close()

    assert stream.end is StreamEnd.BROKEN
    assert lasted == pytest.approx(10.0, abs=0.1)


async def test_bot_that_closes_hangs_up(twilio):
    async def greet(bot: TinyBot):
        assert bot.socket is not None
        await bot.socket.close()

    async with serving(TinyBot(greet)) as host, twilio.call(f"ws://{host}/stream") as caller:
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP


async def test_bot_that_dies_loses_the_line(twilio):
    async def greet(bot: TinyBot):
        transport = bot.requests[0].transport
        assert transport is not None
        transport.abort()

    async with serving(TinyBot(greet)) as host, twilio.call(f"ws://{host}/stream") as caller:
        assert await caller.wait_for_end(seconds=5) is CallEnd.LINE_LOST

    assert [alert.code for alert in caller.result.alerts] == [31903]


async def test_two_calls_do_not_mix(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.2))

    bots = [TinyBot(greet), TinyBot(greet)]
    async with serving(bots[0]) as first, serving(bots[1]) as second:
        async with (
            twilio.call(f"ws://{first}/stream") as anna,
            twilio.call(f"ws://{second}/stream") as ben,
        ):
            await asyncio.gather(anna.press("1"), ben.press("2"))
            await asyncio.gather(anna.wait_for_bot(silence=0.1), ben.wait_for_bot(silence=0.1))

    assert [bot.said("dtmf")[0]["dtmf"]["digit"] for bot in bots] == ["1", "2"]
    assert anna.call_sid != ben.call_sid


async def test_noise_is_the_same_each_time(twilio):
    payloads = []
    for _ in range(2):
        bot = TinyBot()
        options = CallerOptions(noise_level=-50, seed=3)
        async with (
            serving(bot) as host,
            SimulatedTwilio(seed=5) as same,
            same.call(f"ws://{host}/stream", options=options),
        ):
            media = await bot.wait_for("media", 3)
        payloads.append([message["media"]["payload"] for message in media[:3]])

    assert payloads[0] == payloads[1]
    assert set(base64.b64decode(payloads[0][0])) != {0xFF}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ws://example.com/stream", 31922),
        ("ws://127.0.0.1:1/stream", 31902),
        ("ws://{host}/nowhere", 31920),
    ],
)
async def test_unreachable_stream_is_twilios_error(twilio, url, code):
    async with serving(TinyBot()) as host:
        with pytest.raises(CallFailedError, match=str(code)):
            async with twilio.call(url.format(host=host)):
                pass


async def test_other_scheme_is_refused(twilio):
    with pytest.raises(ConfigurationError, match="ftp"):
        async with twilio.call("ftp://127.0.0.1/"):
            pass


async def test_waiting_in_vain_says_for_what(twilio):
    async with serving(TinyBot()) as host, twilio.call(f"ws://{host}/stream") as caller:
        with pytest.raises(CallFailedError, match=r"waited 0\.1 s until the bot has spoken"):
            await caller.wait_for_bot(seconds=0.1)


async def test_call_that_lasts_too_long_ends(twilio):
    options = CallerOptions(seconds=0.2)
    async with (
        serving(TinyBot()) as host,
        twilio.call(f"ws://{host}/stream", options=options) as caller,
    ):
        assert await caller.wait_for_end(seconds=5) is CallEnd.TIME_LIMIT
        with pytest.raises(CallFailedError, match="time limit"):
            await caller.say(tone(0.1))
