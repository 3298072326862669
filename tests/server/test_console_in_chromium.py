"""The page to place a call from and the console, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext

from tests.chromium import browser, needs_chromium
from tests.server.test_console import write_log
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call
from twilio_frames.campaign import Outcome
from twilio_frames.campaign.plan import Progress
from twilio_frames.frames import CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Bot, Server, ServerSettings, create_app
from twilio_frames.server.calls.records import StreamPhase
from twilio_frames.server.state import STATE
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.calls.facts import Numbers

# A browser of 2 s of processor time, and calls at real pace.
pytestmark = [pytest.mark.truth, pytest.mark.real_time, needs_chromium]
ANN, BOSS = "+14155550123", "+14155550124"
KEY = "k" * 20
# A page that is late shows it for less than one look.
KEEPS_WHAT_THE_CALLER_DID = """
    globalThis.callerDid = [];
    const now = document.getElementById('caller-now');
    new MutationObserver(() => callerDid.push(now.textContent)).observe(now, { childList: true });
    0
"""
PROGRESS = Progress(
    contacts=100,
    outcomes={Outcome.ANSWERED: 9, Outcome.BUSY: 3},
    up=2,
    waiting=86,
    calls=20,
    next_at=None,
    seconds_left=600.0,
)


async def wait(call: Call) -> None:
    await call.line_ended()


async def talk(call: Call) -> None:
    context = PhoneContextAggregator(LLMContext())
    ears = [call.transport.input(), PhoneVAD(), Scribe("a quote please"), context.user()]
    voice = [EspeakTTSService(), call.transport.output(), context.assistant()]
    await call.run(Pipeline([*ears, *voice]), greeting="Good morning, this is the bakery.")


@asynccontextmanager
async def served(
    bot: Bot, twilio: SimulatedTwilio, *, dial_key: str | None = None, call_logs: Path | None = None
) -> AsyncIterator[Server]:
    settings = ServerSettings(
        account_sid=twilio.account_sid,
        auth_token=twilio.auth_token,
        api_url=twilio.rest_url,
        phone_number="+14155550199",
        trust_proxies=dial_key is not None,
        dial_key=dial_key,
        call_logs=call_logs,
        log_words=True,
        warm=False,
    )
    async with Server(create_app(bot, settings)) as server:
        yield server


async def test_call_is_placed_with_options_and_found_in_the_console():
    async with SimulatedTwilio() as twilio, served(wait, twilio) as server, browser() as page:
        await page.open(f"{server.url}/")
        write = "to.value = '{}'; to.dispatchEvent(new Event('input', {{ bubbles: true }})); 0"
        hint = "document.getElementById('to-hint').innerText.includes('{}')"
        await page.value(write.format("0044 20"))
        await page.wait_until(hint.format("00: +4420"))
        await page.value(write.format("+442079460958"))
        await page.wait_until(hint.format("United Kingdom: this server does not call there"))
        await page.value(write.format("415 555 0123"))
        await page.wait_until(hint.format("+1 415-555-0123, United States"))
        await page.value("to.dispatchEvent(new Event('change')); 0")
        assert await page.value("to.value") == "+1 415-555-0123"
        await page.value("ring_secs.value = '700'; parameters.value = 'name = Ann = Anna\\n'")
        await page.click("#dial-button")
        await page.wait_until("document.activeElement.id === 'ring_secs'")
        assert "1 to 600" in await page.text()
        await page.value("ring_secs.value = '20'")
        await page.click("#dial-button")
        async with (await twilio.wait_for_call()).answer() as caller:
            await page.wait_until("result.innerText.includes('The bot is talking with them')")
            await page.click("#detail a")
            await page.wait_until("document.querySelectorAll('#calls button').length === 1")
            assert await page.value("calls.innerText.includes('+14155550123')")
            shown = await page.value("document.querySelector('#calls button').dataset.sid")
            assert shown == caller.call_sid

    assert [each for each in page.complaints if "400" not in each] == []


async def test_call_is_heard_read_whispered_to_and_put_through(tmp_path: Path):
    """From elsewhere: with the dial key. Then its report is opened."""
    async with SimulatedTwilio() as twilio, browser() as page:
        twilio.answer_with(BOSS, None)
        numbers = Numbers(from_number=ANN)
        async with served(talk, twilio, dial_key=KEY, call_logs=tmp_path) as server:
            await page.open(f"{server.url}/console")
            await page.wait_until("summary.innerText.includes('Give the dial key')")
            async with twilio.call(f"{server.url}/twiml", numbers=numbers) as caller:
                await page.value(f"location.hash = 'key={KEY}'")
                await page.wait_until("document.querySelector('#calls button')")
                await page.value("document.querySelector('#calls button').focus()")
                await page.press("Enter")
                await page.wait_until("state.innerText.includes('You hear both sides')")
                await page.value(KEEPS_WHAT_THE_CALLER_DID)
                await caller.say("A quote, please.")
                await page.wait_until("talk.innerText.includes('a quote please')")
                assert "speaks" in await page.value("callerDid")
                assert await page.value("document.activeElement.id") == "call"
                assert ANN in await page.value("document.getElementById('call-heading').innerText")
                await page.value("whisper.value = 'Be kind.'")
                await page.click("#whisper-form button")
                await page.wait_until("talk.innerText.includes('The bot knows')")
                for button in ("take_over", "transfer"):
                    await page.value(f"through.value = '{BOSS}'")
                    await page.click(f"#through-form [value={button}]")
                    await page.wait_until(
                        f"talk.innerText.split('Nobody took it: busy').length > "
                        f"{1 if button == 'take_over' else 2}"
                    )
                await page.value("globalThis.confirm = () => true; 0")
                await page.click("#hang-up")
                await page.wait_until("state.innerText.includes('The call is over')")
                await caller.wait_for_end(seconds=10)
            await page.wait_until("document.querySelectorAll('#calls button').length === 0")
            await page.value("past.open = true")
            await page.wait_until("document.querySelector('#past-calls button')")
            await page.value("globalThis.opened = {}; globalThis.open = () => opened; 0")
            await page.click("#past-calls button")
            await page.wait_until("opened.location")
            assert page.complaints == []
            await page.open(await page.value("String(opened.location)"))
            await page.wait_until("document.querySelectorAll('#talk li').length >= 2")
            assert await page.value("self.origin") == "null"
    assert page.complaints == []


async def test_nothing_moves_on_a_telephone_when_the_calls_come():
    app = create_app(wait, ServerSettings(warm=False))
    for n in range(200):
        app[STATE].records.open(f"CA{n:032x}").phase = StreamPhase.UP

    async with Server(app) as server, browser() as page:
        server.shows_campaign("spring.csv")(PROGRESS)
        await page.looks(width=390, height=844)
        await page.open(f"{server.url}/console")
        await page.wait_until("document.querySelectorAll('#calls button').length === 200")
        moved = await page.value("""
            new Promise((done) => {
                new PerformanceObserver((list) => done(list.getEntries().map((one) => one.value)))
                    .observe({ type: 'layout-shift', buffered: true });
                requestAnimationFrame(() => setTimeout(() => done([]), 300));
            })
        """)
        assert moved == []


async def test_one_of_two_hundred_calls_is_found(tmp_path: Path):
    write_log(tmp_path, "CAold", began="10:00")
    app = create_app(wait, ServerSettings(warm=False, call_logs=tmp_path))
    records = app[STATE].records
    for n in range(260):
        record = records.open(f"CA{n:032x}")
        record.phase = StreamPhase.UP if n < 200 else StreamPhase.FAILED
        record.end_reason = None if n < 200 else CallEndReason.LINE_LOST
        record.from_number = f"+1415555{n:04d}"
        record.began_at -= 260 - n

    async with Server(app) as server, browser() as page:
        server.shows_campaign("spring.csv")(PROGRESS)
        await page.open(f"{server.url}/console")
        await page.wait_until("document.querySelectorAll('#calls button').length === 200")
        await page.wait_until("campaigns.innerText.includes('12 of 100 done')")
        await page.value("""
            globalThis.changes = 0;
            new MutationObserver((all) => { changes += all.filter((one) => one.type === 'childList'
                && one.target.id === 'calls').length; }).observe(calls, { childList: true });
            document.querySelector('#calls button').focus(); 0
        """)
        await page.press("End")
        assert await page.value("document.activeElement.dataset.sid") == f"CA{0:032x}"
        assert await page.value("calls.querySelectorAll('[tabindex=\"0\"]').length") == 1
        records.open(f"CA{77:032x}").phase = StreamPhase.ENDED
        await page.wait_until("document.querySelectorAll('#calls button').length === 199")
        assert await page.value("changes") == 1, "one row went, and no other was touched"
        assert await page.value("document.activeElement.dataset.sid") == f"CA{0:032x}"
        await page.value("past.open = true")
        await page.wait_until("document.querySelectorAll('#past-calls .bad').length === 50")
        await page.click("#more-past")
        await page.wait_until("document.querySelectorAll('#past-calls li').length === 62")
        assert await page.value("softphone.hidden")
        await page.value("filter.value = '555-0195'; filter.dispatchEvent(new Event('input')); 0")
        shown = "document.querySelectorAll('#calls li:not([hidden])').length"
        await page.wait_until(f"{shown} === 1")
        assert page.complaints == []
