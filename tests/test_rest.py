import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.waiting import until
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.rest import Credentials, TwilioRest
from twilio_frames.rest.numbers import without_numbers

CALL = {"sid": "CA1", "status": "queued", "direction": "outbound-api", "duration": None}
CALLS = "/2010-04-01/Accounts/AC1/Calls.json"
Answer = tuple[int, object]


@dataclass
class FakeApi:
    """Answers REST requests from a list, and remembers what it was asked."""

    answers: list[Answer | Callable] = field(default_factory=list)
    requests: list[tuple[str, str, list[tuple[str, str]], str]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        sender = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path, form, sender))
        answer = self.answers.pop(0)
        if callable(answer):
            return await answer(request)
        status, body = answer
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake


@pytest.fixture
async def rest(api: FakeApi) -> AsyncIterator[TwilioRest]:
    credentials = Credentials(account_sid="AC1", auth_token="token")
    async with TwilioRest(
        credentials, base_url=api.url, timeout=0.5, retry_for=0.5, backoff=0.01
    ) as rest:
        yield rest


def refuse(status: int, code: int, message: str) -> Answer:
    return status, {"code": code, "message": message, "more_info": "", "status": status}


async def test_dial_returns_sid(api: FakeApi, rest: TwilioRest):
    api.answers = [(201, CALL)]

    sid = await rest.dial(
        "+14155550100", "+14155550101", url="https://h/twiml", status_callback="https://h/status"
    )

    method, path, form, sender = api.requests[0]
    assert sid == "CA1"
    assert (method, path) == ("POST", CALLS)
    assert ("To", "+14155550100") in form
    assert ("From", "+14155550101") in form
    assert [value for name, value in form if name == "StatusCallbackEvent"] == [
        "initiated",
        "ringing",
        "answered",
        "completed",
    ]
    assert sender == "Basic " + base64.b64encode(b"AC1:token").decode()


async def test_api_key_signs_in(api: FakeApi):
    api.answers = [(201, CALL)]
    key = Credentials(account_sid="AC1", api_key="SK1", api_secret="secret")

    async with TwilioRest(key, base_url=api.url) as rest:
        await rest.dial("+14155550100", "+14155550101", twiml="<Response/>")

    assert api.requests[0][1] == CALLS
    assert api.requests[0][3] == "Basic " + base64.b64encode(b"SK1:secret").decode()


async def test_refusal_keeps_reason(api: FakeApi, rest: TwilioRest):
    api.answers = [refuse(400, 21211, "The phone number +14155550100 is not valid")]

    with pytest.raises(RestError) as caught:
        await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert str(caught.value) == "The phone number [number] is not valid"
    assert (caught.value.status, caught.value.code) == (400, 21211)
    assert not caught.value.retryable


async def test_problem_details_are_read(api: FakeApi, rest: TwilioRest):
    problem = {"type": "about:blank", "title": "Bad", "status": 400, "code": 7, "detail": "No."}
    api.answers = [(400, problem)]

    with pytest.raises(RestError, match=r"^No\.$") as caught:
        await rest.fetch("CA1")

    assert caught.value.code == 7


async def test_too_many_requests_waits(api: FakeApi, rest: TwilioRest):
    api.answers = [refuse(429, 20429, "Too many"), refuse(429, 20429, "Too many"), (201, CALL)]

    assert await rest.dial("+14155550100", "+14155550101", url="https://h/twiml") == "CA1"
    assert len(api.requests) == 3


async def test_retries_are_bounded(api: FakeApi, rest: TwilioRest):
    api.answers = [refuse(429, 20429, "Too many")] * 100

    with pytest.raises(RestError, match="Too many") as caught:
        await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert caught.value.retryable
    assert len(api.requests) < 10


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_server_error_dials_once(api: FakeApi, rest: TwilioRest, status: int):
    api.answers = [(status, "<html>"), (201, CALL)]

    with pytest.raises(RestError, match=f"HTTP {status} without a reason") as caught:
        await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert (caught.value.code, caught.value.retryable) == (None, False)
    assert len(api.requests) == 1


