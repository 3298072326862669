"""Whoever is refused again and again is slowed down, and Twilio never is."""

import asyncio
from typing import Annotated, Any

import aiohttp
import pytest
from aiohttp import web
from fastapi import Depends, FastAPI
from multidict import CIMultiDict

from tests.server.site import FORM, TOKEN, Open, Site
from tests.vendors.faults import bad_day
from twilio_frames.server import ServerSettings
from twilio_frames.server.addresses import source_of
from twilio_frames.server.guard import AiohttpTwilioGuard, Webhook
from twilio_frames.server.refusals import Strangers
from twilio_frames.server.starlette_guard import TwilioGuard
from twilio_frames.signature import SIGNATURE_HEADER, sign
from twilio_frames.testing.serving import serving
from twilio_frames.transport import TwilioTransport

START = {
    "event": "start",
    "streamSid": "MZ1",
    "start": {"streamSid": "MZ1", "callSid": "CA1", "customParameters": {"token": "wrong"}},
}
FREE = 20
"""Refusals that cost no wait."""


def test_each_address_gets_its_refusals_back_one_by_one():
    now = [0.0]
    strangers = Strangers(most=3, every_secs=10.0, clock=lambda: now[0])
    for _ in range(2):
        strangers.note("a")
    assert strangers.wait_secs("a") == 0
    strangers.note("a")
    assert strangers.wait_secs("a") == 10
    # However many there are, the wait is no longer.
    for _ in range(100):
        strangers.note("a")
    assert (strangers.wait_secs("a"), strangers.wait_secs("b")) == (10, 0)

    now[0] = 10.0
    assert strangers.wait_secs("a") == 0
    strangers.note("a")
    assert strangers.wait_secs("a") == 10
    now[0] = 1000.0
    strangers.note("a")
    assert strangers.wait_secs("a") == 0


def test_whoever_may_come_is_forgiven():
    strangers = Strangers(most=1, every_secs=10.0)
    strangers.note("a")
    assert strangers.wait_secs("a") > 0
    strangers.forgive("a")
    assert strangers.wait_secs("a") == 0


def test_strangers_are_remembered_up_to_a_bound():
    strangers = Strangers(most=1, every_secs=10.0)
    for number in range(5000):
        strangers.note(str(number))

    assert strangers.wait_secs("0") == 0
    assert strangers.wait_secs("4999") > 0
    assert len(strangers._clear_at) == 1000  # type: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("remote", "told", "source"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("2001:db8::1", [], "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", [], "2001:db8::/64"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9:49152"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8::1]:49152"], "2001:db8::/64"),
        # A stranger's own list, and behind it the proxy's, as HAProxy writes it.
        ("127.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["unknown"], "unknown"),
        ("127.0.0.1", ["x" * 1000], "x" * 64),
        ("127.0.0.1", [""], ""),
        (None, [], ""),
    ],
)
def test_a_stranger_is_known_by_the_address(remote: str | None, told: list[str], source: str):
    headers = CIMultiDict([("x-forwarded-for", each) for each in told])

    assert source_of(headers, remote, trust_proxies=True) == source
    if told:
        assert source_of(headers, remote, trust_proxies=False) == remote


async def refused(site: Site, times: int, **headers: str) -> list[int]:
    """Sends webhooks that nobody has signed."""
    return [
        (await site.client.post("/twiml", data=FORM, headers=headers)).status for _ in range(times)
    ]


@bad_day(
    "server",
    "an address sends webhook after webhook that Twilio has not signed",
    "Nothing: 403, then 429; what is signed is answered all the while, from that address as well.",
)
async def test_unsigned_webhooks_are_slowed_and_signed_ones_never(site: Site):
    assert await refused(site, FREE + 5) == [403] * FREE + [429] * 5

    answer = await site.client.post("/twiml", data=FORM)
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Connection"] == "close"
    assert (await site.ask())[0].tag == "Connect"
    # Somebody has to look at a signature to know that it is wrong.
    assert (await site.post("/twiml", signature="wrong")).status == 403
    # A signed one that is wrong in itself is Twilio's, and told what is wrong.
    assert (await site.post("/status", {"no": "sid"})).status == 400
    for open_to_all in ("/healthz", "/readyz", "/", "/console"):
        assert (await site.client.get(open_to_all)).status == 200


