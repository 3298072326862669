"""Somebody orders a coffee on the softphone's page, in a real browser."""

import re
import wave
from functools import partial

import pytest
from pipecat.pipeline.pipeline import Pipeline

from tests.chromium import Page, browser, needs_chromium
from tests.testing.coffee_by_phone import MOUTH, recording, shop, speak
from tests.transport.bots import tone
from tests.waiting import until
from twilio_frames.audio import encode_mulaw
from twilio_frames.call import Call
from twilio_frames.processors.clips import Clip
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing.softphone import Softphone

# A browser of 2 s of processor time, and a call at real pace.
pytestmark = [pytest.mark.truth, pytest.mark.real_time, needs_chromium]


async def shown(page: Page, selector: str) -> str:
    return await page.value(f"document.querySelector('{selector}').innerText")


async def before_the_page(page: Page, code: str) -> None:
    """Has code run before the page's own."""
    await page.do("Page.addScriptToEvaluateOnNewDocument", source=code)


@pytest.mark.parametrize(
    ("rate", "is_over"), [(44100, False), (48000, True)], ids=["in turn", "over the bot"]
)
async def test_order_is_taken(rate: int, is_over: bool, tmp_path):
    async with shop(tmp_path / "calls") as url, browser() as page:
        await before_the_page(
            page,
            "window.AudioContext = class extends AudioContext { constructor(options) "
            f"{{ super({{ ...options, sampleRate: {rate} }}); }} }};",
        )
        await page.open(url)
        await page.value(MOUTH)
        await page.value("echo.checked = false")
        await page.click("#call")
        say = partial(speak, page, folder=tmp_path)
        await say("A small cappuccino with honey, please.", after="get you?")
        if is_over:
            await say("Actually, make it a large.", after="So that's a small")
        await say("Yes, that's right.", after="Is that right?")
        await page.wait_until("state.textContent.startsWith('The bot hung up')", 60)
        await page.wait_until("!after.hidden", 30)
        words, median = await shown(page, "#talk"), await shown(page, "#median-answer")
        cut = await page.value("document.querySelector('#talk s')?.textContent ?? ''")
        complaints = page.complaints
        await page.click("#after a")
        await page.wait_until("document.querySelectorAll('#talk li').length > 3")
        await page.value("document.getElementById('play').click()")
        await page.wait_until("!document.getElementById('audio').paused")
        assert await page.value("self.origin") == "null"

    assert complaints == []
    assert f"{'large' if is_over else 'small'} cappuccino" in words
    assert "cappuccino will be ready in ten minutes. Goodbye!" in words
    assert bool(cut) is is_over
    assert re.fullmatch(r"\d\.\d\d s", median)


async def test_whoever_has_no_microphone_hears_and_presses_keys(tmp_path):
    async with shop(tmp_path / "calls") as url, browser() as page:
        await page.open(url)
        await page.click("#call")
        await page.wait_until("!trouble.hidden")
        trouble = await shown(page, "#trouble")
        await page.click("#trouble button:nth-of-type(2)")
        await page.wait_until(
            "document.querySelector('#talk .words')?.innerText.includes('get you?')"
        )
        await page.press("5")
        await page.wait_until("talk.innerText.includes('key 5')")
        await page.click("#hang-up")
        await page.wait_until("state.textContent.startsWith('You hung up')")

    assert "There is no microphone" in trouble
    assert page.complaints == []


async def test_microphone_that_is_unplugged_comes_back(tmp_path):
    microphone = await recording(tmp_path / "silence.wav", 60.0)
    async with shop(tmp_path / "calls") as url, browser(microphone=microphone) as page:
        await before_the_page(
            page,
            "const ask = MediaDevices.prototype.getUserMedia; window.streams = [];"
            "MediaDevices.prototype.getUserMedia = async function (wanted) { "
            "const stream = await ask.call(this, wanted); streams.push(stream); return stream; };",
        )
        await page.open(url)
        await page.click("#call")
        await page.wait_until("state.textContent === 'On the line'")
        await page.value("streams[0].getTracks()[0].dispatchEvent(new Event('ended')); 0")
        await page.wait_until("!trouble.hidden")
        trouble = await shown(page, "#trouble")
        await page.value("navigator.mediaDevices.dispatchEvent(new Event('devicechange')); 0")
        await page.wait_until("streams.length === 2 && trouble.hidden")
        state = await shown(page, "#state")

    assert "The microphone is gone" in trouble
    assert state == "On the line"
    assert page.complaints == []


class Ears:
    """Counts what is heard of the caller."""

    def __init__(self) -> None:
        self.loud = 0

    def caller_audio(self, mulaw: bytes, at: float) -> None:
        self.loud += sum(code not in (0x7F, 0xFF) for code in mulaw)

    def bot_audio(self, mulaw: bytes, at: float) -> None: ...

    def line_ended(self, at: float) -> None: ...


async def test_tab_in_the_background_goes_on(tmp_path):
    microphone = tmp_path / "tone.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(tone(60.0))
    ears = Ears()

    async def hear(call: Call) -> None:
        call.transport.add_tap(ears)
        await call.run(Pipeline([call.transport.input(), call.transport.output()]))

    app = create_app(hear, ServerSettings(warm=False))
    Softphone(hear).add_to(app)
    async with Server(app) as server, browser(microphone=microphone) as page:
        await page.open(f"{server.url}/phone")
        await page.click("#call")
        await page.wait_until("state.textContent === 'On the line'")
        other = await page.do("Target.createTarget", url="about:blank")
        await page.do("Target.activateTarget", targetId=other["targetId"])
        await page.wait_until("document.hidden")
        before = ears.loud
        # Five seconds of sound within six: a timer of a hidden page runs once a second.
        await until(lambda: ears.loud - before > 5 * 8000 * 0.9, seconds=6.0, every=0.1)


async def test_whoever_is_elsewhere_is_asked_for_the_dial_key(tmp_path):
    key = "k" * 20

    async def greet(call: Call) -> None:
        pipeline = Pipeline([call.transport.input(), call.transport.output()])
        await call.run(pipeline, greeting=Clip(mulaw=encode_mulaw(tone(1.0)), text="Good morning."))

    settings = ServerSettings(auth_token="secret", dial_key=key, trust_proxies=True, warm=False)
    app = create_app(greet, settings)
    Softphone(greet).add_to(app)
    async with Server(app) as server, browser() as page:
        await page.open(f"{server.url}/phone")
        assert await page.value("!document.getElementById('key-field').hidden")
        await page.click("#call")
        await page.wait_until("!trouble.hidden")
        await page.click("#trouble button:nth-of-type(2)")
        await page.wait_until("trouble.innerText.includes('expected the dial key'.slice(1))")
        await page.value(f"document.getElementById('key').value = '{key}'")
        await page.click("#trouble button")
        await page.wait_until("talk.innerText.includes('Good morning.')")

    assert all("401" in each for each in page.complaints)


async def test_refused_microphone_is_told_of(tmp_path):
    flags = ("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    async with shop(tmp_path / "calls") as url, browser(*flags) as page:
        await page.open(url)
        await page.click("#call")
        await page.wait_until("!trouble.hidden")
        trouble, state = await shown(page, "#trouble"), await shown(page, "#state")

    assert "The microphone may not be used" in trouble
    assert "Try again" in trouble
    assert state == "Ready to call"
