"""The messages of a stream, from Twilio and to it."""

import asyncio
import base64
import json
from itertools import pairwise

import pytest

from tests.conformance.facts import MESSAGES, OVERVIEW, STREAM, error, fact
from tests.conformance.site import CONNECT_STREAM, Site, close_socket
from tests.testing.bots import TinyBot, tone


@fact("`connected` is the first message, `start` follows at once, and only once.", MESSAGES)
async def test_connected_then_start_come_first(site: Site):
    async with site.ring() as (bot, _):
        await bot.wait_for("media", 3)
    assert [message["event"] for message in bot.messages[:3]] == ["connected", "start", "media"]
    assert len(bot.said("start")) == 1


@fact("`connected` names the protocol, and has neither a number nor a stream sid.", MESSAGES)
async def test_connected_has_no_number(site: Site):
    async with site.ring() as (bot, _):
        await bot.wait_for("start")
    assert bot.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}


@fact("`start` tells the account, the call, the stream, its tracks and its format.", MESSAGES)
async def test_start_tells_everything(site: Site):
    async with site.ring() as (bot, caller):
        (start,) = await bot.wait_for("start")
    assert start["start"] == {
        "accountSid": site.twilio.account_sid,
        "callSid": caller.call_sid,
        "streamSid": start["streamSid"],
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    }


@fact('Each message after `connected` has a number, from "1" on, each one more.', MESSAGES)
async def test_messages_are_numbered(site: Site):
    async with site.ring(bot=TinyBot(lambda bot: bot.mark("m"))) as (bot, caller):
        await caller.press("1")
        await bot.wait_for("mark")
    await bot.wait_for("stop")
    numbers = [message["sequenceNumber"] for message in bot.messages[1:]]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


@fact("Each stream counts anew, and has a sid of its own.", MESSAGES)
async def test_second_stream_counts_anew(site: Site):
    async def leave_once(bot: TinyBot) -> None:
        if len(bot.said("start")) == 1:
            await close_socket(bot)

    async with site.ring(2 * CONNECT_STREAM, bot=TinyBot(leave_once)) as (bot, _):
        first, second = await bot.wait_for("start", 2)
    assert first["sequenceNumber"] == second["sequenceNumber"] == "1"
    assert first["streamSid"] != second["streamSid"]


@fact('`media` numbers its chunks from "1" on, and stamps them in milliseconds.', MESSAGES)
async def test_media_is_numbered_and_stamped(site: Site):
    async with site.ring() as (bot, _):
        media = [message["media"] for message in await bot.wait_for("media", 5)]
    assert [piece["chunk"] for piece in media[:5]] == list("12345")
    stamps = [int(piece["timestamp"]) for piece in media]
    assert all(after - before == 20 for before, after in pairwise(stamps))
    assert all(isinstance(piece["timestamp"], str) for piece in media)


@fact("A two-way stream carries the track `inbound` and no other.", STREAM)
async def test_two_way_stream_is_inbound(site: Site):
    async with site.ring(bot=TinyBot(lambda bot: bot.play(tone(0.2)))) as (bot, caller):
        await caller.wait_for_bot(silence=0.1)
    assert {message["media"]["track"] for message in bot.said("media")} == {"inbound"}


