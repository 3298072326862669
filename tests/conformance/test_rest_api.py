"""Calls over the REST API, asked by the official SDK."""

import asyncio
from typing import Any

import pytest
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from tests.call.test_hold_music import loudness
from tests.conformance.facts import ACCOUNT, CALLS, NUMBERS, error, fact
from tests.conformance.site import (
    ANNA,
    BEN,
    BOT,
    CONNECT_STREAM,
    EVERY_EVENT,
    HANGUP,
    TOKEN,
    Site,
    listen,
    refusal_of,
)
from tests.testing.bots import tone
from twilio_frames.testing import (
    AccountRules,
    CallEnd,
    SimulatedTwilio,
    Voicemail,
)


@fact("The official SDK's client makes calls, fetches and updates them.", CALLS)
async def test_client_works_unchanged(site: Site):
    party = site.twilio.answer_with(ANNA, listen)
    created = await site.create()
    await site.bot.wait_for("media")
    fetched = await asyncio.to_thread(site.client.calls(created.sid).fetch)
    updated = await asyncio.to_thread(site.client.calls(created.sid).update, status="completed")
    assert (created.status, fetched.status, updated.status) == (
        "queued",
        "in-progress",
        "completed",
    )
    assert (await party.wait_for_result()).end is CallEnd.BOT_HUNG_UP


@fact("So does its asynchronous client.", CALLS)
@pytest.mark.filterwarnings("ignore:.*auth.*:DeprecationWarning")
async def test_asynchronous_client_works_unchanged(site: Site):
    site.twilio.answer_with(ANNA, listen)
    async with AsyncTwilioHttpClient() as http:
        client = Client(site.twilio.account_sid, TOKEN, http_client=http)
        client.api.base_url = site.twilio.rest_url
        site.pages["/twiml"] = CONNECT_STREAM
        created: Any = await client.calls.create_async(to=ANNA, from_=BOT, url=f"{site.url}/twiml")
        await site.bot.wait_for("media")
        updated = await client.calls(created.sid).update_async(twiml=HANGUP)
        await site.bot.wait_for("stop")
    assert updated.status == "in-progress"


@fact("An API key opens the account as well.", CALLS)
async def test_api_key_opens_the_account(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, api_keys={"SK1": "secret"})
    async with twilio:
        client = Client("SK1", "secret", twilio.account_sid)
        client.api.base_url = twilio.rest_url
        assert await asyncio.to_thread(client.calls.list) == []


@fact("`url` or `twiml` says what the call does; with both, `twiml` is ignored.", CALLS)
async def test_url_goes_before_twiml(site: Site):
    site.twilio.answer_with(ANNA, listen)
    site.pages["/twiml"] = CONNECT_STREAM
    await site.create(url=f"{site.url}/twiml", twiml=HANGUP)
    await site.bot.wait_for("start")


@fact("`twiml` has 4000 characters at most.", CALLS)
async def test_twiml_is_limited(site: Site):
    assert await refusal_of(site.create(twiml="x" * 4001)) == 20001


@fact("The status callback tells `completed` only, unless asked for more.", CALLS)
async def test_callback_tells_completed_only(site: Site):
    site.twilio.answer_with(ANNA, None)
    await site.create(status_callback=f"{site.url}/status")
    await site.wait_for_post("/status")
    assert [form["CallStatus"] for form in site.posted("/status")] == ["busy"]


@fact("`initiated`, `ringing`, `answered`, `completed` can be asked for.", CALLS)
async def test_callback_tells_every_event(site: Site):
    site.twilio.answer_with(ANNA, Voicemail(greeting=tone(0.1), has_beep=False))
    await site.create(
        twiml=HANGUP,
        status_callback=f"{site.url}/status",
        status_callback_event=list(EVERY_EVENT),
    )
    told = await site.wait_for_post("/status", 4)
    assert [form["CallStatus"] for form in told] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert {form["Direction"] for form in told} == {"outbound-api"}


@fact("`send_digits` presses keys when the call is picked up.", CALLS)
async def test_digits_are_sent(site: Site):
    party = site.twilio.answer_with(ANNA, listen)
    await site.create(twiml=HANGUP, send_digits="12")
    (turn,) = (await party.wait_for_result()).turns
    assert turn.ended_at - turn.began_at == pytest.approx(0.3, abs=0.05)