async def never(request: web.Request) -> web.Response:
    """Answers only once the other side has gone."""
    await until(lambda: request.transport is None)  # aiohttp tells of it nowhere else
    return web.Response()


async def test_silence_dials_once(api: FakeApi, rest: TwilioRest):
    api.answers = [never, (201, CALL)]

    with pytest.raises(RestError, match="got TimeoutError: whether the request") as caught:
        await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert not caught.value.retryable
    assert len(api.requests) == 1


@pytest.mark.parametrize("garbage", ["", "<html>", "[]", "null", '{"sid": null}', '{"sid": 7}'])
async def test_garbage_is_an_error(api: FakeApi, rest: TwilioRest, garbage: str):
    api.answers = [(201, garbage), (201, CALL)]

    with pytest.raises(RestError) as caught:
        await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert not caught.value.retryable
    assert len(api.requests) == 1


async def test_nobody_listening_is_retryable(unused_tcp_port: int):
    credentials = Credentials(account_sid="AC1", auth_token="token")
    base = f"http://127.0.0.1:{unused_tcp_port}"
    async with TwilioRest(credentials, base_url=base, retry_for=0) as rest:
        with pytest.raises(RestError, match="expected a connection") as caught:
            await rest.dial("+14155550100", "+14155550101", url="https://h/twiml")

    assert caught.value.retryable


@pytest.mark.parametrize(
    "over",
    [
        refuse(404, 20404, "Not found"),
        refuse(400, 21220, "Not in progress"),
        refuse(400, 20404, "Not found"),
        (404, "<html>"),
    ],
)
async def test_hanging_up_twice_is_fine(api: FakeApi, rest: TwilioRest, over: Answer):
    api.answers = [over]

    await rest.hang_up("CA1")

    assert api.requests[0][1] == "/2010-04-01/Accounts/AC1/Calls/CA1.json"
    assert api.requests[0][2] == [("Status", "completed")]


async def test_hang_up_tries_again(api: FakeApi, rest: TwilioRest):
    api.answers = [(503, "<html>"), (200, CALL | {"status": "completed"})]

    await rest.hang_up("CA1")

    # Of the same call: a second attempt cannot end another.
    assert len(api.requests) == 2
    assert api.requests[0] == api.requests[1]
    assert "/Calls/CA1.json" in api.requests[0][1]


async def test_refused_hang_up_is_told(api: FakeApi, rest: TwilioRest):
    api.answers = [refuse(401, 20003, "Authenticate")]

    with pytest.raises(RestError, match=r"^Authenticate$"):
        await rest.hang_up("CA1")


async def test_fetch_reads_state(api: FakeApi, rest: TwilioRest):
    api.answers = [(200, CALL | {"status": "completed", "duration": "42"})]

    state = await rest.fetch("CA1")

    assert (state.status, state.duration, state.direction) == ("completed", 42, "outbound-api")


async def test_update_sends_twiml(api: FakeApi, rest: TwilioRest):
    api.answers = [(200, CALL)]

    await rest.update("CA1", twiml="<Response/>")

    assert api.requests[0][2] == [("Twiml", "<Response/>")]


async def test_url_and_twiml_exclude(rest: TwilioRest):
    with pytest.raises(ConfigurationError, match="either url or twiml"):
        await rest.dial("+14155550100", "+14155550101")
    with pytest.raises(ConfigurationError, match="either url or twiml"):
        await rest.update("CA1", url="https://h", twiml="<Response/>")


def test_credentials_come_from_environment():
    environment = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_API_KEY": ""}

    assert Credentials.from_environment(environment) == Credentials(
        account_sid="AC1", auth_token="t"
    )
    assert Credentials.from_environment({"TWILIO_ACCOUNT_SID": ""}) is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({}, "got none"),
        ({"api_key": "SK1"}, "got one"),
        ({"auth_token": "t", "region": "ie1"}, "TWILIO_EDGE"),
    ],
)
def test_half_credentials_are_refused(wrong: dict[str, str], reason: str):
    with pytest.raises(ConfigurationError, match=reason):
        Credentials(account_sid="AC1", **wrong)


