"""What puts a bot on a server says the same as the server does."""

import asyncio
import re
import shutil
import socket
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.waiting import until
from twilio_frames.cli.init import project_files
from twilio_frames.server import ServerSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
HAPROXY = shutil.which("haproxy") or ""
CONFIG = (DEPLOY / "compose" / "haproxy.cfg").read_text("utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]
FLY = tomllib.loads((DEPLOY / "fly" / "fly.toml").read_text("utf-8"))
(RENDER,) = yaml.safe_load((DEPLOY / "render" / "render.yaml").read_text("utf-8"))["services"]
PROJECT = project_files("bot", {"stt": "local", "llm": "local", "tts": "local"})
BOTS = [name for name in COMPOSE if name.startswith("bot")]

needs_haproxy = pytest.mark.skipif(not HAPROXY, reason="HAProxy is not installed")


def test_every_bot_is_served_named_and_reached():
    assert re.findall(r"^ +server (\w+) \1:8000$", CONFIG, re.M) == 2 * BOTS
    assert re.findall(r"use-server (\w+) if \{ path_beg /w/\1- \}", CONFIG) == BOTS
    for name in BOTS:
        environment = COMPOSE[name]["environment"]
        assert environment["TWILIO_FRAMES_WORKER"] == name
        assert environment["TWILIO_FRAMES_WORKER_URL"] == f"http://{name}:8000"
        assert environment["TWILIO_FRAMES_REGISTER"].startswith("redis://redis:")


@pytest.mark.parametrize(
    "grace",
    [
        *(int(COMPOSE[name]["stop_grace_period"].removesuffix("s")) for name in BOTS),
        int(yaml.safe_load(PROJECT["compose.yaml"])["services"]["bot"]["stop_grace_period"][:-1]),
        FLY["kill_timeout"],
        RENDER["maxShutdownDelaySeconds"],
    ],
)
def test_calls_may_end_before_they_are_killed(grace: int):
    assert grace >= ServerSettings().drain_secs + 10


def test_ports_and_paths_are_the_servers():
    ports = [FLY["http_service"]["internal_port"], int(RENDER["envVars"][0]["value"])]
    checks = [FLY["http_service"]["checks"][0]["path"], RENDER["healthCheckPath"]]

    assert f"EXPOSE {ports[0]}" in PROJECT["Dockerfile"]
    assert ports == [8000, 8000]
    assert checks == ["/readyz", "/healthz"]


async def haproxy(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(HAPROXY, *arguments, **options)


@needs_haproxy
@pytest.mark.real_time
async def test_configuration_is_taken():
    pipe = asyncio.subprocess.PIPE
    checking = await haproxy("-c", "-f", str(DEPLOY / "compose" / "haproxy.cfg"), stderr=pipe)
    _, complaints = await checking.communicate()

    assert (checking.returncode, complaints) == (0, b"")


class Worker:
    """Says its name, and how it does."""

    def __init__(self, name: str):
        self.name = name
        self.health = 200
        self.looked = 0
        app = web.Application()
        app.add_routes([web.get("/readyz", self.readyz), web.get("/{path:.*}", self.answer)])
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start(self) -> int:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return self.runner.addresses[0][1]

    async def readyz(self, _: web.Request) -> web.Response:
        self.looked += 1
        return web.Response(status=self.health)

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self.name)


@asynccontextmanager
async def balanced(folder: Path, ports: list[int]) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        own = listening.getsockname()[1]
    text = CONFIG.replace("bind :8080", f"bind 127.0.0.1:{own}")
    text = text.replace("inter 1s fall", "inter 50ms fall")
    for name, port in zip(BOTS, ports, strict=True):
        text = text.replace(f"{name}:8000", f"127.0.0.1:{port}")
    (folder / "haproxy.cfg").write_text(text)
    process = await haproxy(
        "-db", "-f", str(folder / "haproxy.cfg"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{own}"
    finally:
        process.terminate()
        await process.wait()


@needs_haproxy
@pytest.mark.real_time
async def test_path_leads_to_the_worker_that_it_names(tmp_path: Path):
    workers = first, second = Worker("bot1"), Worker("bot2")
    ports = [await worker.start() for worker in workers]
    async with balanced(tmp_path, ports) as url, aiohttp.ClientSession() as session:

        async def who(path: str) -> str:
            async with session.get(url + path) as answer:
                return await answer.text()

        await until(lambda: first.looked > 1 and second.looked > 1)
        for name in ("bot1", "bot2"):
            assert [await who(f"/w/{name}-a1b2c3d4/stream") for _ in range(3)] == [name] * 3
        assert await who("/w/bot3-a1b2c3d4/stream") in ("bot1", "bot2")

        # It is about to end.
        first.health, looked = 503, first.looked
        await until(lambda: first.looked > looked + 4)
        assert [await who("/twiml") for _ in range(4)] == ["bot2"] * 4
        assert await who("/w/bot1-a1b2c3d4/after-stream") == "bot1"

        # It has ended.
        await first.runner.cleanup()
        assert await who("/w/bot1-a1b2c3d4/after-stream") == "bot2"
    await second.runner.cleanup()
