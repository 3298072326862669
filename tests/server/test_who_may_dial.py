"""Who may have a server place calls, where to, and what nobody gets to read of them."""

from typing import Any

import pytest

from tests.server.dialing_rig import KEY, TO, FakeApi, account, dial
from tests.server.site import FORM, TOKEN, Open, Site
from tests.vendors.faults import bad_day


@pytest.fixture
async def site(open_site: Open, api: FakeApi) -> Site:
    return await open_site(**account(api))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "https://10.0.0.1/x", "http://db.internal/", "https://[::1]/"]
)
async def test_own_network_is_not_told(open_site: Open, url: str):
    public = {"public_url": "https://bot.example.com", "dial_key": KEY}
    site = await open_site(account_sid="AC1", phone_number="+14155550199", **public)
    json = {"to": TO, "key": KEY, "status_callback": url}
    answer = await site.client.post("/call", json=json)

    assert answer.status == 400
    assert "at a public address" in (await answer.json())["error"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example.com"}, {"X-Real-IP": "1.2.3.4"}]
)
async def test_stranger_ends_no_call(site: Site, headers: dict[str, str]):
    await site.post("/status", FORM)

    assert (await site.client.delete("/calls/CA1", headers=headers)).status == 403


async def test_stranger_lists_no_calls(site: Site):
    assert (await site.client.get("/calls", headers={"X-Real-IP": "1.2.3.4"})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_other_origin_is_403(site: Site, api: FakeApi, headers: dict[str, str]):
    assert (await dial(site, **headers)).status == 403
    assert api.forms == []


async def test_own_page_places_call(site: Site):
    own = {"Origin": site.url("/").rstrip("/"), "Sec-Fetch-Site": "same-origin"}

    assert (await dial(site, **own)).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"CF-Connecting-IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Host": "bot.example.com"},
        {"Host": "[bad"},
    ],
)
async def test_elsewhere_needs_key(
    open_site: Open, api: FakeApi, site: Site, headers: dict[str, str]
):
    keyed = await open_site(**account(api, dial_key=KEY))

    assert (await dial(site, **headers)).status == 403
    assert (await dial(keyed, **headers)).status == 401
    assert (await dial(keyed, Authorization=f"Bearer {KEY}x", **headers)).status == 401
    assert (await keyed.client.get("/calls/CA1", headers=headers)).status == 401
    assert api.forms == []


@pytest.mark.parametrize("public", [{"public_url": "https://b.example.com"}, {"trust_proxies": 1}])
async def test_public_server_needs_key(open_site: Open, api: FakeApi, public: dict[str, Any]):
    site = await open_site(**account(api, **public))
    key = site.state.dial_key

    assert key is not None
    assert len(key) >= 32
    assert (await dial(site)).status == 401
    assert (await dial(site, Authorization=f"Bearer {key}")).status == 201
    assert (await site.client.post("/call", data={"to": TO, "key": key})).status == 201


async def test_log_holds_no_numbers(site: Site, api: FakeApi, log_lines: list[str]):
    api.refusal = 400, {"code": 21211, "message": f"{TO} is not valid"}
    await dial(site)

    assert "1415555" not in "".join(log_lines)
    assert TOKEN not in "".join(log_lines)


ELSEWHERE = ["+442079460958", "+8613800000000", "+18765550100", "+18095550100", "+12425550100"]


COSTLY = ["+19005550100", "+88213000000", "+881612345678", "+870773000000", "+97912345678"]


@bad_day(
    "server",
    "dialling abroad, premium rate, satellites",
    "Nothing: 403, unless the settings name them.",
)
@pytest.mark.parametrize("to", ELSEWHERE + COSTLY)
async def test_only_the_own_country_is_called(
    site: Site, api: FakeApi, to: str, log_lines: list[str]
):
    answer = await dial(site, to)

    assert answer.status == 403
    assert "TWILIO_FRAMES_DIAL_PREFIXES" in (await answer.json())["error"]
    assert api.forms == []
    assert to[1:] not in "".join(log_lines)


async def test_named_prefixes_are_called(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, dial_prefixes=("+44", "+1900")))

    assert (await dial(site, "+442079460958")).status == 201
    assert (await dial(site, "+19005550100")).status == 201
    assert (await dial(site, "+447012345678")).status == 403
    assert (await dial(site, TO)).status == 403


@bad_day(
    "server",
    "the dial key is guessed",
    "Nothing: 401, then 429.",
)
async def test_wrong_keys_are_slowed(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, dial_key=KEY))
    elsewhere = {"Host": "bot.example.com"}
    answers = [
        await dial(site, Authorization=f"Bearer guess {number}", **elsewhere)
        for number in range(12)
    ]

    assert [answer.status for answer in answers] == [401] * 5 + [429] * 7
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await dial(site, Authorization=f"Bearer {KEY}", **elsewhere)).status == 429
    assert api.forms == []


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "192.168.1.5", "bot.local", "[fd00::1]"])
async def test_address_of_the_own_network_is_503(open_site: Open, host: str):
    site = await open_site(
        account_sid="AC1", phone_number="+14155550199", public_url=f"http://{host}"
    )
    key = site.state.dial_key

    assert (await dial(site, Authorization=f"Bearer {key}")).status == 503


async def test_log_holds_no_parameters(site: Site, api: FakeApi, log_lines: list[str]):
    url = site.url("/twiml?name=Jane")
    api.refusal = 400, {"code": 21205, "message": f"Url is not a valid URL: {url}"}
    answer = await site.client.post("/call", json={"to": TO, "parameters": {"name": "Jane"}})

    assert "Jane" not in (await answer.json())["error"]
    assert "Jane" not in "".join(log_lines)
