"""Calls that begin with a webhook, and what their TwiML makes of them."""

import asyncio
import time
from datetime import datetime
from xml.etree import ElementTree

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.site import CONNECT_STREAM, TOKEN, Site
from tests.testing.bots import AUTH_TOKEN, TinyBot, Webhook, serving, tone
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import CallEnd, SimulatedTwilio
from twilio_frames.testing.calls.facts import Alert, StatusCallback
from twilio_frames.testing.stream import MediaStream, StreamEnd
from twilio_frames.testing.verbs import (
    ConnectStream,
    Dial,
    Gather,
    Hangup,
    Pause,
    PlayDigits,
    Redirect,
    Reject,
    Say,
    Target,
    Unsupported,
    read_twiml,
)

CONNECT = (
    '<Connect><Stream url="/stream"><Parameter name="a" value="b &amp; c"/></Stream></Connect>'
)


@pytest.fixture
async def twilio():
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio:
        yield twilio


async def hang_up(bot: TinyBot):
    assert bot.socket is not None
    await bot.socket.close()


async def test_webhook_says_who_calls_and_is_signed(twilio):
    bot, webhook = TinyBot(), Webhook(CONNECT)
    async with serving(bot, webhook) as host:
        async with twilio.call(f"http://{host}/twiml?x=1") as caller:
            await bot.wait_for("start")

    (form,) = webhook.forms
    assert form["CallSid"] == caller.call_sid
    assert (form["CallStatus"], form["Direction"]) == ("ringing", "inbound")
    assert webhook.are_signed == [True]
    assert bot.said("start")[0]["start"]["customParameters"] == {"a": "b & c"}


async def test_next_verb_runs_when_socket_closes(twilio):
    webhook = Webhook(f'{CONNECT}<Play digits="1"/><Redirect>/again</Redirect>', "<Hangup/>")
    async with serving(TinyBot(hang_up), webhook) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP

    assert webhook.paths == ["/twiml", "/again"]
    assert caller.log.events("play_digits")
    assert len(caller.result.turns) == 1


async def test_action_is_asked_after_the_stream(twilio):
    connect = CONNECT.replace("<Connect>", '<Connect action="/after">')
    webhook = Webhook(connect + "<Say>never</Say>", "<Hangup/>")
    async with serving(TinyBot(hang_up), webhook) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_for_end(seconds=5)

    assert webhook.paths == ["/twiml", "/after"]
    assert webhook.forms[1]["StreamSid"].startswith("MZ")
    assert not caller.log.events("say")


async def test_second_stream_counts_anew(twilio):
    bots = []

    async def leave_once(bot: TinyBot):
        if len(bot.said("start")) == 1:
            await hang_up(bot)

    bots.append(TinyBot(leave_once))
    async with serving(bots[0], Webhook(CONNECT + CONNECT)) as host:
        async with twilio.call(f"http://{host}/twiml"):
            starts = await bots[0].wait_for("start", 2)

    assert [start["sequenceNumber"] for start in starts] == ["1", "1"]
    assert starts[0]["streamSid"] != starts[1]["streamSid"]
    assert starts[0]["start"]["callSid"] == starts[1]["start"]["callSid"]


async def test_announcement_is_heard(twilio):
    async with serving(webhook=Webhook("<Say>Goodbye.</Say>")) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_for_bot(silence=0.1)
            await caller.wait_for_end(seconds=5)

    assert caller.result.turns[0].speaker == "bot"


async def test_reject_never_answers(twilio):
    status = Webhook()
    async with serving(webhook=Webhook("<Reject/>"), status=status) as host:
        callback = StatusCallback(url=f"http://{host}/status", events=("answered", "completed"))
        async with twilio.call(f"http://{host}/twiml", status_callback=callback) as caller:
            assert await caller.wait_for_end(seconds=5) is CallEnd.REJECTED

    assert [form["CallStatus"] for form in status.forms] == ["busy"]
    assert caller.result.seconds == 0


async def test_unanswered_dial_is_told(twilio):
    dial = '<Dial action="/dialed" timeout="0"><Number>+12125550123</Number></Dial>'
    webhook = Webhook(dial, "<Hangup/>")
    async with serving(webhook=webhook) as host, twilio.call(f"http://{host}/twiml") as caller:
        await caller.wait_for_end(seconds=5)

    assert webhook.forms[1]["DialCallStatus"] == "no-answer"
    assert caller.log.events("dial")[0].details == {"kinds": ["number"]}


async def test_status_callbacks_tell_the_call(twilio):
    status = Webhook()
    connect = CONNECT.replace('url="/stream"', 'url="/stream" statusCallback="/status"')
    async with serving(TinyBot(hang_up), Webhook(connect), status) as host:
        callback = StatusCallback(
            url=f"http://{host}/status", events=("ringing", "answered", "completed")
        )
        async with twilio.call(f"http://{host}/twiml", status_callback=callback) as caller:
            await caller.wait_for_end(seconds=5)

    told = [form.get("StreamEvent") or form["CallStatus"] for form in status.forms]
    assert told == ["ringing", "in-progress", "stream-started", "stream-stopped", "completed"]
    assert [form["SequenceNumber"] for form in status.forms if "SequenceNumber" in form] == list(
        "012"
    )
    assert all(status.are_signed)


