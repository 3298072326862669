"""Calls are placed, followed, told of and ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.server.dialing_rig import TO, FakeApi, account, dial
from tests.server.site import FORM, TOKEN, Open, Site
from tests.vendors.faults import bad_day
from twilio_frames.signature import SIGNATURE_HEADER, sign


@pytest.fixture
async def site(open_site: Open, api: FakeApi) -> Site:
    return await open_site(**account(api))


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


async def test_options_are_asked_of_twilio(site: Site, api: FakeApi):
    options = {
        "caller_id": "+1 415 555 0177",
        "ring_secs": 25,
        "time_limit": "600",
        "machine_detection": "Enable",
        "detection_secs": 12,
        "async_detection": True,
        "record": "dual",
        "record_callback": "https://files.example.com/recorded",
    }
    answer = await site.client.post("/call", json={"to": TO, **options})

    assert answer.status == 201, await answer.text()
    form = api.forms[0]
    assert form["From"] == "+14155550177"
    assert (form["Timeout"], form["TimeLimit"]) == ("25", "600")
    assert (form["MachineDetection"], form["MachineDetectionTimeout"]) == ("Enable", "12")
    assert (form["AsyncAmd"], form["AsyncAmdStatusCallback"]) == ("true", site.url("/amd"))
    assert (form["Record"], form["RecordingChannels"]) == ("true", "dual")
    assert form["RecordingStatusCallback"] == "https://files.example.com/recorded"
    assert form["StatusCallback"] == site.url("/status")


@dataclass
class Told:
    """Somebody else who is told of calls: their statuses, and whether that was signed."""

    url: str = ""
    statuses: list[tuple[str, bool]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        assert set(form) == set(FORM) | {"Zip"}
        signature = sign(TOKEN, str(request.url), form)
        self.statuses.append((form["CallStatus"], request.headers[SIGNATURE_HEADER] == signature))
        return web.Response(status=204)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told, app = Told(), web.Application()
    app.router.add_post("/told", told.take)
    async with TestServer(app) as server:
        told.url = str(server.make_url("/told?customer=7"))
        yield told


async def post_status(site: Site, api: FakeApi, *statuses: str) -> None:
    path = api.forms[-1]["StatusCallback"].removeprefix(site.url("/")).join(("/", ""))
    for status in statuses:
        form = FORM | {"CallSid": "CA7", "CallStatus": status}
        assert (await site.post(path, form | {"Zip": ""})).status == 204


async def test_who_placed_a_call_is_told_how_it_goes(site: Site, api: FakeApi, told: Told):
    events = ["answered", "completed"]
    json = {"to": TO, "status_callback": told.url, "status_events": events}
    assert (await site.client.post("/call", json=json)).status == 201
    await post_status(site, api, "initiated", "ringing", "in-progress", "completed")
    await site.state.relay.close()

    assert sorted(told.statuses) == [("completed", True), ("in-progress", True)]
    assert (await (await site.client.get("/calls/CA7")).json())["status"] == "completed"


async def test_who_does_not_answer_is_no_harm(site: Site, api: FakeApi, log_lines: list[str]):
    json = {"to": TO, "status_callback": "http://127.0.0.1:9/told?secret=7"}
    assert (await site.client.post("/call", json=json)).status == 201
    await post_status(site, api, "completed")
    await site.state.relay.close()

    assert [line for line in log_lines if "was not passed on" in line]
    assert "secret" not in "".join(log_lines)


async def test_form_has_the_same_options(site: Site, api: FakeApi):
    data = {"to": TO, "ring_secs": "25", "machine_detection": "DetectMessageEnd"}
    answer = await site.client.post("/call", data=data)

    assert answer.status == 201, await answer.text()
    assert (api.forms[0]["Timeout"], api.forms[0]["MachineDetection"]) == ("25", "DetectMessageEnd")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ring_secs": 0}, "ring_secs from 1 to 600"),
        ({"ring_secs": True}, "ring_secs"),
        ({"ring_secs": "soon"}, "ring_secs"),
        ({"time_limit": 100_000}, "time_limit"),
        ({"machine_detection": "yes"}, "Enable or DetectMessageEnd"),
        ({"machine_detection": []}, "Enable or DetectMessageEnd"),
        ({"detection_secs": 12}, "expected machine_detection with detection_secs"),
        ({"async_detection": True}, "expected machine_detection with async_detection"),
        ({"machine_detection": "Enable", "async_detection": "maybe"}, "true or false"),
        (
            {"machine_detection": "Enable", "detection_callback": "https://a.example.com"},
            "expected async_detection with detection_callback",
        ),
        ({"record": True}, "mono or dual"),
        ({"record_callback": "https://a.example.com"}, "expected record with record_callback"),
        ({"record": "mono", "record_callback": "/recorded"}, "a URL such as"),
        ({"record": "mono", "record_callback": "http://[bad"}, "a URL such as"),
        ({"caller_id": "4155550100"}, "caller_id with its country code"),
        ({"caller_id": 7}, "caller_id"),
        ({"status_events": ["completed"]}, "expected status_callback with status_events"),
        ({"status_callback": "/status"}, "a URL such as"),
        ({"ring_seconds": 20}, "expected options out of async_detection"),
    ],
)
async def test_option_that_cannot_work_is_400(
    site: Site, api: FakeApi, options: dict[str, Any], reason: str
):
    answer = await site.client.post("/call", json={"to": TO, **options})

    assert answer.status == 400
    assert reason in (await answer.json())["error"]
    assert api.forms == []


async def test_status_is_followed(site: Site):
    await dial(site)
    await site.post("/status", FORM | {"CallSid": "CA7", "CallStatus": "ringing"})

    told = await (await site.client.get("/calls/CA7")).json()
    assert told.pop("began_at") == pytest.approx(time.time(), abs=5)
    assert told == {"call_sid": "CA7", "status": "ringing", "stream": "none", "end_reason": None}


async def test_unknown_call_is_404(site: Site):
    assert (await site.client.get("/calls/CA9")).status == 404
    assert (await site.client.delete("/calls/CA9")).status == 404


async def test_calls_are_listed_the_newest_first(site: Site):
    for sid in ("CA7", "CA8"):
        await site.post("/status", FORM | {"CallSid": sid, "CallStatus": "ringing"})

    listed = (await (await site.client.get("/calls")).json())["calls"]
    assert [call["call_sid"] for call in listed] == ["CA8", "CA7"]


async def test_call_is_ended_without_an_account(open_site: Open):
    site = await open_site()
    await site.start(await site.parameters())
    await site.bot.arrived.wait()

    assert (await site.client.delete("/calls/CA1")).status == 200
    await site.bot.calls[0].line_ended()


async def test_call_that_only_rings_takes_an_account_to_end(open_site: Open):
    site = await open_site()
    await site.post("/status", FORM)

    answer = await site.client.delete("/calls/CA1")
    assert answer.status == 503
    assert "TWILIO_ACCOUNT_SID" in (await answer.json())["error"]


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


@bad_day(
    "server",
    "a storm of dialling",
    "Nothing: as many calls are placed as there are lines.",
)
async def test_lines_that_are_being_dialled_count(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, max_calls=2))
    answers = await asyncio.gather(*(dial(site) for _ in range(20)))

    assert sorted(answer.status for answer in answers) == [201] * 2 + [503] * 18
    assert len(api.forms) == 2


async def test_placed_call_keeps_its_line(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, max_calls=1))
    await dial(site)
    placed = {"CallSid": "CA7", "Direction": "outbound-api"}

    assert (await site.ask(form=FORM | {"CallSid": "CA8"}))[0].tag == "Reject"
    assert (await site.ask(form=FORM | placed))[0].tag == "Connect"
    assert (await dial(site)).status == 503


async def test_call_that_is_asked_for_before_twilio_names_it_is_answered(
    open_site: Open, api: FakeApi
):
    site = await open_site(**account(api, max_calls=1))
    api.meanwhile = lambda: site.ask(form=FORM | {"CallSid": "CA7", "Direction": "outbound-api"})

    assert (await dial(site)).status == 201
    assert api.answered[0][0].tag == "Connect"
    assert len(site.state.outgoing) == 0
    assert await site.state.fleet.reserved() == 1


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "completed"])
async def test_call_that_is_over_gives_its_line_back(open_site: Open, api: FakeApi, status: str):
    site = await open_site(**account(api, max_calls=1))
    await dial(site)
    await site.post("/status", FORM | {"CallSid": "CA7", "CallStatus": "ringing"})
    assert (await dial(site)).status == 503
    await site.post("/status", FORM | {"CallSid": "CA7", "CallStatus": status})

    assert len(site.state.outgoing) == 0
    assert (await dial(site)).status == 201


async def test_refused_call_holds_no_line(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, max_calls=1))
    api.refusal = 400, {"code": 21211, "message": "no"}
    await dial(site)
    api.refusal = None

    assert (await dial(site)).status == 201


@bad_day(
    "server",
    "more calls to place than a minute may have",
    "Nothing: 429 (`dials_per_minute`).",
)
async def test_calls_in_a_minute_are_bounded(open_site: Open, api: FakeApi):
    site = await open_site(**account(api, dials_per_minute=3))
    answers = [await dial(site) for _ in range(4)]

    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert "TWILIO_FRAMES_DIALS_PER_MINUTE" in (await answers[-1].json())["error"]
    assert len(api.forms) == 3


@pytest.mark.parametrize("value", ["\U0001f600" * 490, "&" * 490])
async def test_parameters_too_long_for_a_webhook_are_400(site: Site, api: FakeApi, value: str):
    answer = await site.client.post(
        "/call", json={"to": TO, "parameters": {"a": value, "b": value, "c": value}}
    )

    assert answer.status == 400
    assert "look" in (await answer.json())["error"]
    assert api.forms == []
