"""The REST API, asked by the official SDK."""

import asyncio

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.testing.bots import AUTH_TOKEN, TinyBot, Webhook, serving, tone
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import CallEnd, SimulatedTwilio

ANNA, BOT = "+12125550101", "+12125550199"
CONNECT = '<Connect><Stream url="/stream"/></Connect>'


@pytest.fixture
async def twilio():
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio:
        yield twilio


@pytest.fixture
def client(twilio):
    client = Client(twilio.account_sid, AUTH_TOKEN)
    client.api.base_url = twilio.rest_url
    return client


async def create(client, **arguments):
    return await asyncio.to_thread(client.calls.create, **({"to": ANNA, "from_": BOT} | arguments))


async def test_created_call_rings_and_is_answered(twilio, client):
    bot, webhook, status = TinyBot(), Webhook(CONNECT), Webhook()
    async with serving(bot, webhook, status) as host:
        created = await create(
            client,
            url=f"http://{host}/twiml",
            status_callback=f"http://{host}/status",
            status_callback_event=["initiated", "ringing", "answered", "completed"],
        )
        ringing = await twilio.wait_for_call(seconds=2)
        async with ringing.answer() as caller:
            await bot.wait_for("start")
            fetched = await asyncio.to_thread(client.calls(created.sid).fetch)
        ended = await asyncio.to_thread(client.calls(created.sid).fetch)

    assert created.status == "queued"
    assert (ringing.to_number, ringing.from_number) == (ANNA, BOT)
    assert created.sid == caller.call_sid == webhook.forms[0]["CallSid"]
    assert webhook.forms[0]["CallStatus"] == "in-progress"
    assert (fetched.status, ended.status) == ("in-progress", "completed")
    told = [form["CallStatus"] for form in status.forms]
    assert told == ["initiated", "ringing", "in-progress", "completed"]


async def test_completed_cuts_the_bot_off(twilio, client):
    async def greet(bot: TinyBot):
        await bot.play(tone(5))

    bot = TinyBot(greet)
    async with serving(bot, Webhook(CONNECT)) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_until_bot_speaks(for_seconds=0.1)
            update = client.calls(caller.call_sid).update
            assert (await asyncio.to_thread(update, status="completed")).status == "completed"
            assert await caller.wait_for_end(seconds=3) is CallEnd.BOT_HUNG_UP
        await bot.wait_for("stop")

    assert caller.result.seconds < 2


async def test_new_twiml_stops_the_stream(twilio, client):
    async def greet(bot: TinyBot):
        await bot.play(tone(0.5))

    bot = TinyBot(greet)
    async with serving(bot, Webhook(CONNECT)) as host:
        async with twilio.call(f"http://{host}/twiml") as caller:
            await caller.wait_until_bot_speaks()
            update = client.calls(caller.call_sid).update
            await asyncio.to_thread(update, twiml='<Response><Play digits="1"/></Response>')
            await caller.wait_for_end(seconds=5)
        await bot.wait_for("stop")

    # What was buffered is played before the tones of 0.1 s.
    (heard,) = caller.result.turns
    assert heard.ended_at - heard.began_at == pytest.approx(0.62, abs=0.03)


async def test_unanswered_call_gives_up(twilio, client):
    created = await create(client, twiml="<Response/>", timeout=0)
    ringing = await twilio.wait_for_call(seconds=2)
    await asyncio.to_thread(client.calls(created.sid).update, status="canceled")

    assert not ringing.is_ringing
    with pytest.raises(CallFailedError, match="canceled"):
        async with ringing.answer():
            pass


async def test_declined_call_is_busy(twilio, client):
    created = await create(client, twiml="<Response/>")
    await (await twilio.wait_for_call(seconds=2)).decline()

    assert (await asyncio.to_thread(client.calls(created.sid).fetch)).status == "busy"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"to": "nobody", "twiml": "<Response/>"}, 21211),
        ({"from_": "nobody", "twiml": "<Response/>"}, 21212),
        ({"url": "no-url"}, 21205),
        ({}, 21205),
    ],
)
async def test_bad_call_is_refused_in_twilios_words(client, arguments, code):
    with pytest.raises(TwilioRestException) as refused:
        await create(client, **arguments)

    assert (refused.value.status, refused.value.code) == (400, code)


async def test_wrong_secret_is_refused(twilio):
    client = Client(twilio.account_sid, "wrong")
    client.api.base_url = twilio.rest_url

    with pytest.raises(TwilioRestException) as refused:
        await create(client, twiml="<Response/>")
    assert (refused.value.status, refused.value.code) == (401, 20003)


async def test_unknown_call_is_missing(client):
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(client.calls("CA" + "0" * 32).fetch)
    assert (refused.value.status, refused.value.code) == (404, 20404)


async def test_call_that_is_over_cannot_be_updated(twilio, client):
    async with serving(TinyBot()) as host, twilio.call(f"ws://{host}/stream") as caller:
        pass

    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(client.calls(caller.call_sid).update, status="completed")
    assert refused.value.code == 21220


async def test_nobody_calls():
    async with SimulatedTwilio() as twilio:
        with pytest.raises(CallFailedError, match="got none"):
            await twilio.wait_for_call(seconds=0.01)


@pytest.mark.parametrize("kind", ["recordings", "streams"])
async def test_subresources_need_a_live_call(twilio, client, kind):
    async with serving(TinyBot()) as host, twilio.call(f"ws://{host}/stream") as caller:
        pass
    arguments = {"url": f"ws://{host}/stream"} if kind == "streams" else {}

    for sid, code in ((caller.call_sid, 21220), ("CA" + "0" * 32, 20404)):
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(getattr(client.calls(sid), kind).create, **arguments)
        assert refused.value.code == code


async def test_stream_name_is_taken_once(twilio, client):
    bot = TinyBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("media")
        create = client.calls(caller.call_sid).streams.create
        await asyncio.to_thread(create, url=f"ws://{host}/stream", name="ear")
        with pytest.raises(TwilioRestException):
            await asyncio.to_thread(create, url=f"ws://{host}/stream", name="ear")


async def test_live_recording_cannot_be_deleted(twilio, client):
    bot = TinyBot()
    async with serving(bot) as host, twilio.call(f"ws://{host}/stream") as caller:
        await bot.wait_for("media")
        recordings = client.calls(caller.call_sid).recordings
        begun = await asyncio.to_thread(recordings.create)
        with pytest.raises(TwilioRestException):
            await asyncio.to_thread(recordings(begun.sid).delete)
        with pytest.raises(TwilioRestException):
            await asyncio.to_thread(recordings("RE" + "0" * 32).fetch)


async def test_garbage_is_an_error_and_not_a_crash(twilio):
    base = f"{twilio.rest_url}/2010-04-01/Accounts/{twilio.account_sid}/Calls.json"
    login = aiohttp.encode_basic_auth(twilio.account_sid, AUTH_TOKEN)
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
        async with session.post(base, data=b"\xff\xfe&To=%ff&From") as answer:
            assert answer.status == 400
        async with session.put(base) as answer:
            assert answer.status == 404
        async with session.get(base.replace("Calls", "Nothing")) as answer:
            assert (await answer.json())["code"] == 20404
