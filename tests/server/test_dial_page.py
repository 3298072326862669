"""The page from which one has the bot call, in a real browser."""

from pathlib import Path

import pytest

from tests.chromium import browser, needs_chromium
from twilio_frames.call import Call
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import SimulatedTwilio

pytestmark = [pytest.mark.truth, pytest.mark.real_time, needs_chromium]


async def wait(call: Call) -> None:
    await call.line_ended()


async def test_call_is_placed_with_options_and_can_be_listened_to(tmp_path: Path):
    async with SimulatedTwilio() as twilio:
        settings = ServerSettings(
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            api_url=twilio.rest_url,
            phone_number="+14155550199",
            warm=False,
        )
        async with Server(create_app(wait, settings)) as server, browser(tmp_path) as page:
            await page.open(f"{server.url}/")
            write = "to.value = '{}'; to.dispatchEvent(new Event('input')); 0"
            await page.value(write.format("0044 20"))
            await page.wait_until(
                "document.getElementById('to-hint').innerText.includes('00: +4420')"
            )
            await page.value(write.format("+14155550123"))
            await page.value("ring_secs.value = '700'")
            await page.click("#button")
            await page.wait_until("document.activeElement.id === 'ring_secs'")
            assert "1 to 600" in await page.text()
            await page.value("ring_secs.value = '20'")
            await page.click("#button")
            async with (await twilio.wait_for_call()).answer() as caller:
                await page.wait_until("result.innerText.includes('You are talking to the bot')")
                await page.click("#detail a")
                await page.wait_until("document.querySelectorAll('#calls button').length === 1")
                assert caller.call_sid.endswith(
                    (await page.value("document.querySelector('#calls button').dataset.sid"))[-8:]
                )

    assert [each for each in page.complaints if "400" not in each] == []
