"""``GET /metrics``: who gets it, and what a server counts beside its calls' own figures."""

import re
from typing import Any

import pytest

from tests.metrics.counted import Counted
from tests.server.dialing_rig import KEY
from tests.server.site import FORM, Open, RecordingBot, Site
from tests.waiting import time_passes
from twilio_frames import metrics
from twilio_frames.errors import MissingExtraError
from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.metrics import METRICS
from twilio_frames.processors.fallback import vendor_health
from twilio_frames.processors.fallback.vendor_health import VendorList
from twilio_frames.server import FleetSettings, ServerSettings, state
from twilio_frames.server import metrics as served

ELSEWHERE = {"X-Real-IP": "1.2.3.4"}


async def test_this_machine_reads_all_metrics(site: Site):
    answer = await site.client.get("/metrics")
    text = await answer.text()

    assert answer.content_type == "text/plain"
    told = set(re.findall(r"^# TYPE (twilio_frames_\w+) ", text, re.M))
    assert {metric.full_name for metric in METRICS} <= told


async def test_strangers_read_none_without_the_key(open_site: Open):
    site = await open_site(dial_key=KEY)

    assert (await site.client.get("/metrics", headers=ELSEWHERE)).status == 401
    keyed = ELSEWHERE | {"Authorization": f"Bearer {KEY}"}
    assert (await site.client.get("/metrics", headers=keyed)).status == 200


async def test_public_server_wants_the_key_of_this_machine_too(open_site: Open):
    site = await open_site(public_url="https://bot.example.com")

    assert (await site.client.get("/metrics")).status == 401


@pytest.mark.parametrize(
    ("is_available", "told"), [(True, "metrics=True"), (False, "pip install '.[metrics]'")]
)
async def test_without_metrics_it_is_said_why(
    open_site: Open, monkeypatch: pytest.MonkeyPatch, is_available: bool, told: str
):
    monkeypatch.setattr(served, "is_available", lambda: is_available)
    answer = await (await open_site(metrics=False)).client.get("/metrics")

    assert answer.status == 404
    assert told in (await answer.json())["error"]


@pytest.mark.parametrize("wanted", [{"TWILIO_FRAMES_METRICS": "1"}, {}], ids=["asked for", "not"])
def test_metrics_that_are_asked_for_and_cannot_be_are_an_error(
    wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(state, "is_available", lambda: False)
    settings = ServerSettings.from_environment(wanted)
    if wanted:
        with pytest.raises(MissingExtraError, match=re.escape("pip install '.[metrics]'")):
            state.make_state(RecordingBot(), settings)
    else:
        assert not state.make_state(RecordingBot(), settings).metrics.is_on


async def test_a_server_shows_how_it_stands(open_site: Open):
    site = await open_site(max_calls=7)
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    await time_passes(1.5)
    text = await (await site.client.get("/metrics")).text()
    site.bot.leave.set()

    assert "\ntwilio_frames_calls_up 1.0\n" in text
    assert "\ntwilio_frames_calls_most 7.0\n" in text
    assert re.search(r'^twilio_frames_workers\{version="[\d.]+"\} 1.0$', text, re.M)


async def test_what_is_refused_is_counted_by_kind(site: Site):
    counted = Counted()
    await site.post("/twiml", signature="forged")
    await site.post("/twiml", signature="forged")

    kind = "a signature of Twilio's missing or wrong"
    assert counted.of(metrics.REFUSALS, kind=kind) == 2


@pytest.mark.parametrize(
    ("when_full", "changes", "got"),
    [
        ("busy", {}, "busy"),
        ("busy", {"CallStatus": "in-progress"}, "line"),
        ("say", {}, "line"),
        ("queue", {}, "queue"),
        ("https://other.example.com/twiml", {}, "elsewhere"),
    ],
)
async def test_whoever_finds_no_line_is_counted(
    open_site: Open, when_full: str, changes: dict[str, Any], got: str
):
    site = await open_site(fleet=FleetSettings(when_full=when_full), max_calls=1)
    await site.ask()
    counted = Counted()
    await site.ask("/twiml", FORM | {"CallSid": "CA2"} | changes)

    assert counted.of(metrics.TURNED_AWAY, got=got) == 1


@pytest.mark.parametrize("outcome", ["taken", "given up"])
async def test_a_wait_for_a_line_is_measured(open_site: Open, outcome: str):
    fleet = FleetSettings(when_full="queue", queue_secs=8)
    site = await open_site(fleet=fleet, max_calls=1 if outcome == "given up" else 2)
    await site.ask()
    counted = Counted()
    await site.ask("/twiml?twilio-frames-waited=8", FORM | {"CallSid": "CA2"})

    assert counted.of(metrics.QUEUE, "_sum", outcome=outcome) == 8


async def test_vendors_are_followed(open_site: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vendor_health, "VENDORS", VendorList())
    await open_site()
    counted = Counted()
    vendor = vendor_health.VENDORS.of(VendorRole.STT, "deepgram")
    vendor.succeeded(0.3)
    vendor.succeeded()
    vendor.failed(FailureKind.LATE)

    named = {"role": "stt", "vendor": "deepgram"}
    assert counted.of(metrics.SUCCESSES, **named) == 2
    assert counted.of(metrics.FIRST_BYTE, "_sum", **named) == pytest.approx(0.3)
    assert counted.of(metrics.FAILURES, failure="late", **named) == 1


async def test_no_label_holds_what_comes_from_a_caller(site: Site):
    form = FORM | {"CallSid": "CAsecret", "From": "+14155550177"}
    await site.start(await site.parameters(form), "CAsecret")
    await site.bot.arrived.wait()
    await site.post("/nowhere/4155550177", form)
    site.bot.leave.set()
    text = await (await site.client.get("/metrics")).text()

    assert "4155550177" not in text
    assert "CAsecret" not in text
