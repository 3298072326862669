from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer

from tests.server.site import FORM, TOKEN, Open, Site
from twilio_frames.server.dialing import normalise_number

KEY = "k" * 20
TO = "+14155550100"


@dataclass
class FakeApi:
    """Takes calls, or refuses them for a reason."""

    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)
    refusal: tuple[int, dict[str, object]] | None = None

    async def create(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        return web.json_response({"sid": "CA7", "status": "queued"}, status=201)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/AC1/Calls.json", fake.create)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake


def account(api: FakeApi, **more: Any) -> dict[str, Any]:
    return {"account_sid": "AC1", "phone_number": "+14155550199", "api_url": api.url, **more}


@pytest.fixture
async def site(open_site: Open, api: FakeApi) -> Site:
    return await open_site(**account(api))


async def dial(site: Site, to: object = TO, **headers: str) -> ClientResponse:
    return await site.client.post("/call", json={"to": to}, headers=headers)


async def test_call_is_placed(site: Site, api: FakeApi):
    answer = await dial(site)

    assert answer.status == 201
    assert await answer.json() == {"call_sid": "CA7"}
    form = api.forms[0]
    assert (form["To"], form["From"]) == (TO, "+14155550199")
    assert form["Url"] == site.url("/twiml")
    assert form["StatusCallback"] == site.url("/status")


async def test_form_places_call(site: Site, api: FakeApi):
    answer = await site.client.post("/call", data={"to": "+1 (415) 555-0100"})

    assert answer.status == 201
    assert api.forms[0]["To"] == TO


async def test_parameters_reach_the_bot(site: Site, api: FakeApi):
    await site.client.post("/call", json={"to": TO, "parameters": {"order": "7 & 8"}})
    path = api.forms[0]["Url"].removeprefix(site.url("/")).join(("/", ""))

    stream = (await site.ask(path))[0][0]
    assert {p.get("name"): p.get("value") for p in stream}["order"] == "7 & 8"


async def test_status_is_followed(site: Site):
    await dial(site)
    await site.post("/status", FORM | {"CallSid": "CA7", "CallStatus": "ringing"})

    assert await (await site.client.get("/calls/CA7")).json() == {
        "call_sid": "CA7",
        "status": "ringing",
        "stream": "none",
        "end_reason": None,
    }


async def test_unknown_call_is_404(site: Site):
    assert (await site.client.get("/calls/CA9")).status == 404


@pytest.mark.parametrize(
    ("refused", "status"), [(400, 400), (403, 403), (401, 502), (404, 404), (500, 502)]
)
async def test_refusal_is_passed_on(site: Site, api: FakeApi, refused: int, status: int):
    api.refusal = refused, {"code": 21215, "message": f"Not to {TO}"}

    answer = await dial(site)

    assert answer.status == status
    assert await answer.json() == {"error": "Not to [number]", "code": 21215, "status": refused}


@pytest.mark.parametrize(
    "to", ["", "4155550100", "+0155550100", "+1415", "+1415555010012345", "+1415a", None, 7, []]
)
async def test_bad_number_is_400(site: Site, api: FakeApi, to: object):
    answer = await dial(site, to)

    assert answer.status == 400
    assert "expected a phone number with its country code" in (await answer.json())["error"]
    assert api.forms == []


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 60_000])
async def test_bad_json_is_400(site: Site, body: bytes):
    headers = {"Content-Type": "application/json"}

    assert (await site.client.post("/call", data=body, headers=headers)).status == 400


@pytest.mark.parametrize(
    "parameters", [[], 7, {"token": "x"}, {"a": 7}, {"a": "x" * 500}, {"": "x"}]
)
async def test_bad_parameters_are_400(site: Site, parameters: object):
    answer = await site.client.post("/call", json={"to": TO, "parameters": parameters})

    assert answer.status == 400


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


async def test_missing_account_is_503(open_site: Open):
    answer = await dial(await open_site())

    assert answer.status == 503
    assert "TWILIO_ACCOUNT_SID" in (await answer.json())["error"]


async def test_unreachable_server_is_503(open_site: Open):
    site = await open_site(account_sid="AC1", phone_number="+14155550199")

    answer = await dial(site)

    assert answer.status == 503
    assert "TWILIO_FRAMES_PUBLIC_URL" in (await answer.json())["error"]


async def test_full_house_places_no_call(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, max_calls=1))
    await site.ask()

    assert (await dial(site)).status == 503
    assert api.forms == []


async def test_log_holds_no_numbers(site: Site, api: FakeApi, log_lines: list[str]):
    api.refusal = 400, {"code": 21211, "message": f"{TO} is not valid"}
    await dial(site)

    assert "1415555" not in "".join(log_lines)
    assert TOKEN not in "".join(log_lines)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155550100", "+14155550100"),
        (" +1 (415) 555-0100 ", "+14155550100"),
        ("+44 20\u20117946\u00a00958", "+442079460958"),
        ("+1415555010\u0660", None),
        ("tel:+14155550100", None),
    ],
)
def test_number_is_normalised(text: str, number: str | None):
    assert normalise_number(text) == number
