"""Twilio's requests to a web server: what they say, how they are signed, when they give up."""

import asyncio

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator, get_signature_algorithm

from tests.conformance.facts import (
    CALLS,
    OVERRIDES,
    SHARED_KEYS,
    SIP_IN,
    STIR,
    STRANGE_NUMBERS,
    VOICE,
    WEBHOOK_SECURITY,
    error,
    fact,
    verb,
)
from tests.conformance.site import ANNA, BOT, CONNECT_STREAM, TOKEN, Site, wav
from tests.waiting import time_passes
from twilio_frames.errors import CallFailedError
from twilio_frames.signature import HMAC_SHA256, SETTINGS_HEADER, SIGNATURE_HEADER
from twilio_frames.testing import Numbers, Signing, SimulatedTwilio
from twilio_frames.testing.calls.account import CallbackDisorder


@fact("The voice webhook says who calls whom, and how the call stands.", CALLS)
async def test_webhook_tells_the_call(site: Site):
    async with site.ring(numbers=Numbers(from_number=ANNA, to_number=BOT)) as (_, caller):
        (told,) = site.posted("/twiml")
    assert told["CallSid"] == caller.call_sid
    assert told["AccountSid"] == site.twilio.account_sid
    assert (told["From"], told["To"]) == (told["Caller"], told["Called"]) == (ANNA, BOT)
    assert (told["Direction"], told["ApiVersion"]) == ("inbound", "2010-04-01")
    assert {"FromCity", "ToCountry", "CallToken"} < told.keys()


@fact("`From` need not be a number.", CALLS)
async def test_caller_may_be_anonymous(site: Site):
    async with site.ring(numbers=Numbers(from_number="anonymous")):
        assert site.posted("/twiml")[0]["From"] == "anonymous"


@fact("A caller without a number has one that spells the reason on keys.", STRANGE_NUMBERS)
async def test_missing_number_is_spelled(site: Site):
    async with site.ring(numbers=Numbers(from_number="+266696687")):
        assert site.posted("/twiml")[0]["From"] == "+266696687"


@fact("A forwarded call says `ForwardedFrom`, a name that was looked up `CallerName`.", VOICE)
async def test_forwarding_and_name_are_told_where_known(site: Site):
    async with site.ring(numbers=Numbers(forwarded_from=ANNA, caller_name="Jane Doe")):
        (told,) = site.posted("/twiml")
    assert (told["ForwardedFrom"], told["CallerName"]) == (ANNA, "Jane Doe")
    async with site.ring():
        told = site.posted("/twiml")[-1]
    assert not {"ForwardedFrom", "CallerName"} & told.keys()


@fact("`StirVerstat` says who vouches for the caller's number, if anybody does.", STIR)
async def test_attestation_is_told_where_there_is_one(site: Site):
    async with site.ring(numbers=Numbers(verstat="TN-Validation-Failed-B")):
        assert site.posted("/twiml")[0]["StirVerstat"] == "TN-Validation-Failed-B"
    async with site.ring(numbers=Numbers(verstat="")):
        assert "StirVerstat" not in site.posted("/twiml")[-1]


@fact("The `X-` headers of a call over SIP come as `SipHeader_X-...`.", SIP_IN)
async def test_sip_headers_are_told(site: Site):
    async with site.ring(numbers=Numbers(sip_headers={"X-Queue": "gold"})):
        assert site.posted("/twiml")[0]["SipHeader_X-Queue"] == "gold"


@fact(
    "A POST is signed over its URL and all its parameters; over HTTP with the port.",
    WEBHOOK_SECURITY,
)
async def test_posts_are_signed(site: Site):
    async with site.ring("<Redirect>/more?x=1&amp;y=2</Redirect>") as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.are_signed == [True, True]


@fact("A GET carries the parameters in its URL, and is signed over that.", WEBHOOK_SECURITY)
async def test_gets_are_signed(site: Site):
    async with site.ring('<Redirect method="GET">/more?x=1</Redirect>') as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.are_signed == [True, True]
    assert (site.posted("/more")[0]["x"], site.posted("/more")[0]["To"]) == ("1", BOT)


@fact("Over HTTPS user, password and port are left out of what is signed.", WEBHOOK_SECURITY)
async def test_https_is_signed_without_port():
    signing = Signing(auth_token=TOKEN)
    for url in ("https://u:p@example.com:8443/t?x=1", "https://example.com/t?x=1"):
        headers = signing.webhook_headers(url, {"To": BOT})
        expected = RequestValidator(TOKEN).compute_signature(
            "https://example.com/t?x=1", {"To": BOT}
        )
        assert headers[SIGNATURE_HEADER] == expected


@fact("With a shared key webhooks are signed by it, and a header says which.", SHARED_KEYS)
async def test_shared_key_signs():
    signing = Signing(
        auth_token=TOKEN, shared_key="SK1", shared_secret="shared", algorithm=HMAC_SHA256
    )
    headers = signing.webhook_headers("http://example.com/t", {"To": BOT})
    assert headers[SETTINGS_HEADER] == "key=SK1,algorithm=HMAC_SHA256"
    assert RequestValidator("shared").validate(
        "http://example.com/t",
        {"To": BOT},
        headers[SIGNATURE_HEADER],
        algorithm=get_signature_algorithm(headers[SETTINGS_HEADER]),
    )


@fact("HTTP status 400 and above is error 11200.", error(11200))
async def test_refusal_is_11200(site: Site):
    site.pages["/broken"] = lambda: web.Response(status=500)
    with pytest.raises(CallFailedError, match="11200"):
        async with site.ring("<Redirect>/broken</Redirect>"):
            pass


