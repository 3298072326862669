"""`<Connect><Stream>`, `<Start><Stream>`, `<Stop>`: what a document makes of a stream."""

import asyncio
import base64

import pytest
from twilio.base.exceptions import TwilioRestException

from tests.conformance.facts import CONNECT, OVERVIEW, STREAM, STREAMS, error, fact
from tests.conformance.site import CONNECT_STREAM, Site, close_socket
from tests.testing.bots import TinyBot, tone
from twilio_frames.testing import CallEnd

FORK = '<Start><Stream name="ear" url="/fork" {}/></Start>'


@fact("What follows `<Connect>` runs when the server closes the WebSocket.", CONNECT)
async def test_next_verb_waits_for_the_close(site: Site):
    twiml = CONNECT_STREAM + "<Redirect>/after</Redirect>"
    async with site.ring(twiml) as (bot, caller):
        await bot.wait_for("media")
        assert not site.posted("/after")
        await close_socket(bot)
        await caller.wait_for_end(seconds=5)
    assert len(site.posted("/after")) == 1


@fact("If nothing follows, the call ends.", CONNECT)
async def test_call_ends_behind_the_last_verb(site: Site):
    async with site.ring(bot=TinyBot(close_socket)) as (_, caller):
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP


@fact("`action` is asked what to do, and what follows `<Connect>` is not run.", CONNECT)
async def test_action_takes_the_place_of_what_follows(site: Site):
    twiml = CONNECT_STREAM.replace("<Connect>", '<Connect action="/after">')
    async with site.ring(f"{twiml}<Redirect>/never</Redirect>", bot=TinyBot(close_socket)) as both:
        await both[1].wait_for_end(seconds=5)
    assert len(site.posted("/after")) == 1
    assert site.posted("/never") == []


@fact("`method` makes the `action` a GET.", CONNECT)
async def test_action_may_be_fetched(site: Site):
    twiml = CONNECT_STREAM.replace("<Connect>", '<Connect action="/after" method="GET">')
    async with site.ring(twiml, bot=TinyBot(close_socket)) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.posted("/after")[0]["CallSid"] == caller.call_sid
    assert site.are_signed == [True, True]


@fact("A stream's URL may be relative to its document's.", STREAM)
async def test_stream_url_may_be_relative(site: Site):
    async with site.ring('<Connect><Stream url="stream"/></Connect>') as (bot, _):
        assert await bot.wait_for("start")


@fact("`statusCallback` tells that a stream has started and stopped.", STREAM)
async def test_stream_callback_tells_start_and_stop(site: Site):
    twiml = '<Connect><Stream name="bot" url="/stream" statusCallback="/s"/></Connect>'
    async with site.ring(twiml) as (bot, caller):
        await bot.wait_for("start")
    started, stopped = site.posted("/s")
    assert started["StreamEvent"] == "stream-started"
    assert stopped["StreamEvent"] == "stream-stopped"
    assert started["AccountSid"] == site.twilio.account_sid
    assert (started["CallSid"], started["StreamSid"]) == (caller.call_sid, bot.stream_sid)
    assert started["StreamName"] == "bot"
    assert started["Timestamp"].endswith("Z")
    assert all(site.are_signed)


@fact("A stream without a name is named by its sid.", STREAM)
async def test_unnamed_stream_is_named_by_its_sid(site: Site):
    async with site.ring('<Connect><Stream url="/stream" statusCallback="/s"/></Connect>') as both:
        await both[0].wait_for("start")
    assert site.posted("/s")[0]["StreamName"] == both[0].stream_sid


@fact("`stream-error` tells why a stream has failed.", STREAM)
async def test_stream_callback_tells_errors(site: Site):
    twiml = f'<Connect><Stream url="/gone" statusCallback="/s"/></Connect>{CONNECT_STREAM}'
    async with site.ring(twiml) as (bot, _):
        await bot.wait_for("start")
    assert site.posted("/s")[0]["StreamEvent"] == "stream-error"
    assert "31920" in site.posted("/s")[0]["StreamError"]


@fact("The callback's method is POST, unless `statusCallbackMethod` says GET.", STREAM)
async def test_stream_callback_may_be_a_get(site: Site):
    twiml = '<Connect><Stream url="/stream" statusCallback="/s" statusCallbackMethod="GET"/>'
    async with site.ring(f"{twiml}</Connect>") as (bot, _):
        await bot.wait_for("start")
    assert len(site.posted("/s")) == 2
    assert all(site.are_signed)


@fact("Verbs behind `<Start><Stream>` run at once.", STREAM)
async def test_fork_does_not_block(site: Site):
    async with site.ring(FORK.format("") + CONNECT_STREAM) as (bot, _):
        await bot.wait_for("media")
        await site.fork.wait_for("media", 5)
    assert site.fork.said("start")[0]["start"]["tracks"] == ["inbound"]
    await site.fork.wait_for("stop")


@fact("If no verb follows `<Start>`, the call ends.", STREAM)
async def test_fork_does_not_hold_the_call(site: Site):
    async with site.ring(FORK.format("") + "<Say>Yes.</Say>") as (_, caller):
        assert await caller.wait_for_end(seconds=10) is CallEnd.BOT_HUNG_UP


