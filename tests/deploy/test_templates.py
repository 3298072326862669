"""What puts a bot on a server says the same as the server does."""

import re
import tomllib

import pytest
import yaml

from tests.deploy.proxies import DEPLOY
from twilio_frames.cli.init import project_files
from twilio_frames.server import ServerSettings

CONFIG = (DEPLOY / "compose" / "haproxy.cfg").read_text("utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]
FLY = tomllib.loads((DEPLOY / "fly" / "fly.toml").read_text("utf-8"))
(RENDER,) = yaml.safe_load((DEPLOY / "render" / "render.yaml").read_text("utf-8"))["services"]
PROJECT = project_files("bot", {"stt": "local", "llm": "local", "tts": "local"})
BOTS = [name for name in COMPOSE if name.startswith("bot")]


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
