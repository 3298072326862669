"""``twilio-frames doctor`` finds what is wrong, and says what to mend."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.cli.command import run
from twilio_frames.call import Call
from twilio_frames.server import Server, ServerSettings, create_app
from twilio_frames.testing import AccountRules, SimulatedTwilio

OWN = "+12125550199"
VENDORS = ("DEEPGRAM", "OPENAI", "CARTESIA")


async def bot(call: Call) -> None:
    await call.hang_up()


class Ward:
    """A simulated account, a server, and what the doctor is told of both.

    Args:
        set_variable: Sets a variable of the environment.
    """

    def __init__(self, set_variable: Callable[[str, str], None], path: Path):
        self.set, self._path = set_variable, path
        self._stack = AsyncExitStack()
        self.twilio = SimulatedTwilio()
        self.webhook: tuple[str, str] | None = None
        self.rules: dict[str, Any] = {}

    async def __aenter__(self) -> "Ward":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def serve(self, **settings: Any) -> str:
        given = {"auth_token": self.twilio.auth_token, "warm": False, **settings}
        app = create_app(bot, ServerSettings(**given))
        server = await self._stack.enter_async_context(Server(app))
        self.set("TWILIO_FRAMES_PUBLIC_URL", server.url)
        self.webhook = self.webhook or ("POST", f"{server.url}/twiml")
        return server.url

    async def look(self) -> dict[str, tuple[str, str]]:
        webhooks = {OWN: self.webhook} if self.webhook else {}
        rules = AccountRules(**{"voice_webhooks": webhooks, **self.rules})
        self.twilio = await self._stack.enter_async_context(SimulatedTwilio(rules=rules))
        self.set("TWILIO_FRAMES_API_URL", self.twilio.rest_url)
        status = await run("doctor", "--json", self._path)
        told = json.loads(self._path.read_text())
        assert (status == 0) is told["is_well"]
        assert status in (0, 3)
        return {each["check"]: (each["verdict"], each["told"]) for each in told["findings"]}


@pytest.fixture
async def ward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Ward]:
    for name in VENDORS:
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    for name in ("PUBLIC_URL", "API_URL", "DIALS_PER_MINUTE"):
        monkeypatch.delenv(f"TWILIO_FRAMES_{name}", raising=False)
    for name in ("REGION", "EDGE", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"TWILIO_{name}", raising=False)
    twilio = SimulatedTwilio()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio.account_sid)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", twilio.auth_token)
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", OWN)
    async with Ward(monkeypatch.setenv, tmp_path / "findings.json") as ward:
        yield ward


async def test_all_is_well(ward: Ward, capsys):
    await ward.serve()
    found = await ward.look()

    own = ("credentials", "region", "number", "clock", "rates", "address", "signature", "stream")
    assert {found[name][0] for name in own} == {"good"}, found
    assert {found[name.lower()][0] for name in VENDORS} == {"skipped"}
    assert "good    stream       streams can be opened" in capsys.readouterr().out


async def test_nothing_is_set(ward: Ward, monkeypatch):
    for name in ("ACCOUNT_SID", "AUTH_TOKEN", "PHONE_NUMBER"):
        monkeypatch.delenv(f"TWILIO_{name}")
    found = await ward.look()

    assert found["credentials"] == (
        "bad",
        "no account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, from the Twilio console",
    )
    skipped = ("number", "clock", "rates", "address", "signature", "stream")
    assert {found[name][0] for name in skipped} == {"skipped"}


@pytest.mark.parametrize(
    ("variables", "check", "verdict", "told"),
    [
        ({"TWILIO_AUTH_TOKEN": "another"}, "credentials", "bad", "Twilio refuses them (20003)"),
        ({"TWILIO_ACCOUNT_SID": "AC" + "9" * 32}, "credentials", "bad", "of one account"),
        ({"TWILIO_API_KEY": "SK1"}, "settings", "bad", "expected both TWILIO_API_KEY and"),
        ({"TWILIO_REGION": "ie1"}, "settings", "bad", "expected TWILIO_EDGE beside"),
        ({"TWILIO_REGION": "mars1", "TWILIO_EDGE": "x"}, "region", "bad", "no region of Twilio's"),
        ({"TWILIO_REGION": "ie1", "TWILIO_EDGE": "sydney"}, "region", "note", "dublin is nearer"),
        ({"TWILIO_PHONE_NUMBER": "+12125550111"}, "number", "note", "none of the account's"),
        ({"TWILIO_FRAMES_DIALS_PER_MINUTE": "90"}, "rates", "note", "places 60 by default"),
        (
            {"TWILIO_FRAMES_PUBLIC_URL": "http://127.0.0.1:9"},
            "address",
            "bad",
            "twilio-frames serve",
        ),
        ({"TWILIO_FRAMES_PUBLIC_URL": "http://127.0.0.1:9"}, "stream", "bad", "was not reached"),
        ({"TWILIO_FRAMES_MAX_CALLS": "none"}, "settings", "bad", "TWILIO_FRAMES_MAX_CALLS"),
        ({"TWILIO_FRAMES_MAX_CALL": "5"}, "settings", "note", "did you mean TWILIO_FRAMES_MAX_C"),
        ({"TWILIO_FRAMES_MAX_CALLS": "none"}, "stream", "good", "streams can be opened"),
        ({"TWILIO_ACCOUNT_SID": "SK1"}, "credentials", "skipped", "see above"),
    ],
)
async def test_what_is_set_wrongly_is_told(
    ward: Ward, variables: dict[str, str], check: str, verdict: str, told: str
):
    await ward.serve()
    for name, value in variables.items():
        ward.set(name, value)
    found = await ward.look()

    assert found[check][0] == verdict, found
    assert told in found[check][1]


@pytest.mark.parametrize(
    ("rules", "verdict", "told"),
    [
        ({"status": "suspended"}, "bad", "the account is suspended"),
        ({"kind": "Trial"}, "note", "a trial account"),
    ],
)
async def test_state_of_the_account_is_told(ward: Ward, rules, verdict: str, told: str):
    ward.rules = rules
    found = await ward.look()

    assert found["credentials"][0] == verdict
    assert told in found["credentials"][1]


@pytest.mark.parametrize(
    ("webhook", "verdict", "told"),
    [
        (("POST", ""), "bad", "it has no webhook for calls"),
        (("POST", "https://demo.twilio.com/welcome/voice/"), "bad", "another than this server's"),
        (("GET", "{}/twiml"), "note", "asked by GET"),
        (("POST", "{}/twiml?greeting=short"), "good", "this server's webhook"),
    ],
)
async def test_webhook_of_the_number_is_told(ward: Ward, webhook, verdict: str, told: str):
    url = await ward.serve()
    ward.webhook = (webhook[0], webhook[1].format(url))
    found = await ward.look()

    assert found["number"][0] == verdict
    assert told in found["number"][1]


async def test_server_with_another_token_is_told(ward: Ward):
    await ward.serve(auth_token="another-token")
    found = await ward.look()

    assert found["address"][0] == "good"
    assert (found["signature"][0], found["stream"][0]) == ("bad", "bad")
    assert "this TWILIO_AUTH_TOKEN" in found["signature"][1]


async def test_server_without_a_token_is_told(ward: Ward):
    await ward.serve(auth_token=None)
    found = await ward.look()

    assert found["signature"] == (
        "bad",
        "a wrong signature is taken as well: start the server with TWILIO_AUTH_TOKEN",
    )


async def test_proxy_that_does_not_upgrade_is_told(ward: Ward, monkeypatch):
    async def plain(request: web.Request) -> web.Response:
        if request.path == "/healthz":
            return web.json_response({"status": "ok", "version": "0.1.0"})
        return web.Response(text="<Response/>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", plain)
    async with TestServer(app) as server:
        ward.set("TWILIO_FRAMES_PUBLIC_URL", str(server.make_url("/")))
        found = await ward.look()

    assert found["stream"][0] == "bad"
    assert "does not become a WebSocket (HTTP 200)" in found["stream"][1]


async def test_something_else_at_the_address_is_told(ward: Ward):
    async with TestServer(web.Application()) as server:
        ward.set("TWILIO_FRAMES_PUBLIC_URL", str(server.make_url("/")))
        found = await ward.look()

    assert found["address"][0] == "bad"
    assert "answered by something else (HTTP 404)" in found["address"][1]


async def test_clock_that_is_off_is_told(ward: Ward, monkeypatch):
    monkeypatch.setattr("twilio_frames.rest.TwilioRest.now", lambda _: time.time() - 100)
    found = await ward.look()

    assert found["clock"][0] == "bad"
    assert "s ahead of Twilio's: have it set by NTP" in found["clock"][1]


@pytest.mark.parametrize(
    ("status", "verdict", "told"),
    [
        (200, "good", "the key is taken"),
        (401, "bad", "is refused"),
        (429, "note", "too many requests"),
        (403, "note", "HTTP 403"),
    ],
)
async def test_keys_are_tried(ward: Ward, status: int, verdict: str, told: str):
    asked: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        asked[request.path_qs] = request.headers["Authorization"]
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        for name in VENDORS:
            ward.set(f"{name}_API_KEY", f"key-of-{name.lower()}")
            ward.set(f"{name}_BASE_URL", str(server.make_url("/")))
        found = await ward.look()

    assert {found[name.lower()][0] for name in VENDORS} == {verdict}
    assert all(told in found[name.lower()][1] for name in VENDORS)
    assert asked == {
        "/v1/projects": "Token key-of-deepgram",
        "/models": "Bearer key-of-openai",
        "/voices?limit=1": "Bearer key-of-cartesia",
    }


async def test_keys_are_not_told(ward: Ward, capsys):
    ward.set("OPENAI_API_KEY", "sk-secret")
    ward.set("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    found = await ward.look()

    assert found["openai"][0] == "bad"
    told = capsys.readouterr()
    assert "sk-secret" not in told.out + told.err
    assert OWN not in told.out + told.err
