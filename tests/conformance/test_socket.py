"""The WebSocket: how it is opened, and how it ends."""

import socket

import pytest
from twilio.request_validator import RequestValidator

from tests.conformance.facts import MESSAGES, OVERVIEW, SECURITY, STREAM, error, fact
from tests.conformance.site import CONNECT_STREAM, TOKEN, Site, close_socket
from tests.testing.bots import TinyBot
from twilio_frames.errors import CallFailedError
from twilio_frames.testing import CallEnd, Signing, SimulatedTwilio


@fact("Twilio opens the WebSocket, and takes HTTP 101 for an answer.", STREAM)
async def test_twilio_is_the_client(site: Site):
    async with site.ring() as (bot, _):
        await bot.wait_for("start")
        assert bot.requests[0].headers["Upgrade"] == "websocket"


@fact("Any other HTTP status is error 31920, and a `stream-error`.", error(31920))
async def test_other_status_than_101_is_31920(site: Site):
    with pytest.raises(CallFailedError, match="31920"):
        async with site.ring('<Connect><Stream url="/gone"/></Connect>'):
            pass


@fact("`wss` is the only scheme; any other is error 31922.", error(31922))
async def test_other_scheme_is_31922(site: Site):
    with pytest.raises(CallFailedError, match="31922"):
        async with site.ring('<Connect><Stream url="https://example.com/"/></Connect>'):
            pass


@fact("A malformed URL is error 31923.", error(31923))
async def test_malformed_url_is_31923(site: Site):
    with pytest.raises(CallFailedError, match="31923"):
        async with site.ring('<Connect><Stream url="wss://"/></Connect>'):
            pass


@fact("A port where nobody listens is error 31902.", error(31902))
async def test_refused_connection_is_31902(site: Site):
    with pytest.raises(CallFailedError, match="31902"):
        async with site.ring('<Connect><Stream url="ws://127.0.0.1:1/"/></Connect>'):
            pass


@fact("A server without TLS where TLS is due is error 31910.", error(31910))
async def test_missing_tls_is_31910(site: Site):
    with pytest.raises(CallFailedError, match="31910"):
        async with site.ring(f'<Connect><Stream url="wss://{site.host}/stream"/></Connect>'):
            pass


@fact("A host that cannot be found is error 31904.", error(31904))
async def test_unknown_host_is_31904(site: Site):
    with pytest.raises(CallFailedError, match="31904"):
        async with site.ring('<Connect><Stream url="wss://no-such-host.invalid/"/></Connect>'):
            pass


@fact("A server that does not answer the upgrade is error 31901.", error(31901))
async def test_unanswered_upgrade_is_31901(site: Site, monkeypatch):
    monkeypatch.setattr("twilio_frames.testing.calls.connection.HANDSHAKE_SECS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(CallFailedError, match="31901"):
            async with site.ring(f'<Connect><Stream url="ws://127.0.0.1:{port}/"/></Connect>'):
                pass


@fact("The query string of a stream's URL is not supported: it is lost.", STREAM)
async def test_query_string_is_lost(site: Site):
    async with site.ring('<Connect><Stream url="/stream?token=1"/></Connect>') as (bot, _):
        await bot.wait_for("start")
        assert bot.requests[0].query_string == ""


@fact("The upgrade is signed, in the header `x-twilio-signature`, over the `wss` URL.", OVERVIEW)
async def test_upgrade_is_signed(site: Site):
    async with site.ring() as (bot, _):
        await bot.wait_for("start")
        request = bot.requests[0]
    signature = RequestValidator(TOKEN).compute_signature(f"wss://{site.host}/stream", {})
    assert request.headers["x-twilio-signature"] == signature
    assert any(name == b"x-twilio-signature" for name, _ in request.raw_headers)


@fact("It may be signed with a slash behind the path.", SECURITY)
async def test_upgrade_may_be_signed_with_a_slash(site: Site):
    signing = Signing(auth_token=TOKEN, with_slash=True)
    async with site.ring(twilio=SimulatedTwilio(auth_token=TOKEN, signing=signing)) as (bot, _):
        await bot.wait_for("start")
        signature = RequestValidator(TOKEN).compute_signature(f"wss://{site.host}/stream/", {})
        assert bot.requests[0].headers["x-twilio-signature"] == signature


@fact("It may be signed without the port.", SECURITY)
async def test_upgrade_may_be_signed_without_port(site: Site):
    signing = Signing(auth_token=TOKEN, with_port=False)
    async with site.ring(twilio=SimulatedTwilio(auth_token=TOKEN, signing=signing)) as (bot, _):
        await bot.wait_for("start")
        signature = RequestValidator(TOKEN).compute_signature("wss://127.0.0.1/stream", {})
        assert bot.requests[0].headers["x-twilio-signature"] == signature


@fact("Messages are text; no Origin, subprotocol or extension is offered.", MESSAGES)
async def test_upgrade_offers_nothing(site: Site):
    async with site.ring() as (bot, _):
        await bot.wait_for("start")
        headers = bot.requests[0].headers
    assert {"Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"}.isdisjoint(headers)


@fact("One stream is one WebSocket: after a drop Twilio does not dial again.", OVERVIEW)
async def test_lost_stream_is_not_opened_again(site: Site):
    async with site.ring(bot=TinyBot(_abort)) as (bot, caller):
        assert await caller.wait_for_end(seconds=5) is CallEnd.LINE_LOST
        assert len(bot.requests) == 1


@fact("A connection lost without a closing handshake is error 31903.", error(31903))
async def test_lost_connection_is_31903(site: Site):
    async with site.ring(bot=TinyBot(_abort)) as (_, caller):
        await caller.wait_for_end(seconds=5)
    assert [alert.code for alert in caller.result.alerts] == [31903]


@fact("A server that closes the socket is error 31921, also where it means to.", error(31921))
async def test_closing_is_31921(site: Site):
    async with site.ring(bot=TinyBot(close_socket)) as (_, caller):
        await caller.wait_for_end(seconds=5)
        listed = [(alert.code, alert.call_sid) for alert in site.twilio.alerts]
    assert listed == [(31921, caller.call_sid)]
    assert caller.result.alerts == ()


@fact("A server that reads too slowly loses the caller's audio: warning 31930.", error(31930))
async def test_slow_reader_is_31930(site: Site, monkeypatch):
    monkeypatch.setattr("twilio_frames.testing.stream.MediaStream.most_unsent", 0)
    async with site.ring() as (_, caller):
        await caller.wait(0.3)
    (alert,) = caller.result.alerts
    assert (alert.code, alert.is_error) == (31930, False)


@fact("`<Parameter>`s arrive in `start`, name and value below 500 characters together.", STREAM)
async def test_parameters_are_limited(site: Site):
    fits, exceeds = ("v" * 498, "v" * 499)
    document = CONNECT_STREAM.replace("/></", f'><Parameter name="n" value="{fits}"/></Stream></')
    async with site.ring(document) as (bot, _):
        (start,) = await bot.wait_for("start")
    assert start["start"]["customParameters"] == {"n": fits}
    with pytest.raises(CallFailedError, match="500 characters"):
        async with site.ring(document.replace(fits, exceeds)):
            pass


@fact("A two-way stream has the track `inbound_track` only; another is error 31941.", error(31941))
async def test_other_track_is_31941(site: Site):
    with pytest.raises(CallFailedError, match="31941"):
        async with site.ring('<Connect><Stream url="/stream" track="both_tracks"/></Connect>'):
            pass


async def _abort(bot: TinyBot) -> None:
    transport = bot.requests[0].transport
    assert transport is not None
    transport.abort()