async def test_stream_is_heard_until_the_time_that_its_callback_tells(twilio, monkeypatch):
    """However late this process is in seeing that it has ended."""
    wait_for_end = MediaStream.wait_for_end

    async def late(stream: MediaStream) -> StreamEnd:
        end = await wait_for_end(stream)
        await asyncio.sleep(0.3)
        return end

    async def speak(bot: TinyBot) -> None:
        await bot.play(tone(5))
        asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(hang_up(bot)))

    monkeypatch.setattr(MediaStream, "wait_for_end", late)
    status = Webhook()
    connect = CONNECT.replace('url="/stream"', 'url="/stream" statusCallback="/status"')
    async with serving(TinyBot(speak), Webhook(connect), status) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            answered_at = time.time() - caller.now
            await caller.wait_for_end(seconds=5)
    (span,) = caller.result.heard_spans
    told = datetime.fromisoformat(status.forms[-1]["Timestamp"]).timestamp()
    assert answered_at + span.ended_at == pytest.approx(told, abs=0.02)


async def test_stream_that_fails_is_told(twilio):
    status = Webhook()
    connect = CONNECT.replace('url="/stream"', 'url="/gone" statusCallback="/status"')
    async with serving(webhook=Webhook(connect), status=status) as host:
        with pytest.raises(CallFailedError, match="31920"):
            async with twilio.call(f"http://{host}/twiml"):
                pass

    assert [form["StreamEvent"] for form in status.forms] == ["stream-error"]
    assert "31920" in status.forms[0]["StreamError"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("<Connect>", "12100"),
        ('<Connect><Stream url="ws://example.com/s"/></Connect>', "31922"),
        ('<Connect><Stream url="/stream" track="both_tracks"/></Connect>', "31941"),
    ],
)
async def test_bad_twiml_is_twilios_error(twilio, document, code):
    async with serving(webhook=Webhook(document)) as host:
        with pytest.raises(CallFailedError, match=code):
            async with twilio.call(f"http://{host}/twiml"):
                pass


async def test_missing_webhook_says_what_to_look_at(twilio):
    async with serving() as host:
        with pytest.raises(CallFailedError, match="got 404 at"):
            async with twilio.call(f"http://{host}/twiml"):
                pass
    with pytest.raises(CallFailedError, match="11205"):
        async with twilio.call("http://127.0.0.1:1/twiml"):
            pass


async def test_bot_that_talks_is_waited_for(twilio):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.2))

    async with serving(TinyBot(greet), Webhook(CONNECT)) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_for_bot(silence=0.1)

    assert caller.result.turns[0].ended_at - caller.result.turns[0].began_at == pytest.approx(0.2)


def test_every_verb_is_read():
    document = """<Response><Say>a <b>b</b></Say><Pause length="3"/><Play digits="1w2"/>
        <Redirect method="GET">x</Redirect><Hangup/><Reject reason="busy"/>
        <Dial>+1<Client>jo</Client></Dial><Gather/><Connect><Room/></Connect></Response>"""

    assert read_twiml(document, "http://h/d/t") == [
        Say(text="a b"),
        Pause(seconds=3),
        PlayDigits(digits="1w2"),
        Redirect(url="http://h/d/x", method="GET"),
        Hangup(),
        Reject(reason="busy"),
        Dial(
            targets=(
                Target(kind="number", address="+1"),
                Target(kind="client", address="jo"),
            )
        ),
        Gather(action="http://h/d/t"),
        Unsupported(name="Connect Room"),
    ]


def test_relative_stream_url_takes_the_server():
    connect = '<Response><Connect><Stream url="s"/></Connect></Response>'

    assert read_twiml(connect, "https://h/d/t") == [ConnectStream(url="wss://h/d/s")]


def test_document_types_are_refused():
    bomb = '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>'

    assert isinstance(read_twiml(bomb, ""), Alert)


@pytest.mark.parametrize(
    "verb",
    [
        "<Redirect>http://[</Redirect>",
        "<Redirect>ftp://example.com/</Redirect>",
        '<Connect><Stream url="wss://["/></Connect>',
        '<Connect><Stream url="ws://127.0.0.1:99999/"/></Connect>',
        "<Play>http://127.0.0.1:99999/</Play>",
    ],
)
async def test_malformed_url_is_complained_of(twilio, verb):
    async with serving(webhook=Webhook(verb)) as host:
        with pytest.raises(CallFailedError, match="error"):
            async with twilio.call(f"http://{host}/twiml"):
                pass


@given(
    name=st.sampled_from(
        ["Say", "Play", "Pause", "Gather", "Dial", "Enqueue", "Redirect", "Start"]
    ),
    attribute=st.sampled_from(["length", "loop", "timeout", "timeLimit", "action", "url"]),
    value=st.one_of(st.text("0123456789", max_size=5000), st.text(max_size=20)),
    text=st.text(max_size=20),
)
def test_any_document_is_read_or_refused(name, attribute, value, text):
    element = ElementTree.Element(name, {attribute: value})
    element.text = text
    document = f"<Response>{ElementTree.tostring(element, 'unicode')}</Response>"

    for base_url in ("", "http://h/d/t"):
        assert isinstance(read_twiml(document, base_url), Alert | list)


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/wav"])
async def test_file_that_cannot_be_read_is_passed_over(kind: str):
    site = Site()
    async with site.serving(), SimulatedTwilio(auth_token=TOKEN, seed=1) as site.twilio:
        site.pages["/sound"] = lambda: web.Response(body=b"no sound", content_type=kind)
        async with site.ring(f"<Play>/sound</Play>{CONNECT_STREAM}") as (bot, caller):
            await bot.wait_for("start")
    (noted,) = caller.log.events("play")
    assert noted.details["reason"] == f"no {kind} that can be read"
