import re

import pytest
from aiohttp.test_utils import make_mocked_request

from tests.server.site import FORM, Open, Site
from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.hosts import is_this_machine
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.server.addresses import is_same_origin, websocket_url
from twilio_frames.server.refusals import Refusals


async def test_healthz_counts_calls(site: Site):
    quiet = await (await site.client.get("/healthz")).json()
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    busy = await (await site.client.get("/healthz")).json()

    assert (quiet["status"], quiet["calls"], busy["calls"]) == ("ok", 0, 1)
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", quiet["version"])


async def test_healthz_shows_vendors_on_this_machine_alone(site: Site):
    VENDORS.of(VendorRole.TTS, "a voice").failed(FailureKind.LATE)
    here = await (await site.client.get("/healthz")).json()
    there = await (await site.client.get("/healthz", headers={"Host": "bot.example.com"})).json()

    shown = next(vendor for vendor in here["vendors"] if vendor["vendor"] == "a voice")
    assert (shown["role"], shown["state"], shown["last_failure"]) == ("tts", "down", "late")
    assert "vendors" not in there


async def test_a_server_that_is_to_stop_is_healthy_and_not_ready(site: Site):
    assert (await site.client.get("/readyz")).status == 200
    site.state.switchboard.draining = True
    ready = await site.client.get("/readyz")
    healthy = await site.client.get("/healthz")

    assert (ready.status, healthy.status) == (503, 200)
    assert (await ready.json())["status"] == (await healthy.json())["status"] == "draining"


async def test_unknown_path_is_404(site: Site):
    assert (await site.client.get("/nothing")).status == 404


@pytest.mark.parametrize(
    "headers",
    [{"Host": "bot.example.com"}, {"X-Forwarded-For": "127.0.0.1"}, {"Via": "1.1 proxy"}],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/stream"])
async def test_without_token_strangers_stay_out(
    open_site: Open, headers: dict[str, str], path: str
):
    site = await open_site(auth_token=None)

    answer = await site.client.get(path, headers=headers)

    assert answer.status == 403
    assert "TWILIO_AUTH_TOKEN" in (await answer.json())["error"]


async def test_without_token_this_machine_is_served(open_site: Open):
    site = await open_site(auth_token=None)

    assert (await site.client.post("/twiml", data=FORM)).status == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("bot.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("::ffff:192.168.1.5", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_loopback_is_recognised(host: str, loopback: bool):
    assert is_this_machine(host) is loopback


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8000"}, True),
        ({"Origin": "https://bot.example.com"}, True),
        ({"Origin": "https://bot.example.com.evil.example.com"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_own_origin_is_recognised(headers: dict[str, str], own: bool):
    request = make_mocked_request("POST", "/call", headers={"Host": "127.0.0.1:8000", **headers})

    assert is_same_origin(request, "https://bot.example.com") is own


def test_websocket_url_keeps_security():
    assert websocket_url("https://h/s") == "wss://h/s"
    assert websocket_url("http://h/s") == "ws://h/s"


def test_refusals_are_logged_sparsely(log_lines: list[str]):
    refusals = Refusals()
    for _ in range(1234):
        refusals.note("a kind", "advice")

    assert [re.findall(r"\((\d+) so far", line)[0] for line in log_lines] == [
        "1",
        "10",
        "100",
        "1000",
    ]
