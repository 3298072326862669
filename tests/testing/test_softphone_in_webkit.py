"""Somebody orders a coffee on the softphone's page, in the engine that Safari has."""

import base64

import pytest

from tests.testing.coffee_by_phone import recording, shop
from tests.webkit import needs_webkit, webkit

# A browser of 2 s of processor time, and a call at real pace.
pytestmark = [pytest.mark.truth, pytest.mark.real_time, needs_webkit]

_MICROPHONE = ("--enable-media-stream=true", "--enable-mock-capture-devices=true")
"""One that hums; the page is given another one in its place, which speaks."""
_SPEAKS = """(() => {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const coded = arguments[0];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        await ask(wanted);
        const context = new AudioContext(), made = context.createMediaStreamDestination();
        const bytes = Uint8Array.from(atob(coded), (one) => one.charCodeAt(0));
        const source = context.createBufferSource();
        source.buffer = await context.decodeAudioData(bytes.buffer);
        source.connect(made);
        source.start();
        return made.stream;
    };
})()"""


async def test_order_is_taken(tmp_path):
    said = [6.0, "A small cappuccino with honey, please.", 13.0, "Yes, that's right.", 5.0]
    spoken = base64.b64encode((await recording(tmp_path / "order.wav", *said)).read_bytes())

    async with shop(tmp_path / "calls") as url, webkit(*_MICROPHONE) as page:
        await page.open(url)
        await page.value(_SPEAKS, spoken.decode())
        await page.click("#call")
        await page.wait_until("state.textContent.startsWith('The bot hung up')", 60)
        words = await page.value("document.querySelector('#talk').innerText")

    assert "small cappuccino" in words
    assert "cappuccino will be ready in ten minutes. Goodbye!" in words


async def test_whoever_has_no_microphone_hears_and_presses_keys(tmp_path):
    async with shop(tmp_path / "calls") as url, webkit() as page:
        await page.open(url)
        await page.click("#call")
        await page.wait_until("!trouble.hidden")
        trouble = await page.value("trouble.innerText")
        await page.click("#trouble button:nth-of-type(2)")
        await page.wait_until("talk.innerText.includes('get you?')")
        await page.click("#keys")
        await page.click("#keypad button")
        await page.wait_until("talk.innerText.includes('key 1')")

    assert "There is no microphone" in trouble