@fact("`timeout` is how long it rings, and five seconds more; then it is `no-answer`.", CALLS)
async def test_call_rings_for_so_long(site: Site, monkeypatch):
    monkeypatch.setattr("twilio_frames.testing.rest.placing.ANSWERING_BUFFER", 0.2)
    site.twilio.answer_with(ANNA, listen, rings_for=5)
    await site.create(timeout=0, status_callback=f"{site.url}/status")
    (told,) = await site.wait_for_post("/status")
    assert told["CallStatus"] == "no-answer"


@fact("`time_limit` ends the call, and can be changed while it goes on.", CALLS)
async def test_time_limit_can_be_changed(site: Site):
    party = site.twilio.answer_with(ANNA, listen)
    created = await site.create(time_limit=60)
    await site.bot.wait_for("media")
    await asyncio.to_thread(site.client.calls(created.sid).update, time_limit=1)
    result = await party.wait_for_result(seconds=5)
    assert result.end is CallEnd.TIME_LIMIT
    assert result.seconds == pytest.approx(1.0, abs=0.1)


@fact("An update gives a live call other TwiML; its stream ends with `stop`.", CALLS)
async def test_twiml_replaces_the_stream(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        update = site.client.calls(caller.call_sid).update
        await asyncio.to_thread(update, twiml='<Response><Play digits="1"/></Response>')
        await caller.wait_for_end(seconds=5)
        await bot.wait_for("stop")
    assert caller.log.events("play_digits")


@fact("Or another webhook, by `url` and `method`.", CALLS)
async def test_url_replaces_the_stream(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        update = site.client.calls(caller.call_sid).update
        await asyncio.to_thread(update, url=f"{site.url}/next", method="GET")
        await site.wait_for_post("/next")


@fact("With the `url` the status callback can be changed as well.", CALLS)
async def test_update_changes_the_callback(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        update = site.client.calls(caller.call_sid).update
        url, callback = f"{site.url}/next", f"{site.url}/status"
        await asyncio.to_thread(update, url=url, status_callback=callback)
        await site.wait_for_post("/status")
    assert site.posted("/status")[0]["CallStatus"] == "completed"


@fact("`url` and `twiml` exclude each other in an update.", CALLS)
async def test_update_takes_one_of_both(site: Site):
    async with site.ring() as (_, caller):
        update = site.client.calls(caller.call_sid).update
        assert await refusal_of(asyncio.to_thread(update, url=site.url, twiml=HANGUP)) == 20001


@fact("`completed` ends a call.", CALLS)
async def test_completed_ends_the_call(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        await asyncio.to_thread(site.client.calls(caller.call_sid).update, status="completed")
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP


@fact("`canceled` calls off one that has not been answered.", CALLS)
async def test_canceled_calls_off(site: Site):
    created = await site.create()
    ringing = await site.twilio.wait_for_call()
    await asyncio.to_thread(site.client.calls(created.sid).update, status="canceled")
    assert not ringing.is_ringing
    fetched = await asyncio.to_thread(site.client.calls(created.sid).fetch)
    assert fetched.status == "canceled"


@fact("A call that goes on can be ended, and not canceled.", CALLS)
async def test_live_call_cannot_be_canceled(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        update = site.client.calls(caller.call_sid).update
        assert await refusal_of(asyncio.to_thread(update, status="canceled")) == 21220
        assert caller.is_connected


@fact("A call that is not in progress cannot be given other instructions: 21220.", error(21220))
async def test_ended_call_is_21220(site: Site):
    async with site.ring() as (_, caller):
        pass
    update = site.client.calls(caller.call_sid).update
    assert await refusal_of(asyncio.to_thread(update, twiml=HANGUP)) == 21220


@fact("A relative URL in TwiML that was passed as text is error 15004.", error(15004))
async def test_relative_url_is_15004(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        twiml = "<Response><Redirect>/next</Redirect></Response>"
        await asyncio.to_thread(site.client.calls(caller.call_sid).update, twiml=twiml)
        assert await caller.wait_for_end(seconds=5) is CallEnd.FAILED
    assert [alert.code for alert in caller.result.alerts] == [15004]


@fact("Calls are listed, by whom they call and how they stand.", CALLS)
async def test_calls_are_listed(site: Site):
    for number in (ANNA, BEN):
        site.twilio.answer_with(number, None)
        await site.create(to=number)
    listed = await asyncio.to_thread(site.client.calls.list, to=BEN)
    assert [call.to for call in listed] == [BEN]
    assert await asyncio.to_thread(site.client.calls.list, status="in-progress") == []


@fact("The account tells its status, and whether it is a trial.", ACCOUNT)
async def test_account_is_fetched(site: Site):
    account = await asyncio.to_thread(site.client.api.accounts(site.twilio.account_sid).fetch)
    assert (account.status, account.type) == ("active", "Full")


@fact("A number's webhook and its method are found by the number.", NUMBERS)
async def test_webhook_of_a_number_is_found(site: Site):
    webhooks = {BOT: ("GET", f"{site.url}/twiml")}
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(voice_webhooks=webhooks))
    async with twilio as site.twilio:
        listed = site.client.incoming_phone_numbers.list
        (found,) = await asyncio.to_thread(listed, phone_number=BOT)
        assert (found.voice_url, found.voice_method) == (f"{site.url}/twiml", "GET")
        assert await asyncio.to_thread(listed, phone_number=ANNA) == []


@fact("A call that waits in the queue is listed, and has no start time yet.", CALLS)
async def test_queued_call_has_no_start_time(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(calls_per_second=0.1))
    async with twilio as site.twilio:
        await site.create()
        await site.create(to=BEN)
        (call,) = await asyncio.to_thread(site.client.calls.list, to=BEN)
        assert (call.status, call.start_time) == ("queued", None)


CONFERENCES = "https://www.twilio.com/docs/voice/api/conference-resource"
PARTICIPANTS = "https://www.twilio.com/docs/voice/api/conference-participant-resource"
ROOM = "<Dial><Conference>room</Conference></Dial>"


@fact("Conferences are listed by their names, and ended.", CONFERENCES)
async def test_conferences_are_listed_and_ended(site: Site):
    async with site.ring(ROOM) as (_, caller):
        conferences = site.client.conferences
        (listed,) = await asyncio.to_thread(conferences.list, friendly_name="room")
        assert await asyncio.to_thread(conferences.list, friendly_name="other") == []
        fetched = await asyncio.to_thread(conferences(listed.sid).fetch)
        assert (fetched.status, fetched.friendly_name) == ("in-progress", "room")
        ended = await asyncio.to_thread(conferences(listed.sid).update, status="completed")
        assert ended.status == "completed"
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP
    assert await asyncio.to_thread(conferences.list) == []


@fact("Participants are listed, muted and put on hold, where they hear music.", PARTICIPANTS)
async def test_participants_are_muted_and_held(site: Site):
    async with site.ring(ROOM) as (_, anna), site.ring(ROOM) as (_, ben):
        participants = site.client.conferences("room").participants
        listed = await asyncio.to_thread(participants.list)
        assert {one.call_sid for one in listed} == {anna.call_sid, ben.call_sid}
        await asyncio.to_thread(participants(ben.call_sid).update, muted=True)
        await ben.say(tone(0.3))
        await asyncio.to_thread(participants(ben.call_sid).update, muted=False, hold=True)
        held_at = round(ben.now * 8000)
        await anna.say(tone(0.3))
        await ben.wait(1.0)
        found = await asyncio.to_thread(participants(ben.call_sid).fetch)
        assert (found.muted, found.hold) == (False, True)
        await asyncio.to_thread(participants(ben.call_sid).update, hold=False)
        await ben.say(tone(0.3))
        await anna.wait_for_bot(silence=0.1)
    (heard,) = [turn for turn in anna.result.turns if turn.speaker == "bot"]
    assert heard.began_at > 1.0, "neither muted nor on hold they are heard"
    assert loudness(ben.result.heard_bot[held_at + 800 : held_at + 7000]) > 500
    assert not any(turn.speaker == "bot" for turn in ben.result.turns)


@fact("A participant is added by being called, and taken out.", PARTICIPANTS)
async def test_participant_is_added_and_taken_out(site: Site):
    party = site.twilio.answer_with(BEN, listen)
    async with site.ring(ROOM) as (_, caller):
        participants = site.client.conferences("room").participants
        added = await asyncio.to_thread(participants.create, to=BEN, from_=BOT)
        await caller.wait(1.0)
        listed = await asyncio.to_thread(participants.list)
        assert {one.call_sid for one in listed} == {caller.call_sid, added.call_sid}
        await asyncio.to_thread(participants(added.call_sid).delete)
        await party.wait_for_result()
        assert await refusal_of(asyncio.to_thread(participants(added.call_sid).fetch)) == 20404
