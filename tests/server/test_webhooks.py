import pytest

from tests.server.site import FORM, TOKEN, Open, Site
from tests.vendors.faults import bad_day
from twilio_frames.answering import MachineVerdict
from twilio_frames.signature import SIGNATURE_HEADER, sign


async def test_twiml_connects_stream(site: Site):
    connect, hangup = await site.ask()

    stream = connect[0]
    told = {p.attrib["name"]: p.attrib["value"] for p in stream}
    assert stream.attrib == {
        "url": site.url("/stream").replace("http", "ws"),
        "statusCallback": site.url("/status"),
    }
    assert connect.get("action") == site.url("/after-stream")
    assert hangup.tag == "Hangup"
    assert {name: told[name] for name in ("from", "to", "direction")} == {
        "from": "+14155550101",
        "to": "+14155550100",
        "direction": "inbound",
    }
    assert len(told["token"]) >= 32


async def test_public_url_stands_in_twiml(open_site: Open):
    site = await open_site(public_url="https://bot.example.com/a/")
    signature = sign(TOKEN, "https://bot.example.com/a/twiml", FORM)

    answer = await site.client.post("/twiml", data=FORM, headers={SIGNATURE_HEADER: signature})

    assert answer.status == 200
    written = await answer.text()
    assert 'url="wss://bot.example.com/a/stream"' in written
    assert 'statusCallback="https://bot.example.com/a/status"' in written


async def test_trusted_proxy_names_url(open_site: Open):
    site = await open_site(trust_proxies=True)
    signature = sign(TOKEN, "https://bot.example.com/twiml", FORM)
    headers = {
        SIGNATURE_HEADER: signature,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "bot.example.com",
    }

    answer = await site.client.post("/twiml", data=FORM, headers=headers)

    assert 'url="wss://bot.example.com/stream"' in await answer.text()


async def test_untrusted_proxy_names_nothing(site: Site):
    signature = sign(TOKEN, "https://bot.example.com/twiml", FORM)
    headers = {
        SIGNATURE_HEADER: signature,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "bot.example.com",
    }

    assert (await site.client.post("/twiml", data=FORM, headers=headers)).status == 403


async def test_query_becomes_parameters(site: Site):
    stream = (await site.ask("/twiml?order=7&from=x&token=y"))[0][0]

    told = {p.attrib["name"]: p.attrib["value"] for p in stream}
    assert told["order"] == "7"
    assert told["from"] == "+14155550101"
    assert told["token"] != "y"


async def test_undeliverable_parameter_is_left_out(site: Site):
    told = await site.parameters(FORM | {"From": "sip:" + "a" * 600})

    assert set(told) == {"to", "direction", "token"}


@bad_day(
    "server",
    "somebody else asks the webhook",
    "Nothing: 403.",
)
@pytest.mark.parametrize("path", ["/twiml", "/after-stream", "/status", "/amd"])
@pytest.mark.parametrize("position", [0, 13, 26])
async def test_signature_one_off_is_403(site: Site, path: str, position: int):
    right = sign(TOKEN, site.url(path), FORM)
    wrong = right[:position] + ("B" if right[position] == "A" else "A") + right[position + 1 :]

    answer = await site.post(path, signature=wrong)

    assert answer.status == 403
    assert await site.state.fleet.reserved() == 0


@pytest.mark.parametrize("path", ["/twiml", "/after-stream", "/status", "/amd"])
async def test_missing_signature_is_403(site: Site, path: str):
    assert (await site.client.post(path, data=FORM)).status == 403


@pytest.mark.parametrize("is_early", [True, False])
async def test_verdict_of_machine_detection_gets_to_the_call(site: Site, is_early: bool):
    verdict = FORM | {"AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "3100"}
    parameters = await site.parameters()
    if is_early:
        assert (await site.post("/amd", verdict)).status == 204
    socket = await site.start(parameters)
    await site.bot.arrived.wait()
    if not is_early:
        assert (await site.post("/amd", verdict)).status == 204
        assert (await site.post("/amd", verdict | {"AnsweredBy": "human"})).status == 204

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.verdict is MachineVerdict.MACHINE_END_BEEP
    assert site.bot.calls[0].answers.verdict is MachineVerdict.MACHINE_END_BEEP
    await socket.close()


async def test_verdict_that_is_waited_for_comes_with_the_twiml(site: Site):
    await site.parameters(FORM | {"AnsweredBy": "human"})

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.verdict is MachineVerdict.HUMAN


async def test_verdict_that_nobody_knows_is_left_out(site: Site):
    assert (await site.post("/amd", FORM | {"AnsweredBy": "robot"})).status == 204

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.verdict is None


async def test_repeated_field_is_signed(site: Site):
    pairs = [*FORM.items(), ("MediaUrl", "b"), ("MediaUrl", "a")]
    headers = {SIGNATURE_HEADER: sign(TOKEN, site.url("/twiml"), pairs)}

    assert (await site.client.post("/twiml", data=pairs, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/twiml"), ("DELETE", "/status"), ("POST", "/stream"), ("GET", "/call")],
)
async def test_other_methods_are_405(site: Site, method: str, path: str):
    assert (await site.client.request(method, path)).status == 405


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "text/plain", 415),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 600, "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 403),
        (b"%zz=%ff&&==", "application/x-www-form-urlencoded", 403),
    ],
)
async def test_bad_bodies_are_4xx(site: Site, body: bytes, content_type: str, status: int):
    answer = await site.client.post("/twiml", data=body, headers={"Content-Type": content_type})

    assert answer.status == status


