"""Rates, limits, and the errors a call is refused with."""

import asyncio

import aiohttp
import pytest
from twilio.rest import Client

from tests.conformance.facts import CALLS, RATES, error, fact
from tests.conformance.site import (
    ANNA,
    BEN,
    BOT,
    HANGUP,
    TOKEN,
    Site,
    refusal_of,
)
from tests.testing.bots import tone
from tests.waiting import time_passes
from twilio_frames.testing import (
    AccountRules,
    SimulatedTwilio,
    Voicemail,
)


@fact("Calls beyond the account's rate are queued, not refused; `queue_time` tells.", RATES)
async def test_calls_are_queued(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(calls_per_second=2))
    async with twilio as site.twilio:
        for number in (ANNA, BEN):
            twilio.answer_with(number, None)
        first, second = await site.create(), await site.create(to=BEN)
        waiting = await asyncio.to_thread(site.client.calls(second.sid).fetch)
        await time_passes(0.7)
        calls = {call.to: call for call in await asyncio.to_thread(site.client.calls.list)}
    assert (first.status, waiting.status, calls[BEN].status) == ("queued", "queued", "busy")
    assert int(calls[ANNA].queue_time) < 100
    assert 300 < int(calls[BEN].queue_time) < 600


@fact("A call can be called off while it waits in the queue.", CALLS)
async def test_queued_call_can_be_canceled(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(calls_per_second=0.1))
    async with twilio as site.twilio:
        await site.create()
        second = await site.create(to=BEN)
        canceled = await asyncio.to_thread(site.client.calls(second.sid).update, status="canceled")
    assert canceled.status == "canceled"


@fact("`<Dial>` and calls from outside are not held up by that rate.", RATES)
async def test_dial_is_not_queued(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(calls_per_second=0.1))
    twilio.answer_with(ANNA, Voicemail(greeting=tone(0.1), has_beep=False))
    dial = f'<Dial timeLimit="1">{ANNA}</Dial>'
    async with site.ring(dial, twilio=twilio) as (_, first), site.ring(dial) as (_, second):
        await asyncio.gather(*(caller.wait_for_end(seconds=5) for caller in (first, second)))
    assert tone(0.1) in first.result.heard_bot
    assert tone(0.1) in second.result.heard_bot


@fact("More calls at a time than the account may have are error 10004.", error(10004))
async def test_too_many_calls_are_10004(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, rules=AccountRules(concurrent_calls=1))
    async with twilio as site.twilio:
        await site.create()
        assert await refusal_of(site.create(to=BEN)) == 10004


@fact("More requests at a time are HTTP 429, error 20429, and are not processed.", error(20429))
async def test_too_many_requests_are_20429(site: Site):
    rules = AccountRules(concurrent_requests=1, request_secs=0.3)
    async with SimulatedTwilio(auth_token=TOKEN, rules=rules) as site.twilio:
        url = f"{site.twilio.rest_url}/2010-04-01/Accounts/{site.twilio.account_sid}/Calls.json"
        login = aiohttp.encode_basic_auth(site.twilio.account_sid, TOKEN)
        form = {"To": ANNA, "From": BOT, "Twiml": HANGUP}
        async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
            answers = await asyncio.gather(*(session.post(url, data=form) for _ in range(3)))
            codes = sorted(answer.status for answer in answers)
            assert (await answers[-1].json())["code"] == 20429
            assert answers[-1].headers["Twilio-Concurrent-Requests"] == "2"
        assert codes == [201, 429, 429]
        assert len(await asyncio.to_thread(site.client.calls.list)) == 1


@fact("A wrong secret is error 20003, HTTP 401.", error(20003))
async def test_wrong_secret_is_20003(site: Site):
    client = Client(site.twilio.account_sid, "wrong")
    client.api.base_url = site.twilio.rest_url
    assert await refusal_of(asyncio.to_thread(client.calls("CA" + "0" * 32).fetch)) == 20003


@fact("What there is not is error 20404, HTTP 404.", error(20404))
async def test_missing_call_is_20404(site: Site):
    assert await refusal_of(asyncio.to_thread(site.client.calls("CA" + "0" * 32).fetch)) == 20404


@fact("A call to nobody is error 21201.", error(21201))
async def test_missing_number_is_21201(site: Site):
    assert await refusal_of(site.create(to="")) == 21201


@fact("A call to what is no number is error 21211.", error(21211))
async def test_bad_number_is_21211(site: Site):
    assert await refusal_of(site.create(to="nobody")) == 21211


@fact("A call from what is no number is error 21212.", error(21212))
async def test_bad_caller_is_21212(site: Site):
    assert await refusal_of(site.create(from_="nobody")) == 21212


@fact("A call without instructions, or with a bad URL, is error 21205.", error(21205))
async def test_bad_url_is_21205(site: Site):
    assert await refusal_of(site.create(url="no-url")) == 21205


@fact("A call from a number that is not the account's is error 21210.", error(21210))
async def test_strange_caller_is_21210(site: Site):
    rules = AccountRules(own_numbers={BOT})
    async with SimulatedTwilio(auth_token=TOKEN, rules=rules) as site.twilio:
        assert await refusal_of(site.create(from_=BEN)) == 21210
        await site.create()


@fact("A trial account calls verified numbers only: error 21219.", error(21219))
async def test_unverified_number_is_21219(site: Site):
    rules = AccountRules(verified_numbers={ANNA})
    async with SimulatedTwilio(auth_token=TOKEN, rules=rules) as site.twilio:
        assert await refusal_of(site.create(to=BEN)) == 21219
        await site.create()


@fact(
    "Numbers that cannot be reached, or may not be: 21214, 21215, 21216, 13227, 32017.",
    error(21215),
)
@pytest.mark.parametrize("code", [21214, 21215, 21216, 13227, 32017])
async def test_refused_number_has_itsrefusal_of(site: Site, code: int):
    rules = AccountRules(refused_numbers={BEN: code})
    async with SimulatedTwilio(auth_token=TOKEN, rules=rules) as site.twilio:
        assert await refusal_of(site.create(to=BEN)) == code
