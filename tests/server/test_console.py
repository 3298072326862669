"""The console: what its pages are made of, and what they are told."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.javascript import needs_node, run_module
from tests.server.dialing_rig import KEY, TO, FakeApi, account, dial
from tests.server.site import FORM, Open, Site
from twilio_frames.frames import CallEndReason
from twilio_frames.rest import CallOptions
from twilio_frames.server.calls.records import CallRecords, StreamPhase

ELSEWHERE = {"X-Real-IP": "1.2.3.4"}
PAGES = [("/", "console"), ("/console", "console")]


async def news(site: Site, since: str = "", **headers: str) -> dict[str, Any]:
    answer = await site.client.get("/console/news", params={"since": since}, headers=headers)
    assert answer.status == 200, await answer.text()
    return await answer.json()


@pytest.mark.parametrize(("page", "folder"), PAGES)
async def test_page_asks_nobody_but_its_server(site: Site, page: str, folder: str):
    answer = await site.client.get(page)
    text = await answer.text()

    assert answer.content_type == "text/html"
    assert "{{" not in text
    assert not re.search(r"https?://(?!example\.com/)", text)
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", text), (
        "the policy lets none of it be"
    )
    found, left = set[str](), re.findall(rf'(?:src|href)="{folder}/([^"]+)"', text)
    while left:
        part = left.pop()
        got = await site.client.get(f"/{folder}/{part}")
        assert (got.status, got.content_type in ("text/css", "text/javascript")) == (200, True)
        found.add(part)
        left += {*re.findall(r'(?:from|import) "\./([^"]+)"', await got.text())} - found


async def test_nothing_else_is_given_out(site: Site):
    for name in ("console.html", "dial.html", "..%2Fapp.py", "none.js"):
        assert (await site.client.get(f"/console/{name}")).status == 404
    assert (await site.client.post("/console")).status in (404, 405)


@pytest.mark.parametrize("page", ["/", "/console"])
async def test_page_has_all_options_of_a_call(site: Site, page: str):
    text = await (await site.client.get(page)).text()

    assert {*re.findall(r' id="(\w+)"', text)} >= {each.name for each in fields(CallOptions)}


async def test_page_knows_the_account(open_site: Open):
    without = await (await (await open_site()).client.get("/")).text()
    site = await open_site(account_sid="AC1", phone_number="+14155550199")
    having = await (await site.client.get("/")).text()

    assert 'data-can-dial="false"' in without
    assert 'data-can-dial="true"' in having
    assert "1415555" not in having


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/console/news"),
        ("GET", "/console/history"),
        ("POST", "/console/number"),
        ("GET", "/calls/CA1/report"),
        ("POST", "/calls/CA1/report"),
    ],
)
async def test_stranger_learns_nothing(open_site: Open, tmp_path: Path, method: str, path: str):
    site = await open_site(dial_key=KEY, call_logs=tmp_path)
    refused = await site.client.request(method, path, headers=ELSEWHERE, json={"number": "1"})

    assert refused.status == 401
    assert (await site.client.get("/console", headers=ELSEWHERE)).status == 200


async def test_call_is_told_when_it_has_changed_and_only_then(site: Site):
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    first = await news(site)
    (call,) = first["calls"]
    again = await news(site, first["since"])
    await site.post("/status", FORM | {"CallStatus": "in-progress"})
    third = await news(site, again["since"])
    site.bot.leave.set()
    await site.bot.calls[0].line_ended()
    await site.state.switchboard.drain(10)
    last = await news(site, third["since"])

    assert (call["state"], call["from"], call["to"]) == ("up", FORM["From"], FORM["To"])
    assert call["direction"] == "inbound"
    assert call["worker"] in first["workers"]
    assert again["calls"] == []
    assert [one["status"] for one in third["calls"]] == ["in-progress"]
    assert [one["state"] for one in last["calls"]] == ["over"]
    assert last["calls"][0]["ended_at"] >= call["began_at"]
    assert last["campaigns"] == []


@pytest.mark.parametrize("since", ["", "nonsense", "else:7", "x:99999999999999999999"])
async def test_whoever_knows_nothing_of_this_server_is_told_all(site: Site, since: str):
    await site.post("/status", FORM | {"CallStatus": "ringing"})

    assert [one["call_sid"] for one in (await news(site, since))["calls"]] == ["CA1"]


async def test_call_that_is_placed_has_its_number(open_site: Open, api: FakeApi):
    site = await open_site(**account(api))
    await dial(site)
    (call,) = (await news(site))["calls"]

    assert (call["state"], call["to"], call["from"]) == ("coming", TO, "+14155550199")
    assert call["direction"] == "outbound-api"


def test_one_change_of_many_calls_is_told_alone():
    records = CallRecords()
    for n in range(1000):
        records.open(f"CA{n}").phase = StreamPhase.UP
    _, seen = records.changes(0, 0.0)
    records.open("CA7").end_reason = CallEndReason.LINE_LOST
    records.open("CA7").phase = StreamPhase.FAILED
    changed, revision = records.changes(seen, 0.0)

    assert [one["call_sid"] for one in changed] == ["CA7"]
    assert records.changes(revision, 0.0) == ([], revision)
    assert len(records.changes(revision + 1, 0.0)[0]) == 1000, "of another process: all is new"


def test_call_that_never_comes_is_over_after_a_while():
    records = CallRecords()
    began = records.open("CA1").began_at

    states = [records.changes(0, began + after)[0][0]["state"] for after in (1, 890, 910)]
    assert states == ["coming", "coming", "over"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("+1 (415) 555-0100", ("+14155550100", "US", True)),
        ("415 555 0100", ("+14155550100", "US", True)),
        ("+442079460958", ("+442079460958", "GB", False)),
        ("+1900", ("+1900", None, False)),
        ("the moon", (None, None, None)),
        ("", (None, None, None)),
    ],
)
async def test_number_is_known_while_it_is_written(
    open_site: Open, api: FakeApi, text: str, told: tuple[str | None, str | None, bool | None]
):
    site = await open_site(**account(api))
    answer = await (await site.client.post("/console/number", json={"number": text})).json()

    assert (answer["number"], answer.get("country"), answer.get("may_be_called")) == told


@pytest.mark.parametrize("body", ["", "[]", '{"number": 5}', '{"number": "' + "1" * 41 + '"}'])
async def test_what_is_no_number_at_all_is_400(site: Site, body: str):
    assert (await site.client.post("/console/number", data=body)).status == 400


def write_log(folder: Path, sid: str, *, began: str, ends: bool = True) -> None:
    header = {"t": 0.0, "kind": "log", "format": "twilio-frames call log", "version": 1}
    lines = [header | {"began": f"2026-11-30T{began}:00.000+00:00", "words": False}]
    lines += [{"t": 0.1, "kind": "call", "call_sid": sid, "stream_sid": "MZ1"}]
    if ends:
        lines += [{"t": 61.0, "kind": "ended", "reason": "caller hung up"}]
        lines += [{"t": 61.1, "kind": "closed", "line_ended": 61.0, "dropped": 0}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{sid}-MZ1.jsonl").write_text(text)


async def test_past_calls_are_those_of_the_log_folder(open_site: Open, tmp_path: Path):
    write_log(tmp_path, "CA1", began="10:00")
    write_log(tmp_path, "CA2", began="11:00")
    write_log(tmp_path, "CA3", began="12:00", ends=False)
    (tmp_path / "CA4-MZ1.jsonl").write_text("no log\n")
    (tmp_path / "CA5-MZ1.jsonl").write_bytes(b"\xff\x00")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "CA6-MZ1.jsonl").symlink_to(tmp_path / "CA1-MZ1.jsonl")
    site = await open_site(call_logs=tmp_path)
    calls = (await (await site.client.get("/console/history")).json())["calls"]

    assert [call["call_sid"] for call in calls] == ["CA2", "CA1"]
    assert calls[0]["end_reason"] == "caller hung up"
    assert calls[0]["ended_at"] - calls[0]["began_at"] == pytest.approx(61.0)


@pytest.mark.parametrize("folder", [None, Path("/nowhere/at/all")])
async def test_without_logs_there_is_no_history(open_site: Open, folder: Path | None):
    site = await open_site(call_logs=folder)

    assert (await (await site.client.get("/console/history")).json())["calls"] == []
    refused = await site.client.get("/calls/CA1/report")
    assert refused.status == 404
    assert ("TWILIO_FRAMES_CALL_LOGS" in (await refused.json())["error"]) is (folder is None)


async def test_report_is_shown_in_an_origin_of_its_own(open_site: Open, tmp_path: Path):
    write_log(tmp_path, "CA1", began="10:00")
    site = await open_site(call_logs=tmp_path)
    told = await (await site.client.post("/calls/CA1/report")).json()
    answer = await site.client.get(f"/{told['address']}")

    assert told["address"] == "calls/CA1/report", "this machine needs no ticket"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox allow-scripts;")
    assert "<h2" in await answer.text()
    for sid in ("CA2", "CA", "..", "CA1-MZ1"):
        assert (await site.client.get(f"/calls/{sid}/report")).status == 404


async def test_browser_opens_a_report_by_a_ticket(open_site: Open, tmp_path: Path):
    for sid in ("CA1", "CA2"):
        write_log(tmp_path, sid, began="10:00")
    site = await open_site(call_logs=tmp_path, dial_key=KEY)
    shown = ELSEWHERE | {"Authorization": f"Bearer {KEY}"}
    told = await (await site.client.post("/calls/CA1/report", headers=shown)).json()
    address = f"/{told['address']}"
    until, seal = address.partition("=")[2].split(".")
    later = str(int(until) + 1000)

    for _ in range(2):
        assert (await site.client.get(address, headers=ELSEWHERE)).status == 200
    evil = shown | {"Origin": "https://evil.example.com"}
    assert (await site.client.post("/calls/CA1/report", headers=evil)).status == 403
    wrong = (
        address.replace("CA1", "CA2"),
        address.replace(until, later),
        address.replace(until, "1"),
        address.replace(until, "x"),
        address.replace(seal, ""),
        address + "0",
        "/calls/CA1/report?ticket=",
        "/calls/CA1/report?ticket=ü.ü",
    )
    told = [(await site.client.get(one, headers=ELSEWHERE)).status for one in wrong]
    assert told == [401] * 5 + [429] * 3, "whoever guesses is to wait"


@needs_node
def test_page_keeps_what_it_is_told():
    code = """
        const book = new its.CallBook();
        const call = (sid, state, worker, more = {}) =>
            ({ call_sid: sid, state, worker, began_at: 1, from: "+14155550101", ...more });
        const take = (since, workers, ...calls) =>
            book.take({ since, calls, workers: Object.fromEntries(workers.map((it) => [it, 1])) });
        const first = [call("CA1", "up", "a"), call("CA2", "up", "b"), call("CA3", "coming", "a")];
        take("a:1 b:1", ["a", "b"], ...first);
        book.add([call("CA1", "over"), { call_sid: "CA9", state: "over", began_at: 0 }]);
        const moved = take("", ["a", "b"], call("CA1", "up", "b"), call("CA1", "over", "a"));
        const before = [book.count("up"), book.calls.get("CA1").worker];
        const lost = call("CA3", "over", "a", { end_reason: "line lost" });
        const { changed, gone } = take("a:3", ["a"], lost);
        const one = book.calls.get("CA3");
        const found = ["ca3", "415 line", "(415)", "4155550101", "+1-415", "ca4", "", "0102"]
            .map((text) => its.matches(one, text));
        return {
            before, moved: moved.changed.length, changed: changed.length, gone, found,
            since: book.since, past: book.past().map((each) => each.call_sid),
            state: its.stateOf(one), name: its.nameOf(one),
        };
    """
    assert run_module("calls.js", code) == {
        "before": [2, "b"],
        "moved": 1,
        "changed": 1,
        "gone": ["CA1", "CA2"],
        "since": "a:3",
        "past": ["CA3", "CA9"],
        "state": "line lost",
        "name": "+14155550101",
        "found": [True, True, True, True, True, False, True, False],
    }