async def test_no_door_is_left_out(site: Site):
    paths = ("/twiml", "/status", "/after-stream", "/stream", "/wp-login.php", "/w/x/twiml")
    statuses = [
        (await site.client.get(path)).status for _ in range(4) for path in paths
    ] + await refused(site, 1)

    assert set(statuses[:FREE]) == {403, 404}
    assert set(statuses[FREE:]) == {429}


async def test_each_address_has_refusals_of_its_own(open_site: Open):
    site = await open_site(trust_proxies=True)
    for _ in range(FREE):
        await refused(site, 1, **{"X-Forwarded-For": "2001:db8::1"})

    for address, status in (("2001:db8::2", 429), ("2001:db8:0:1::1", 403), ("192.0.2.7", 403)):
        assert await refused(site, 1, **{"X-Forwarded-For": address}) == [status]


async def test_an_untrusted_list_of_proxies_is_nobodys_disguise(site: Site):
    statuses = [
        status
        for number in range(FREE + 3)
        for status in await refused(site, 1, **{"X-Forwarded-For": f"192.0.2.{number}"})
    ]
    assert statuses == [403] * FREE + [429] * 3


async def test_streams_with_wrong_tokens_get_less_time_and_right_ones_are_taken(site: Site):
    for _ in range(FREE):
        websocket = await site.start({"token": "wrong"})
        assert (await websocket.receive(10)).data == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert await refused(site, 1) == [429]

    loop = asyncio.get_running_loop()
    silent = await site.connect()
    began_at = loop.time()
    await silent.receive(30)
    assert loop.time() - began_at < 3.0
    await site.start(await site.parameters())
    await site.bot.arrived.wait()


@pytest.mark.parametrize("kind", ["aiohttp", "fastapi"])
async def test_an_application_of_ones_own_slows_strangers_too(kind: str):
    settings = ServerSettings(auth_token=TOKEN)
    nobody: Any = None
    app = of_aiohttp(settings) if kind == "aiohttp" else of_fastapi(settings)
    async with serving(app, nobody) as url, aiohttp.ClientSession() as session:

        async def ask(**headers: str) -> aiohttp.ClientResponse:
            return await session.post(f"{url}/twiml", data=FORM, headers=headers)

        signed = {SIGNATURE_HEADER: sign(TOKEN, f"{url}/stream".replace("http", "ws"))}
        async with session.ws_connect(f"{url}/stream", headers=signed) as websocket:
            # A stream without a token is a refusal as well.
            await websocket.send_json({"event": "connected"})
            await websocket.send_json(START)
            assert (await websocket.receive(10)).data == aiohttp.WSCloseCode.POLICY_VIOLATION
        statuses = [(await ask()).status for _ in range(FREE + 1)]
        assert statuses == [403] * (FREE - 1) + [429] * 2
        assert int((await ask()).headers["Retry-After"]) >= 1
        assert (await ask(**{SIGNATURE_HEADER: "wrong"})).status == 403
        assert (await ask(**{SIGNATURE_HEADER: sign(TOKEN, f"{url}/twiml", FORM)})).status == 200


def of_aiohttp(settings: ServerSettings) -> web.Application:
    guard = AiohttpTwilioGuard(settings)

    async def twiml(request: web.Request) -> web.Response:
        await guard.webhook(request)
        return web.Response()

    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket, _ = await guard.stream(request)
        return websocket

    app = web.Application()
    app.router.add_post("/twiml", twiml)
    app.router.add_get("/stream", stream)
    return app


def of_fastapi(settings: ServerSettings) -> FastAPI:
    app, guard = FastAPI(), TwilioGuard(settings)

    @app.post("/twiml")
    async def twiml(_: Annotated[Webhook, Depends(guard.webhook)]) -> None: ...

    @app.websocket("/stream")
    async def stream(_: Annotated[TwilioTransport, Depends(guard.stream)]) -> None: ...

    return app
