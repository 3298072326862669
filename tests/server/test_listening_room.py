"""The page of whoever listens in on calls."""

import asyncio
import re
from pathlib import Path

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.chromium import browser, needs_chromium
from tests.server.site import Site
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.server.calls.records import StreamPhase
from twilio_frames.server.state import STATE
from twilio_frames.testing import SimulatedTwilio


async def test_page_asks_nobody_but_its_server(site: Site):
    answer = await site.client.get("/listen")
    text = await answer.text()

    assert answer.content_type == "text/html"
    assert "{{" not in text
    parts = re.findall(r'(?:src|href)="(listen/[^"]+)"', text)
    for part in parts:
        got = await site.client.get(f"/{part}")
        assert (got.status, got.content_type in ("text/css", "text/javascript")) == (200, True)
        for module in re.findall(r'from "\./([^"]+)"', await got.text()):
            assert (await site.client.get(f"/listen/{module}")).status == 200
    assert not re.search(r"https?://", text)
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


async def test_nothing_else_is_given_out(site: Site):
    for name in ("listen.html", "page.html", "..%2Fapp.py", "none.js"):
        assert (await site.client.get(f"/listen/{name}")).status == 404
    assert (await site.client.post("/listen")).status in (404, 405)


@needs_chromium
@pytest.mark.real_time
async def test_call_is_heard_read_and_whispered_to(tmp_path: Path):
    """In a browser, from elsewhere: with the dial key."""

    async def bot(call: Call) -> None:
        context = PhoneContextAggregator(LLMContext())
        ears = [call.transport.input(), PhoneVAD(), Scribe("a quote please"), context.user()]
        voice = [EspeakTTSService(), call.transport.output(), context.assistant()]
        await call.run(Pipeline([*ears, *voice]), greeting="Good morning, this is the bakery.")

    async with SimulatedTwilio() as twilio:
        twilio.answer_with("+14155550123", None)
        settings = ServerSettings(
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            api_url=twilio.rest_url,
            phone_number="+14155550199",
            trust_proxies=True,
            dial_key="k" * 20,
            dial_prefixes=("+1",),
            log_words=True,
        )
        async with Server(create_app(bot, settings)) as server, browser(tmp_path) as page:
            await page.open(f"{server.url}/listen")
            await page.wait_until("!document.getElementById('trouble').hidden")
            assert "expected the dial key" in await page.text()
            async with twilio.call(f"{server.url}/twiml") as caller:
                await page.value(f"location.hash = 'key={'k' * 20}'")
                await page.wait_until("document.querySelector('#calls button')")
                await page.click("#calls button")
                speaks = "document.querySelector('#caller-now').textContent === 'speaks'"
                await asyncio.gather(caller.say("A quote, please."), page.wait_until(speaks))
                await page.wait_until("document.body.innerText.includes('a quote please')")
                await page.value("document.getElementById('whisper').value = 'Be kind.'")
                await page.click("#whisper-form button")
                await page.wait_until("document.body.innerText.includes('The bot knows')")
                await page.value("document.getElementById('take').value = '+14155550123'")
                await page.click("#take-form button")
                await page.wait_until("document.body.innerText.includes('Nobody took it: busy')")
                await caller.hang_up()
                await page.wait_until("document.body.innerText.includes('caller hung up')")
            # The first look was without the key, which the browser notes.
            assert [one for one in page.complaints if "401" not in one] == []


@needs_chromium
@pytest.mark.truth
@pytest.mark.real_time
async def test_one_of_two_hundred_calls_is_found(tmp_path: Path):
    async def nobody(call: Call) -> None: ...

    app = create_app(nobody, ServerSettings(warm=False))
    records = app[STATE].records
    for n in range(260):
        record = records.open(f"CA{n:032x}")
        record.phase = StreamPhase.UP if n < 200 else StreamPhase.FAILED
        record.end_reason = None if n < 200 else CallEndReason.LINE_LOST

    async with Server(app) as server, browser(tmp_path) as page:
        await page.open(f"{server.url}/listen")
        await page.wait_until("document.querySelectorAll('#calls button').length === 200")
        await page.value("document.querySelector('#calls button').focus()")
        await page.value("document.getElementById('past').open = true")
        await page.wait_until("document.querySelectorAll('#past-calls .bad').length === 50")
        assert await page.value("document.activeElement.dataset.sid") == f"CA{199:032x}"
        assert await page.value("document.getElementById('softphone').hidden")
        await page.value("document.getElementById('filter').value = '00c3'")
        await page.wait_until("document.querySelectorAll('#calls button').length === 1")
        assert page.complaints == []