@fact("The payload is mu-law of 8000 Hz in base64, without a file header.", MESSAGES)
async def test_payload_is_mulaw(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        await caller.say(tone(0.2))
        await bot.wait_for("media", len(bot.said("media")) + 2)
    heard = b"".join(base64.b64decode(m["media"]["payload"]) for m in bot.said("media"))
    assert tone(0.2) in heard


@fact("A key is a `dtmf` message with one digit, of the track `inbound_track`.", MESSAGES)
async def test_each_key_is_a_message(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("start")
        await caller.press("1#")
        told = await bot.wait_for("dtmf", 2)
    assert [message["dtmf"] for message in told] == [
        {"track": "inbound_track", "digit": digit} for digit in "1#"
    ]


@fact("`stop` tells that the call has ended, and names it.", MESSAGES)
async def test_stop_ends_the_stream(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("start")
    (stop,) = await bot.wait_for("stop")
    assert bot.messages[-1] is stop
    assert stop["stop"] == {"accountSid": site.twilio.account_sid, "callSid": caller.call_sid}


@fact("Audio of any size is taken.", MESSAGES)
async def test_audio_may_have_any_size(site: Site):
    async def greet(bot: TinyBot) -> None:
        for size in (1, 7, 160, 1433):
            await bot.play(tone(0.5)[:size])

    async with site.ring(bot=TinyBot(greet)) as (_, caller):
        await caller.wait_for_bot(silence=0.2)
    assert sum(span.end - span.begin for span in caller.result.heard_spans) == 1601
    assert caller.result.alerts == ()


@fact("It is buffered, and played in the order it came, 8000 bytes a second.", MESSAGES)
async def test_audio_is_played_in_order(site: Site):
    async def greet(bot: TinyBot) -> None:
        await bot.play(tone(0.2, 300))
        await bot.play(tone(0.1, 900))

    async with site.ring(bot=TinyBot(greet)) as (_, caller):
        await caller.wait_for_bot(silence=0.2)
    assert tone(0.2, 300) + tone(0.1, 900) in caller.result.heard_bot


@fact("A mark comes back, by its name, when the audio before it has been played.", MESSAGES)
async def test_mark_returns_after_the_audio(site: Site):
    async def greet(bot: TinyBot) -> None:
        await bot.play(tone(0.3))
        await bot.mark("my label")

    async with site.ring(bot=TinyBot(greet)) as (bot, caller):
        (mark,) = await bot.wait_for("mark")
    assert mark["mark"] == {"name": "my label"}
    assert mark["streamSid"] == bot.stream_sid
    sent, back = (caller.log.events("mark", source)[0].time for source in ("from_bot", "to_bot"))
    assert 0.28 < back - sent < 0.4


@fact("A mark comes back at once if no audio is buffered.", MESSAGES)
async def test_mark_of_nothing_returns_at_once(site: Site):
    async with site.ring(bot=TinyBot(lambda bot: bot.mark("m"))) as (bot, caller):
        await bot.wait_for("mark")
    sent, back = (caller.log.events("mark", source)[0].time for source in ("from_bot", "to_bot"))
    assert back - sent < 0.05


@fact("`clear` empties the buffer.", MESSAGES)
async def test_clear_empties_the_buffer(site: Site):
    async with site.ring(bot=TinyBot(lambda bot: bot.play(tone(30)))) as (bot, caller):
        await caller.wait_until_bot_speaks(for_seconds=0.1)
        await bot.send("clear")
        await caller.wait_for_bot(silence=0.2)
    assert caller.result.heard_spans[-1].end < 8000


@fact("`clear` sends all marks back that wait.", MESSAGES)
async def test_clear_returns_all_marks(site: Site):
    async def greet(bot: TinyBot) -> None:
        for name in "abc":
            await bot.play(tone(5))
            await bot.mark(name)
        await bot.send("clear")

    async with site.ring(bot=TinyBot(greet)) as (bot, _):
        await bot.wait_for("mark", 3)
    assert bot.marks() == ["a", "b", "c"]


@fact("More than ten minutes of audio are discarded: warning 31931.", error(31931))
async def test_more_than_ten_minutes_is_31931(site: Site):
    async def greet(bot: TinyBot) -> None:
        for _ in range(9):
            await bot.play(b"\xff" * 70 * 8000)
        await bot.send("clear")
        await bot.mark("end")

    async with site.ring(bot=TinyBot(greet)) as (bot, caller):
        await bot.wait_for("mark")
        (alert,) = caller.result.alerts
    assert (alert.code, alert.is_error) == (31931, False)


@fact("A binary message is warning 31950.", error(31950))
async def test_binary_message_is_31950(site: Site):
    assert await _codes_after(site, b"binary") == [31950]


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        {"event": "wrong"},
        {"event": "media", "streamSid": "MZ0", "media": {"payload": ""}},
        {"event": "mark", "streamSid": ""},
        {"event": "media", "streamSid": "", "media": {"payload": "", "more": 1}},
        {"event": "media", "streamSid": "", "media": {"payload": "not base64!"}},
    ],
    ids=["text", "event", "stream", "missing field", "extra field", "payload"],
)
@fact(
    "Text that is no JSON, an unknown event, another stream's sid, a field too few or too many: "
    "each is warning 31951, and passed over.",
    error(31951),
)
async def test_bad_message_is_31951(site: Site, message: str | dict):
    assert await _codes_after(site, message) == [31951]


@fact("The warnings are given once per stream.", error(31951))
async def test_warnings_come_once_per_stream(site: Site):
    assert await _codes_after(site, "no JSON", "no JSON", b"binary", b"binary") == [31951, 31950]


@fact("Digits cannot be sent to Twilio over a stream.", OVERVIEW)
async def test_digits_cannot_be_sent(site: Site):
    digits = {"event": "dtmf", "streamSid": "", "dtmf": {"digit": "1"}}
    assert await _codes_after(site, digits) == [31951]


async def _codes_after(site: Site, *messages: str | bytes | dict) -> list[int]:
    """What is complained of when a bot sends these, and a good message behind them."""

    async def greet(bot: TinyBot) -> None:
        assert bot.socket is not None
        for message in messages:
            if isinstance(message, bytes):
                await bot.socket.send_bytes(message)
            elif isinstance(message, str):
                await bot.socket.send_str(message)
            else:
                own = {"streamSid": bot.stream_sid} if message.get("streamSid") == "" else {}
                await bot.socket.send_str(json.dumps(message | own))
        await bot.mark("still here")

    async with site.ring(bot=TinyBot(greet)) as (bot, caller):
        async with asyncio.timeout(5):
            await bot.wait_for("mark")
        return [alert.code for alert in caller.result.alerts]
