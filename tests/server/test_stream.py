import asyncio

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.server.site import FORM, TOKEN, Open, Site
from tests.vendors.faults import bad_day
from twilio_frames.frames import CallEndReason
from twilio_frames.protocol import MAX_MESSAGE
from twilio_frames.server.calls.records import CallRecord, StreamPhase
from twilio_frames.signature import sign
from twilio_frames.transport import TwilioParams

CLOSED = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)


async def test_bot_gets_call(site: Site):
    await site.start(await site.parameters() | {"order": "7"})
    await site.bot.arrived.wait()

    call = site.bot.calls[0]
    assert (call.call_sid, call.stream_sid, call.account_sid) == ("CA1", "MZ1", "AC1")
    assert (call.from_number, call.to_number) == ("+14155550101", "+14155550100")
    assert call.direction == "inbound"
    assert call.parameters["order"] == "7"
    assert "token" not in call.parameters
    assert call.end_reason is None


async def test_hang_up_closes_stream(site: Site):
    websocket = await site.start(await site.parameters())
    await site.bot.arrived.wait()
    site.bot.leave.set()

    assert (await websocket.receive()).type in CLOSED
    assert site.bot.calls[0].end_reason is CallEndReason.BOT_HUNG_UP
    assert [v.tag for v in await site.ask("/after-stream")] == ["Hangup"]


@bad_day(
    "bot",
    "the bot raises",
    "An apology; then the line is closed.",
)
async def test_failed_bot_is_apologised_for(site: Site, log_lines: list[str]):
    site.bot.error = RuntimeError("the caller's pin is 1234, from +14155550100")
    websocket = await site.start(await site.parameters())
    site.bot.leave.set()

    assert (await websocket.receive()).type in CLOSED
    assert [v.tag for v in await site.ask("/after-stream")] == ["Say", "Hangup"]
    logged = "".join(log_lines)
    assert "the bot failed: RuntimeError" in logged
    assert "site.py" in logged
    assert "1234" not in logged
    assert "1415555" not in logged


@pytest.mark.parametrize("position", [0, 13, 26])
async def test_upgrade_signature_one_off_is_403(site: Site, position: int):
    right = sign(TOKEN, site.url("/stream").replace("http", "ws"))
    wrong = right[:position] + ("B" if right[position] == "A" else "A") + right[position + 1 :]

    with pytest.raises(WSServerHandshakeError) as caught:
        await site.connect(signature=wrong)

    assert caught.value.status == 403
    assert site.bot.calls == []


async def test_upgrade_without_signature_is_403(site: Site):
    with pytest.raises(WSServerHandshakeError) as caught:
        await site.client.ws_connect("/stream")

    assert caught.value.status == 403


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_upgrade_spellings_pass(site: Site, scheme: str, slash: str):
    url = site.url("/stream").replace("http", scheme) + slash
    websocket = await site.connect(signature=sign(TOKEN, url))

    await websocket.close()


async def test_plain_get_is_426(open_site: Open):
    site = await open_site(auth_token=None)

    assert (await site.client.get("/stream")).status == 426


async def settled(site: Site, call_sid: str) -> CallRecord:
    record = site.state.records.get(call_sid)
    assert record is not None
    await record.settled.wait()
    return record


async def refused(site: Site, parameters: dict[str, str], call_sid: str = "CA1") -> None:
    websocket = await site.start(parameters, call_sid)
    message = await websocket.receive()

    assert message.type is WSMsgType.CLOSE
    assert message.data == 1008


async def test_missing_token_closes_stream(site: Site):
    await site.parameters()
    await refused(site, {})

    assert site.bot.calls == []


async def test_made_up_token_closes_stream(site: Site):
    await site.parameters()
    for token in ("", "x", "é", "a" * 43):
        await refused(site, {"token": token})

    assert site.bot.calls == []


async def test_used_token_closes_stream(site: Site):
    parameters = await site.parameters()
    await site.start(parameters)
    await site.bot.arrived.wait()

    await refused(site, parameters)

    assert len(site.bot.calls) == 1
    assert len(site.state.switchboard) == 1


async def test_token_of_other_call_closes_stream(site: Site):
    parameters = await site.parameters()
    await site.parameters(FORM | {"CallSid": "CA2"})

    await refused(site, parameters, "CA2")

    assert site.bot.calls == []


async def test_refused_stream_keeps_token(site: Site):
    parameters = await site.parameters()
    await refused(site, {"token": "x"})
    await site.start(parameters)

    await site.bot.arrived.wait()


async def test_silent_stream_is_closed(open_site: Open):
    site = await open_site(transport=TwilioParams(start_timeout_secs=0.05))
    websocket = await site.connect()

    assert (await websocket.receive()).type in CLOSED
    assert site.bot.calls == []


async def test_garbage_stream_is_closed(open_site: Open):
    site = await open_site(transport=TwilioParams(start_timeout_secs=0.05))
    websocket = await site.connect()
    for text in ("", "null", "[]", "{", '{"event": "start"}', '{"event": 7}'):
        await websocket.send_str(text)
    await websocket.send_bytes(b"\x00")

    assert (await websocket.receive()).type in CLOSED
    assert site.bot.calls == []


async def test_two_calls_at_once(site: Site):
    await site.start(await site.parameters())
    other = FORM | {"CallSid": "CA2"}
    await site.start(await site.parameters(other), "CA2")
    while len(site.bot.calls) < 2:
        site.bot.arrived.clear()
        await site.bot.arrived.wait()

    assert {call.call_sid for call in site.bot.calls} == {"CA1", "CA2"}
    assert (await (await site.client.get("/healthz")).json())["calls"] == 2


async def test_failing_call_hurts_no_other(site: Site):
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    site.bot.arrived.clear()
    healthy = site.bot.leave
    site.bot.leave = asyncio.Event()
    site.bot.leave.set()
    site.bot.error = RuntimeError()
    second = await site.start(await site.parameters(FORM | {"CallSid": "CA2"}), "CA2")

    assert (await second.receive()).type in CLOSED
    await settled(site, "CA2")
    assert not healthy.is_set()
    assert site.bot.calls[0].end_reason is None


async def test_draining_takes_no_stream(site: Site):
    site.state.switchboard.draining = True

    with pytest.raises(WSServerHandshakeError) as caught:
        await site.connect()

    assert caught.value.status == 503


async def test_after_stream_waits_for_bot(site: Site):
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    asking = asyncio.create_task(site.ask("/after-stream"))
    site.bot.leave.set()

    assert [v.tag for v in await asking] == ["Hangup"]
    assert (await settled(site, "CA1")).phase is StreamPhase.ENDED


@bad_day(
    "server",
    "a second process behind the same number",
    "The call ends; the log says to run one process.",
)
async def test_stream_of_another_process_is_told_of(open_site: Open, log_lines: list[str]):
    first, second = await open_site(), await open_site()
    websocket = await second.start(await first.parameters())

    assert (await websocket.receive(10)).type.name != "TEXT"
    (line,) = [line for line in log_lines if "refused" in line]
    assert "whose webhook was answered by another process" in line
    assert "run one process" in line


async def test_longest_message_that_is_read_ends_no_call(site: Site):
    websocket = await site.start(await site.parameters())
    await site.bot.arrived.wait()
    call = site.bot.calls[0]
    await websocket.send_str("x" * (MAX_MESSAGE - 1))
    await websocket.send_json({"event": "stop", "streamSid": "MZ1"})
    async with asyncio.timeout(10):
        await call.line_ended()

    assert call.end_reason is CallEndReason.CALLER_HUNG_UP
    assert call.transport.violations == {"not_json": 1}
