"""Several servers that carry calls together, in one process."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from aiohttp import WSCloseCode, WSServerHandshakeError
from pipecat.frames.frames import Frame

from tests.server.fleet_of_sites import Broken, Fleet, carriers, far_of, path_of, token_of, up
from tests.server.site import FORM, Open, Site
from tests.server.test_console import write_log
from tests.waiting import time_passes, until
from twilio_frames.answering import MachineVerdict
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Lease, StreamKind
from twilio_frames.frames import CallEndReason, RecordingFrame
from twilio_frames.server import FleetSettings
from twilio_frames.server.calls.records import StreamPhase
from twilio_frames.server.fleet.leading import Note, streams_ended
from twilio_frames.server.fleet.winding_down import wind_down
from twilio_frames.server.webhooks.callbacks import take_note
from twilio_frames.server.webhooks.connecting import GOES_ON


async def test_a_call_goes_to_the_worker_that_has_fewer(open_fleet: Fleet):
    sites = await open_fleet()
    first, other = carriers(sites, await sites[0].ask())
    # Its slot is reserved from the TwiML on, and the others know it a lease's renewal later.
    await time_passes(1.5)
    second, _ = carriers(sites, await first.ask("/twiml", FORM | {"CallSid": "CA2"}))
    assert second is other


async def test_a_stream_that_comes_to_another_worker_is_handed_to_the_one_it_names(
    open_fleet: Fleet,
):
    sites = await open_fleet()
    twiml = await sites[0].ask()
    named, other = carriers(sites, twiml)
    websocket = await other.start(token_of(twiml), path=path_of(twiml))
    await named.bot.arrived.wait()
    assert not other.bot.calls
    assert len(named.state.switchboard) == 1
    named.bot.leave.set()
    assert (await websocket.receive()).type.name in ("CLOSE", "CLOSED", "TEXT")
    await until(lambda: not len(named.state.switchboard))


async def test_a_stream_without_a_name_is_taken_where_it_comes(open_fleet: Fleet):
    sites = await open_fleet()
    twiml = await sites[0].ask()
    named, other = carriers(sites, twiml)
    await other.start(token_of(twiml))
    await other.bot.arrived.wait()
    assert not named.bot.calls
    # Its token is used up for all of them.
    again = await named.start(token_of(twiml))
    assert (await again.receive()).type.name == "CLOSE"


async def test_a_new_call_whose_worker_is_gone_is_taken_by_another(open_fleet: Fleet):
    sites = await open_fleet()
    twiml = await sites[0].ask()
    named, other = carriers(sites, twiml)
    await named.client.close()
    await other.start(token_of(twiml), path=path_of(twiml))
    await other.bot.arrived.wait()


async def test_callbacks_come_to_the_owner_wherever_they_arrive(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    await other.post("/amd", {"CallSid": "CA1", "AnsweredBy": "human"})
    await other.post("/status", {"CallSid": "CA1", "CallStatus": "in-progress"})
    record = owner.state.records.get("CA1")
    assert record is not None
    assert (record.verdict, record.status) == (MachineVerdict.HUMAN, "in-progress")
    assert other.state.records.get("CA1") is None


async def test_whoever_asks_about_a_call_may_ask_any_worker(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    shown = await (await other.client.get("/calls/CA1")).json()
    assert shown == await (await owner.client.get("/calls/CA1")).json()
    assert (await other.client.get("/calls/CA2")).status == 404
    named = {"Host": "bot.example.com"}
    assert (await other.client.get("/calls/CA1", headers=named)).status == 403
    async with other.client.ws_connect("/calls/CA1/listen") as listening:
        assert (await listening.receive()).type.name == "TEXT"
    # What is left of it at one that had it before is not what counts.
    other.state.records.open("CA1").phase = StreamPhase.FAILED
    for site in sites:
        assert (await (await site.client.get("/calls")).json())["calls"] == [shown]


async def test_console_of_any_worker_shows_all_calls_and_logs(open_fleet: Fleet, tmp_path: Path):
    sites = await open_fleet()
    owner, other = await up(sites)
    told = await (await other.client.get("/console/news")).json()
    again = await (await owner.client.get("/console/news", params={"since": told["since"]})).json()

    assert {*told["workers"]} == {site.state.fleet.name for site in sites}
    assert [call["call_sid"] for call in told["calls"]] == ["CA1"]
    assert told["calls"][0]["worker"] == owner.state.fleet.name
    assert again["calls"] == []
    assert (await other.client.get("/calls/CA1/report")).status == 404
    write_log(tmp_path, "CA1", began="10:00")
    owner.state.settings = replace(owner.state.settings, call_logs=tmp_path)
    listed = await (await other.client.get("/console/history")).json()
    assert [call["call_sid"] for call in listed["calls"]] == ["CA1"]
    told = await (await other.client.post("/calls/CA1/report")).json()
    assert "<h2" in await (await other.client.get(f"/{told['address']}")).text()


async def test_callbacks_of_a_call_without_owner_come_to_the_next_one_in_order_and_once(
    open_fleet: Fleet,
):
    sites = await open_fleet(3)
    owner, other = await up(sites)
    third = next(site for site in sites if site not in (owner, other))
    await time_passes(0.5)
    for site in (other, third):
        site.state.fleet._others.pop(owner.state.fleet.name)  # type: ignore[reportPrivateUsage]
    for site in (other, third, other):
        await site.post("/amd", {"CallSid": "CA1", "AnsweredBy": "human"})
    await third.post("/status", status_of("ringing", 1))
    await other.post("/status", status_of("in-progress", 2))
    twiml = await other.ask("/after-stream", FORM | {"CallStatus": "in-progress"})
    next_one, _ = carriers([other, third], twiml)
    await next_one.start(token_of(twiml), path=path_of(twiml))
    await next_one.bot.arrived.wait()
    record = next_one.state.records.get("CA1")
    assert record is not None
    await until(lambda: record.sequence == 2)
    assert (record.verdict, record.status) == (MachineVerdict.HUMAN, "in-progress")


async def test_an_owner_whom_nobody_found_hears_what_came_meanwhile(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    await time_passes(0.5)
    # Its lease has run out, as where its process stood still; it carries its call all the same.
    other.state.fleet._others.clear()  # type: ignore[reportPrivateUsage]
    await other.post("/amd", {"CallSid": "CA1", "AnsweredBy": "human"})
    await other.post("/status", status_of("in-progress", 2))
    record = owner.state.records.get("CA1")
    assert record is not None
    assert (record.verdict, record.status) == (None, None)
    await time_passes(1.5)
    assert (record.verdict, record.status) == (MachineVerdict.HUMAN, "in-progress")
    assert not (await far_of(owner).register.renew(Lease(name="x"), {"CA1": 1}, 1.0)).notes


def status_of(status: str, number: int) -> dict[str, str]:
    return {"CallSid": "CA1", "CallStatus": status, "SequenceNumber": str(number)}


@pytest.mark.parametrize(
    ("event", "at", "ended_at"),
    [
        ("stream-error", "1970-01-02T00:00:01.250000123Z", 86401.25),
        ("stream-stopped", "1970-01-02T00:00:01Z", 86401.0),
        ("stream-started", "1970-01-02T00:00:01Z", None),
        ("stream-error", "yesterday", None),
    ],
)
def test_when_a_stream_ended_its_callback_tells(event: str, at: str, ended_at: float | None):
    form = [("StreamSid", "MZ1"), ("StreamEvent", event), ("Timestamp", at)]
    other = Note(name="amd", key="1", form=[("AnsweredBy", "human")])
    notes = [b"none of ours", other.encoded(), Note(name="status", key="2", form=form).encoded()]
    assert streams_ended(notes) == ({"MZ1": ended_at} if ended_at else {})


async def test_a_callback_that_comes_twice_is_told_once(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    told: list[Frame] = []

    async def tell(frame: Frame) -> None:
        told.append(frame)

    owner.bot.calls[0].tell = tell
    for site in (owner, other, other):
        await site.post("/recording", {"CallSid": "CA1", "RecordingStatus": "in-progress"})
    await other.post("/recording", {"CallSid": "CA1", "RecordingStatus": "completed"})
    # What was kept for a call whose owner was not found comes behind it.
    late = Note(name="recording", form=[("RecordingStatus", "in-progress")], key="late")
    await take_note(owner.state, "CA1", late.encoded())
    assert [frame.status for frame in told if isinstance(frame, RecordingFrame)] == [
        "in-progress",
        "completed",
    ]


async def test_where_one_is_full_another_takes_the_call_and_then_all_are(open_fleet: Fleet):
    sites = await open_fleet(max_calls=1)
    taken = {
        carriers(sites, await sites[0].ask("/twiml", FORM | {"CallSid": sid}))[0].state.fleet.name
        for sid in ("CA1", "CA2")
    }
    assert len(taken) == 2
    answer = await sites[0].ask("/twiml", FORM | {"CallSid": "CA3"})
    assert answer[0].tag == "Reject"


@pytest.mark.parametrize(
    ("when_full", "tags"),
    [
        ("busy", ["Reject"]),
        ("say", ["Say", "Hangup"]),
        ("https://other.example.com/twiml", ["Redirect"]),
        ("queue", ["Say", "Pause", "Redirect"]),
    ],
)
async def test_what_a_caller_gets_when_all_are_full(
    open_site: Open, when_full: str, tags: list[str]
):
    site = await open_site(fleet=FleetSettings(when_full=when_full), max_calls=1)
    await site.ask()
    answer = await site.ask("/twiml?lang=de", FORM | {"CallSid": "CA2"})
    assert [verb.tag for verb in answer] == tags


async def test_a_call_that_waits_is_taken_as_soon_as_there_is_a_line(open_site: Open):
    site = await open_site(fleet=FleetSettings(when_full="queue", queue_secs=8), max_calls=1)
    await site.ask()
    waiting = FORM | {"CallSid": "CA2", "CallStatus": "in-progress"}

    async def ask_again(before: ElementTree.Element) -> ElementTree.Element:
        url = urlsplit(before[-1].text or "")
        return await site.ask(f"{url.path}?{url.query}", waiting)

    first = await site.ask("/twiml?lang=de", FORM | {"CallSid": "CA2"})
    second = await ask_again(first)
    assert [verb.tag for verb in second] == ["Pause", "Redirect"]
    third = await ask_again(second)
    assert [verb.tag for verb in third] == ["Say", "Hangup"]
    await site.post("/status", {"CallSid": "CA1", "CallStatus": "completed"})
    taken = await ask_again(second)
    assert taken[0].tag == "Connect"
    parameters = token_of(taken)
    assert parameters.keys() == {"lang", "from", "to", "direction", "token"}


async def figures(site: Site, **headers: str) -> dict[str, int]:
    answer = await site.client.get("/fleet", headers=headers)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_what_all_workers_have_to_do_is_told_by_any_of_them(open_fleet: Fleet):
    sites = await open_fleet(max_calls=2, when_full="queue")
    for number in range(5):
        await sites[0].ask("/twiml", FORM | {"CallSid": f"CA{number}"})
    await time_passes(1.5)
    told = {"calls": 4, "waiting": 1, "demand": 5, "most_calls": 4, "workers": 2, "draining": 0}
    assert [await figures(site) for site in sites] == [told, told]

    await sites[0].state.switchboard.drain(0.0)
    # Whoever does not ask again waits no more.
    await time_passes(6.0)
    told |= {"waiting": 0, "demand": 4, "most_calls": 2, "draining": 1}
    assert await figures(sites[1]) == told


async def test_one_that_is_alone_tells_of_itself(open_site: Open):
    site = await open_site(max_calls=7)
    told = {"calls": 0, "waiting": 0, "demand": 0, "most_calls": 7, "workers": 1, "draining": 0}
    assert await figures(site) == told


async def test_a_register_that_knows_too_little_is_no_reason_to_take_workers_away(
    open_fleet: Fleet,
):
    sites = await open_fleet()
    await sites[0].ask()
    await time_passes(1.5)
    far = far_of(sites[0])
    shared = far.register
    told = await figures(sites[0])

    async def status() -> int:
        return (await sites[0].client.get("/fleet")).status

    for instead in (Broken(), MemoryRegister()):
        far.register = instead  # type: ignore[assignment]
        assert await status() == 503
        far.register = shared
        # The others may not have told it yet that they live.
        await time_passes(1.5)
        assert await status() == (503 if isinstance(instead, Broken) else 200)
        await time_passes(4.0)
        assert await figures(sites[0]) == told


async def test_how_busy_a_fleet_is_is_not_told_to_strangers(open_site: Open):
    key = "a key of some length"
    site = await open_site(public_url="https://bot.example.com", dial_key=key)

    assert (await site.client.get("/fleet")).status == 401
    assert (await figures(site, Authorization=f"Bearer {key}"))["workers"] == 1


async def test_a_worker_whose_loop_is_late_takes_no_more(open_fleet: Fleet):
    sites = await open_fleet(most_lag_secs=0.2)
    sites[0].state.fleet.lag_secs = 0.5
    taken = carriers(sites, await sites[0].ask("/twiml", FORM | {"CallSid": "CA2"}))[0]
    assert taken is sites[1]
    sites[0].state.fleet.lag_secs = 0.5
    assert await sites[0].state.is_full()


async def test_a_worker_that_drains_leads_new_calls_to_the_others(open_fleet: Fleet):
    sites = await open_fleet()
    await sites[0].state.switchboard.drain(0.0)
    for number in range(4):
        twiml = await sites[0].ask("/twiml", FORM | {"CallSid": f"CA{number}"})
        assert carriers(sites, twiml)[0] is sites[1]


async def test_a_worker_that_is_to_stop_hands_its_calls_over(open_fleet: Fleet):
    sites = await open_fleet(hand_over_secs=3.0)
    owner, other = await up(sites)
    assert await wind_down(owner.state, 3.0) == 0
    assert owner.bot.calls[0].end_reason is CallEndReason.HANDED_OVER
    # Twilio asks whichever it comes to.
    for asked in (other, owner):
        twiml = await asked.ask("/after-stream", FORM | {"CallStatus": "in-progress"})
        assert carriers(sites, twiml)[0] is other
    await other.start({"token": token_of(twiml)["token"]}, path=path_of(twiml))
    await other.bot.arrived.wait()
    resumed = other.bot.calls[0].resumed
    assert resumed is not None
    assert resumed.is_planned
    assert dict(other.bot.calls[0].parameters) == dict(owner.bot.calls[0].parameters)


async def test_the_last_worker_lets_its_calls_end_for_as_long_as_it_may(open_fleet: Fleet):
    (site,) = await open_fleet(1)
    await up([site, site])
    assert await wind_down(site.state, 4.0) == 1
    assert site.bot.calls[0].end_reason is None


async def test_a_call_whose_worker_was_killed_goes_on_at_another(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    owner.bot.calls[0].state["order"] = "tea"
    await time_passes(1.0)
    # As the register and the others see a process that is gone.
    other.state.fleet._others.clear()  # type: ignore[reportPrivateUsage]
    form = FORM | {"CallStatus": "in-progress"}
    twiml = await other.ask(f"/w/{owner.state.fleet.name}/after-stream", form)
    await other.start(token_of(twiml), path=path_of(twiml))
    await other.bot.arrived.wait()
    call = other.bot.calls[0]
    assert dict(call.state) == {"order": "tea"}
    # The one before, should it live, learns that the call is another's.
    await time_passes(2.0)
    assert owner.bot.calls[0].end_reason is CallEndReason.TRANSFERRED
    assert call.end_reason is None


async def test_a_call_that_goes_on_proves_itself_as_it_did_at_first(open_fleet: Fleet):
    sites = await open_fleet()
    first = await sites[0].ask()
    owner, other = carriers(sites, first)
    await owner.start(token_of(first), path=path_of(first))
    await owner.bot.arrived.wait()
    await time_passes(1.0)
    other.state.fleet._others.clear()  # type: ignore[reportPrivateUsage]
    path = f"/w/{owner.state.fleet.name}/after-stream"
    form = FORM | {"CallStatus": "in-progress"}
    # Whoever is not Twilio learns no token, and whoever has one opens nothing.
    assert (await other.post(path, form, signature="wrong")).status == 403
    resumed = await other.ask(path, form)
    own, path = token_of(resumed), path_of(resumed)
    with pytest.raises(WSServerHandshakeError) as refusal:
        await other.connect("wrong", path=path)
    assert refusal.value.status == 403

    for token, call_sid in ((token_of(first), "CA1"), ({}, "CA1"), (own, "CA2")):
        websocket = await other.start(token, call_sid, path=path)
        assert (await websocket.receive(10)).data == WSCloseCode.POLICY_VIOLATION
    assert not other.bot.calls
    await other.start(own, path=path)
    await other.bot.arrived.wait()
    # It is used up, here and elsewhere.
    for site in sites:
        websocket = await site.start(own, path=path)
        assert (await websocket.receive(10)).data == WSCloseCode.POLICY_VIOLATION
    assert [len(site.bot.calls) for site in (owner, other)] == [1, 1]


async def test_a_call_of_which_nothing_is_left_is_not_begun_anew(open_fleet: Fleet):
    (site,) = await open_fleet(1)
    fleet = site.state.fleet
    token = await fleet.issue("CA1", StreamKind.RESUME, "", room=None)
    websocket = await site.start({"token": token or ""}, path=f"/w/{fleet.name}/stream")
    assert (await websocket.receive()).type.name == "CLOSE"
    assert not site.bot.calls


async def test_a_call_that_is_lost_wherever_it_is_taken_is_given_up(open_fleet: Fleet):
    (site,) = await open_fleet(1)
    await up([site, site])
    tags: list[str] = []
    for _ in range(5):
        site.bot.arrived.clear()
        await site.bot.calls[-1].transport.close(CallEndReason.LINE_LOST, "the test")
        site.bot.leave.set()
        twiml = await site.ask("/after-stream", FORM | {"CallStatus": "in-progress"})
        tags.append(twiml[0].tag)
        if tags[-1] != "Connect":
            break
        site.bot.leave.clear()
        await site.start(token_of(twiml), path=path_of(twiml))
        await site.bot.arrived.wait()
    assert tags == ["Connect", "Connect", "Connect", "Say"]


async def test_without_the_register_new_calls_hear_busy_where_that_is_wished(
    open_site: Open, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    register = f"sqlite://{tmp_path}/file/register.db"
    alone = await open_site(fleet=FleetSettings(register=register))
    assert (await alone.ask())[0].tag == "Connect"
    busy = await open_site(fleet=FleetSettings(register=register, without_register="busy"))
    assert (await busy.ask())[0].tag == "Reject"


def test_a_line_that_is_lost_is_a_reason_to_go_on():
    assert CallEndReason.LINE_LOST in GOES_ON
    assert CallEndReason.CALLER_HUNG_UP not in GOES_ON