def test_secrets_stay_out_of_repr():
    shown = repr(Credentials(account_sid="AC1", auth_token="tok3n", api_key="K", api_secret="s3c"))

    assert "tok3n" not in shown
    assert "s3c" not in shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("to +1 (415) 555-0100.", "to [number]."),
        ("14155550100 is bad", "[number] is bad"),
        ("code 21211, HTTP 400", "code 21211, HTTP 400"),
        ("CA1234567890abcdef1234567890abcdef", "CA1234567890abcdef1234567890abcdef"),
    ],
)
def test_numbers_leave_texts(text: str, safe: str):
    assert without_numbers(text) == safe


def dated(date: str, answer: Answer) -> Callable:
    async def told(_: web.Request) -> web.Response:
        return web.json_response(answer[1], status=answer[0], headers={"Date": date})

    return told


async def test_time_is_twilios(api: FakeApi, rest: TwilioRest):
    assert rest.now() is None
    api.answers = [dated("Mon, 30 Nov 2026 12:00:00 GMT", (200, CALL)), dated("soon", (200, CALL))]
    await rest.fetch("CA1")
    await asyncio.sleep(30)
    await rest.fetch("CA1")

    now = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC).timestamp()
    assert rest.now() == pytest.approx(now, abs=1)


async def test_old_time_is_none(api: FakeApi, rest: TwilioRest, monkeypatch):
    api.answers = [dated("Mon, 30 Nov 2026 12:00:00 GMT", (200, CALL))] * 2
    await rest.fetch("CA1")
    await asyncio.sleep(61)
    assert rest.now() is None

    await rest.fetch("CA1")
    asleep = time.time() + 3600
    monkeypatch.setattr("twilio_frames.rest.http.time.time", lambda: asleep)
    assert rest.now() is None


async def test_calls_are_listed(api: FakeApi, rest: TwilioRest):
    created = "Mon, 30 Nov 2026 12:00:00 +0000"
    listed = CALL | {"date_created": created, "queue_time": "1500"}
    api.answers = [(200, {"calls": [listed], "next_page_uri": None, "page_size": 50})]
    (call,) = await rest.calls(to="+14155550100")

    assert (call.call_sid, call.status, call.queue_secs) == ("CA1", "queued", 1.5)
    assert call.created_at == datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


async def test_refused_list_says_why(api: FakeApi, rest: TwilioRest):
    api.answers = [refuse(401, 20003, "Authenticate")]
    with pytest.raises(RestError, match="Authenticate") as refused:
        await rest.calls()

    assert (refused.value.status, refused.value.code) == (401, 20003)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_list_is_asked_for_again(api: FakeApi, rest: TwilioRest, status: int):
    listed = {"calls": [CALL], "next_page_uri": None, "page_size": 50}
    api.answers = [(status, "busy"), (200, listed)]

    assert [call.call_sid for call in await rest.calls()] == ["CA1"]


async def test_account_and_numbers_are_told(api: FakeApi, rest: TwilioRest):
    number = {
        "voice_url": "https://h/twiml",
        "voice_method": "GET",
        "capabilities": {"voice": False},
    }
    numbers = {"incoming_phone_numbers": [number], "next_page_uri": None}
    api.answers = [(200, {"status": "active", "type": "Trial"}), (200, numbers)]
    account, (set_up,) = await rest.account(), await rest.numbers("+14155550100")

    assert (account.status, account.kind) == ("active", "Trial")
    assert (set_up.voice_url, set_up.voice_method) == ("https://h/twiml", "GET")
    assert (set_up.takes_calls, set_up.trunk_sid, set_up.application_sid) == (False, None, None)


@pytest.mark.parametrize(
    ("status", "retryable", "may_be_done"),
    [
        (None, False, True),
        (None, True, False),
        (200, False, True),
        (400, False, False),
        (404, False, False),
        (429, True, False),
        (500, False, True),
    ],
)
def test_what_was_not_refused_may_be_done(
    status: int | None, *, retryable: bool, may_be_done: bool
):
    error = RestError("expected an answer", status=status, retryable=retryable)
    assert error.may_be_done is may_be_done