@pytest.mark.parametrize("sid", ["", "CA 1", "CA\n1", "C" * 65])
async def test_bad_call_sid_is_400(site: Site, sid: str):
    for path in ("/twiml", "/after-stream", "/status"):
        assert (await site.post(path, FORM | {"CallSid": sid})).status == 400


@bad_day(
    "server",
    "more callers than lines",
    "Busy; whoever was called hears it said.",
)
async def test_full_house_rejects_callers(open_site: Open):
    site = await open_site(max_calls=1)
    await site.ask()

    inbound = await site.ask(form=FORM | {"CallSid": "CA2"})
    outbound = await site.ask(form=FORM | {"CallSid": "CA3", "Direction": "outbound-api"})

    assert [(v.tag, v.attrib) for v in inbound] == [("Reject", {"reason": "busy"})]
    assert [v.tag for v in outbound] == ["Say", "Hangup"]


async def test_draining_rejects_callers(site: Site):
    site.state.switchboard.draining = True

    assert (await site.ask())[0].tag == "Reject"


@bad_day(
    "line",
    "the stream is lost, and the call is not",
    "An apology.",
)
async def test_lost_stream_gets_apology(site: Site):
    await site.ask()

    verbs = await site.ask("/after-stream")

    assert [v.tag for v in verbs] == ["Say", "Hangup"]
    assert verbs[0].text == site.state.settings.apology


async def test_unknown_call_is_hung_up(site: Site):
    assert [v.tag for v in await site.ask("/after-stream")] == ["Hangup"]


async def test_no_apology_ends_in_silence(open_site: Open):
    site = await open_site(apology=None)

    connect, hangup = await site.ask()

    assert hangup.tag == "Hangup"
    # A detour needs it all the same.
    assert "action" in connect.attrib
    assert [verb.tag for verb in await site.ask("/after-stream")] == ["Hangup"]


async def test_status_follows_sequence(site: Site):
    for status, number in [("ringing", 1), ("initiated", 0), ("in-progress", 2), ("ringing", 1)]:
        answer = await site.post(
            "/status", FORM | {"CallStatus": status, "SequenceNumber": str(number)}
        )
        assert answer.status == 204

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.status == "in-progress"


async def test_final_status_stays(site: Site):
    await site.post("/status", FORM | {"CallStatus": "completed", "SequenceNumber": "3"})
    await site.post("/status", FORM | {"CallStatus": "in-progress", "SequenceNumber": "9"})

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.status == "completed"


async def test_stream_events_count_once(site: Site):
    form = {"CallSid": "CA1", "StreamSid": "MZ1", "Timestamp": "2024-11-29T00:09:39.602648368Z"}
    for event in ("stream-started", "stream-started", "stream-error", "stream-stopped"):
        await site.post(
            "/status", form | {"StreamEvent": event, "StreamError": "31921 +14155550100"}
        )

    record = site.state.records.get("CA1")
    assert record is not None
    assert record.stream_events == ("stream-started", "stream-error", "stream-stopped")


@pytest.mark.parametrize("number", ["-1", "x", "²", "9" * 30])
async def test_odd_sequence_is_no_error(site: Site, number: str):
    form = FORM | {"CallStatus": "ringing", "SequenceNumber": number}

    assert (await site.post("/status", form)).status == 204


async def test_log_holds_no_numbers(site: Site, log_lines: list[str]):
    await site.ask()
    await site.post("/status", FORM | {"CallStatus": "ringing"})
    await site.post(
        "/status", FORM | {"StreamEvent": "stream-error", "StreamError": "+14155550100"}
    )
    await site.post("/twiml", signature="x")

    logged = "".join(log_lines)
    assert "CA1" in logged
    assert "1415555" not in logged
    assert TOKEN not in logged


@bad_day(
    "server",
    "callers hang up before their stream begins",
    "Nothing: their lines are free at once.",
)
@pytest.mark.parametrize("final", ["completed", "busy", "failed", "no-answer", "canceled"])
async def test_call_that_is_over_holds_no_line(open_site: Open, final: str):
    site = await open_site(max_calls=1)
    await site.ask()
    assert await site.state.is_full()

    await site.post("/status", {"CallSid": "CA1", "CallStatus": final, "SequenceNumber": "3"})

    assert not await site.state.is_full()
    assert site.state.records.open("CA1").phase == "none"
    assert (await site.ask("/twiml", FORM | {"CallSid": "CA2"}))[0].tag == "Connect"


async def test_call_that_is_over_gets_no_stream(site: Site):
    await site.post("/status", {"CallSid": "CA1", "CallStatus": "completed"})

    assert [verb.tag for verb in await site.ask()] == ["Hangup"]
    assert await site.state.fleet.reserved() == 0


async def test_call_that_rings_keeps_its_line(site: Site):
    await site.ask()
    await site.post("/status", {"CallSid": "CA1", "CallStatus": "in-progress"})

    assert await site.state.fleet.reserved() == 1


async def test_stream_that_never_came_holds_no_line(site: Site):
    await site.ask()
    await site.ask("/after-stream", FORM)

    assert await site.state.fleet.reserved() == 0


async def test_nothing_stays_ready_for_a_call_that_is_over(open_site: Open):
    async def prepare(coming: object) -> None:
        return None

    site = await open_site(prepare=prepare)
    await site.ask()
    await site.post("/status", {"CallSid": "CA1", "CallStatus": "completed"})

    assert len(site.state.preparations) == 0
