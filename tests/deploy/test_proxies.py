"""The proxies of the templates lead each call to its worker, and none is lost as they reload."""

import asyncio
import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web

from tests.deploy.proxies import DEPLOY, in_front, needs
from tests.ports import free_port
from tests.server.site import FORM, TOKEN, RecordingBot
from tests.waiting import until
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.frames import CallEndReason
from twilio_frames.server import FleetSettings, Server, ServerSettings, create_app
from twilio_frames.server.addresses import source_of
from twilio_frames.signature import SIGNATURE_HEADER, sign

pytestmark = pytest.mark.real_time

HAPROXY = pytest.param("haproxy", marks=needs("haproxy"))
NGINX = pytest.param("nginx", marks=needs("nginx"))
KUBERNETES = pytest.param("kubernetes", marks=needs("nginx"))


@needs("haproxy")
def test_haproxy_has_nothing_to_complain_of():
    checked = subprocess.run(
        ["haproxy", "-c", "-f", str(DEPLOY / "compose" / "haproxy.cfg")],
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b"")


TOLD = {"Host": "bot.example.com", "X-Forwarded-For": "203.0.113.9"}


class Worker:
    """Says its name, and how it does."""

    def __init__(self, name: str, address: str):
        self.name = name
        self.address = address
        self.health = 200
        self.looked = 0
        app = web.Application()
        app.router.add_get("/readyz", self.readyz)
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start(self) -> None:
        await self.runner.setup()
        host, _, port = self.address.partition(":")
        await web.TCPSite(self.runner, host, int(port)).start()

    async def readyz(self, _: web.Request) -> web.Response:
        self.looked += 1
        return web.Response(status=self.health)

    async def answer(self, request: web.Request) -> web.Response:
        # Whatever a stranger says of itself.
        assert source_of(request.headers, request.remote, trust_proxies=True) == "127.0.0.1"
        assert await request.text() == request.headers.get("X-Sent", "")
        return web.Response(text=f"{self.name} as {request.host}")


async def two_workers(names: tuple[str, str]) -> tuple[Worker, Worker]:
    port = free_port("127.0.0.2")
    workers = tuple(Worker(name, f"127.0.0.{n}:{port}") for n, name in enumerate(names, 2))
    for worker in workers:
        await worker.start()
    return workers  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [HAPROXY, NGINX, KUBERNETES])
async def test_path_leads_to_the_worker_that_it_names(kind: str, tmp_path: Path):
    names = ("bot-0", "bot-1") if kind == "kubernetes" else ("bot1", "bot2")
    first, second = workers = await two_workers(names)
    addresses = {worker.name: worker.address for worker in workers}
    async with (
        in_front(kind, tmp_path, addresses) as proxy,
        aiohttp.ClientSession(headers=TOLD) as session,
    ):

        async def who(path: str, body: str = "") -> str:
            method, told = ("POST", {"X-Sent": body}) if body else ("GET", {})
            asked = session.request(method, proxy.url + path, data=body, headers=told)
            async with asked as answer:
                name, _, host = (await answer.text()).partition(" as ")
                # Twilio has signed it.
                assert host == "bot.example.com"
                return name

        if kind == "haproxy":
            await until(lambda: first.looked > 1 and second.looked > 1)
        for name in names:
            assert [await who(f"/w/{name}-a1b2c3d4/stream") for _ in range(3)] == [name] * 3
        stranger = names[0].replace("bot", "box")
        assert await who(f"/w/{stranger}-a1b2c3d4/stream") in names

        if kind == "haproxy":
            # It is about to end. Elsewhere the cluster looks, or the worker leads calls on.
            first.health, looked = 503, first.looked
            await until(lambda: first.looked > looked + 4)
            assert [await who("/twiml") for _ in range(4)] == [second.name] * 4
            assert await who(f"/w/{first.name}-a1b2c3d4/after-stream") == first.name

        # It has ended.
        await first.runner.cleanup()
        # What was sent to it is sent on.
        assert await who(f"/w/{first.name}-a1b2c3d4/after-stream", "a=b") == second.name
        assert [await who("/twiml") for _ in range(3)] == [second.name] * 3
    await second.runner.cleanup()


def made_server(name: str, register: MemoryRegister) -> tuple[Server, RecordingBot]:
    bot = RecordingBot()
    fleet = FleetSettings(register=register, worker=name)
    app = create_app(bot, ServerSettings(auth_token=TOKEN, fleet=fleet, warm=False))
    return Server(app), bot


@pytest.mark.parametrize("kind", [HAPROXY, NGINX])
async def test_a_call_goes_on_while_the_proxy_reloads(kind: str, tmp_path: Path):
    register = MemoryRegister()
    (one, first), (other, second) = (made_server(name, register) for name in ("bot1", "bot2"))
    bots = {"bot1": first, "bot2": second}
    async with one, other:
        addresses = {"bot1": f"127.0.0.1:{one.port}", "bot2": f"127.0.0.1:{other.port}"}
        async with (
            in_front(kind, tmp_path, addresses) as proxy,
            aiohttp.ClientSession() as session,
        ):
            signed = {SIGNATURE_HEADER: sign(TOKEN, f"{proxy.url}/twiml", FORM)}
            async with session.post(f"{proxy.url}/twiml", data=FORM, headers=signed) as answer:
                assert answer.status == 200, await answer.text()
                stream = ElementTree.fromstring(await answer.text())[0][0]
            url = stream.attrib["url"]
            assert urlsplit(url).netloc == urlsplit(proxy.url).netloc
            bot = bots[urlsplit(url).path.split("/")[2].partition("-")[0]]
            signed = {SIGNATURE_HEADER: sign(TOKEN, url)}
            async with session.ws_connect(url, headers=signed) as websocket:
                token = {each.attrib["name"]: each.attrib["value"] for each in stream}
                await websocket.send_str(json.dumps({"event": "connected"}))
                await websocket.send_str(json.dumps(start_message(token)))
                await bot.arrived.wait()
                assert not await proxy.answers_anew(session)

                await proxy.reload()
                async with asyncio.timeout(60):
                    while not await proxy.answers_anew(session):  # noqa: ASYNC110  # it tells nobody
                        await asyncio.sleep(0.01)
                await websocket.send_str(json.dumps({"event": "stop", "streamSid": "MZ1"}))
                await until(lambda: bot.calls[0].end_reason)
            assert bot.calls[0].end_reason is CallEndReason.CALLER_HUNG_UP
            bot.leave.set()


def start_message(parameters: dict[str, str]) -> dict[str, object]:
    told = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    return {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": told}