@fact("`outbound_track` is what Twilio plays to the caller.", STREAM)
async def test_outbound_track_is_what_is_heard(site: Site):
    bot = TinyBot(lambda bot: bot.play(tone(1.0)))
    async with site.ring(FORK.format('track="outbound_track"') + CONNECT_STREAM, bot=bot) as both:
        await both[1].wait_for_bot(silence=0.2)
    assert {m["media"]["track"] for m in site.fork.said("media")} == {"outbound"}
    heard = b"".join(base64.b64decode(m["media"]["payload"]) for m in site.fork.said("media"))
    assert tone(1.0)[4000:7000] in heard


@fact("`both_tracks` carries both, and says which is which.", STREAM)
async def test_both_tracks_are_told_apart(site: Site):
    async with site.ring(FORK.format('track="both_tracks"') + CONNECT_STREAM) as (_, caller):
        await caller.say(tone(0.5))
        await site.fork.wait_for("media", 30)
    assert site.fork.said("start")[0]["start"]["tracks"] == ["inbound", "outbound"]
    tracks = [m["media"]["track"] for m in site.fork.said("media")]
    assert tracks[:4] == ["inbound", "outbound"] * 2


@fact("A one-way stream gets no keys.", STREAM)
async def test_fork_gets_no_keys(site: Site):
    async with site.ring(FORK.format("") + CONNECT_STREAM) as (bot, caller):
        await site.fork.wait_for("media")
        await caller.press("1")
        await bot.wait_for("dtmf")
    assert site.fork.said("dtmf") == []


@fact("A one-way stream takes no messages.", error(31951))
async def test_fork_takes_no_messages(site: Site):
    site.fork = TinyBot(lambda fork: fork.play(tone(1)))
    async with site.ring(FORK.format("") + CONNECT_STREAM) as (_, caller):
        await site.fork.wait_for("media", 5)
    assert [alert.code for alert in caller.result.alerts] == [31951]
    assert caller.result.turns == ()


@fact("`<Stop><Stream name>` ends a one-way stream.", STREAM)
async def test_stop_ends_a_fork(site: Site):
    stop = '<Pause length="1"/><Stop><Stream name="ear"/></Stop><Pause length="5"/>'
    async with site.ring(f"{FORK.format('')}{CONNECT_STREAM}{stop}") as (bot, caller):
        await site.fork.wait_for("media")
        await close_socket(bot)
        await site.fork.wait_for("stop")
        assert caller.is_connected


@fact("A two-way stream is not ended by `<Stop>`, nor by REST.", OVERVIEW)
async def test_two_way_stream_cannot_be_stopped(site: Site):
    async with site.ring('<Connect><Stream name="bot" url="/stream"/></Connect>') as (bot, caller):
        await bot.wait_for("media")
        update = site.client.calls(caller.call_sid).streams("bot").update
        with pytest.raises(TwilioRestException):
            await asyncio.to_thread(update, status="stopped")
        assert bot.said("stop") == []


@fact("REST starts a one-way stream, with its name, track and parameters.", STREAMS)
async def test_rest_starts_a_fork(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        streams = site.client.calls(caller.call_sid).streams
        created = await asyncio.to_thread(
            streams.create,
            url=f"ws://{site.host}/fork",
            name="ear",
            track="both_tracks",
            parameter1_name="table",
            parameter1_value="7",
        )
        (start,) = await site.fork.wait_for("start")
    assert (created.name, created.status) == ("ear", "in-progress")
    assert start["streamSid"] == created.sid
    assert start["start"]["customParameters"] == {"table": "7"}


@fact("REST stops a one-way stream.", STREAMS)
async def test_rest_stops_a_fork(site: Site):
    async with site.ring(FORK.format("") + CONNECT_STREAM) as (bot, caller):
        await site.fork.wait_for("media")
        update = site.client.calls(caller.call_sid).streams("ear").update
        assert (await asyncio.to_thread(update, status="stopped")).status == "stopped"
        await site.fork.wait_for("stop")
        assert bot.said("stop") == []


@fact("The one-way streams of a call carry four tracks at most.", OVERVIEW)
async def test_call_has_four_forked_tracks(site: Site):
    forks = [FORK.format('track="both_tracks"').replace("ear", name) for name in "abc"]
    async with site.ring("".join(forks) + CONNECT_STREAM) as (bot, caller):
        await site.fork.wait_for("start", 2)
        await bot.wait_for("media", 5)
    assert len(site.fork.said("start")) == 2
    assert len(caller.result.alerts) == 1


@fact("A call has one two-way stream at a time; others may follow it.", OVERVIEW)
async def test_two_way_streams_follow_each_other(site: Site):
    async with site.ring(2 * CONNECT_STREAM) as (bot, _):
        await bot.wait_for("media", 5)
        assert len(bot.said("start")) == 1
        await close_socket(bot)
        assert len(await bot.wait_for("start", 2)) == 2