@fact("A server that is not there is error 11205.", error(11205))
async def test_missing_server_is_11205(site: Site):
    with pytest.raises(CallFailedError, match="11205"):
        async with site.ring("<Redirect>http://127.0.0.1:1/</Redirect>"):
            pass


@fact("An answer of a wrong media type is error 12300.", error(12300))
async def test_wrong_type_is_12300(site: Site):
    site.pages["/json"] = lambda: web.json_response({})
    with pytest.raises(CallFailedError, match="12300"):
        async with site.ring("<Redirect>/json</Redirect>"):
            pass


@fact("Plain text is read to the caller.", verb("")[:-1])
async def test_plain_text_is_read_out(site: Site):
    site.pages["/text"] = lambda: web.Response(text="Good morning.")
    async with site.ring("<Redirect>/text</Redirect>") as (_, caller):
        await caller.wait_for_end(seconds=10)
    assert caller.log.events("say")


@fact("Sound is played to the caller.", verb("")[:-1])
async def test_sound_is_played(site: Site):
    site.pages["/sound"] = lambda: web.Response(body=wav(0.3), content_type="audio/wav")
    async with site.ring("<Redirect>/sound</Redirect>") as (_, caller):
        await caller.wait_for_end(seconds=10)
    assert caller.result.turns[0].speaker == "bot"


@fact("The read time-out is what `#rt=` says, in milliseconds.", OVERRIDES)
async def test_read_time_can_be_set(site: Site):
    async def slowly() -> web.Response:
        await time_passes(1)
        return web.Response()

    site.pages["/slow"] = slowly
    with pytest.raises(CallFailedError, match=r"within 0\.2 s"):
        async with site.ring(f"<Redirect>{site.url}/slow#rt=200</Redirect>"):
            pass


@fact("All attempts together may take what `#tt=` says.", OVERRIDES)
async def test_total_time_can_be_set(site: Site):
    async def slowly() -> web.Response:
        await time_passes(0.2)
        return web.Response(status=503)

    site.pages["/slow"] = slowly
    with pytest.raises(CallFailedError, match=r"within 0\.3 s"):
        async with site.ring("<Redirect>/slow#rc=5&amp;rp=5xx&amp;tt=300</Redirect>"):
            pass


@fact("`#rc=` and `#rp=` say how often, and after what, a webhook is tried again.", OVERRIDES)
async def test_retries_can_be_set(site: Site):
    site.pages["/broken"] = lambda: web.Response(status=503)
    with pytest.raises(CallFailedError, match="11200"):
        async with site.ring("<Redirect>/broken#rc=2&amp;rp=5xx</Redirect>"):
            pass
    assert len(site.posted("/broken")) == 3


@fact("The fragment is for Twilio: the server does not see it, and it is not signed.", OVERRIDES)
async def test_overrides_stay_with_twilio(site: Site):
    async with site.ring("<Redirect>/more#rc=0</Redirect>") as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert site.are_signed == [True, True]


@fact("When a webhook fails, the fallback URL is asked, and told of the error.", CALLS)
async def test_fallback_is_asked(site: Site):
    site.pages["/broken"] = lambda: web.Response(status=500)
    site.pages["/fallback"] = CONNECT_STREAM
    create = site.client.calls.create
    await asyncio.to_thread(
        create,
        to=ANNA,
        from_=BOT,
        url=f"{site.url}/broken",
        fallback_url=f"{site.url}/fallback",
    )
    ringing = await site.twilio.wait_for_call()
    async with ringing.answer():
        await site.bot.wait_for("start")
    (told,) = site.posted("/fallback")
    assert (told["ErrorCode"], told["ErrorUrl"]) == ("11200", f"{site.url}/broken")


@fact("Status callbacks are numbered from 0, and tell each event that was asked for.", CALLS)
async def test_callbacks_are_numbered(site: Site):
    async with site.ring(callback=True):
        pass
    told = site.posted("/status")
    assert [form["CallStatus"] for form in told] == ["ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in told] == list("012")
    assert {form["CallbackSource"] for form in told} == {"call-progress-events"}


@fact("The last one has `CallDuration` and `SipResponseCode`.", CALLS)
async def test_last_callback_tells_the_duration(site: Site):
    async with site.ring(callback=True) as (_, caller):
        await caller.wait(0.6)
    last = site.posted("/status")[-1]
    assert (last["CallDuration"], last["SipResponseCode"]) == ("1", "200")
    assert last["Timestamp"]


@fact("`completed` does not wait for a webhook that is in flight.", CALLS)
async def test_completed_does_not_wait(site: Site):
    async def slowly() -> web.Response:
        await time_passes(3)
        return web.Response()

    site.pages["/slow"] = slowly
    twiml = '<Play digits="1"/><Redirect>/slow</Redirect>'
    async with site.ring(twiml, callback=True) as (_, caller):
        await site.wait_for_post("/slow")
    assert site.posted("/status")[-1]["CallStatus"] == "completed"
    assert caller.result.seconds < 2


@fact("Nothing promises that they arrive in order.", CALLS)
async def test_callbacks_may_be_out_of_order(site: Site):
    twilio = SimulatedTwilio(auth_token=TOKEN, disorder=CallbackDisorder(swapped=1.0))
    async with site.ring(twilio=twilio, callback=True):
        pass
    assert [form["SequenceNumber"] for form in site.posted("/status")] == ["1", "0", "2"]
