"""Twilio may ask in its own way, and by way of proxies: it is answered, or the log says why not."""

from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from tests.server.site import FORM, TOKEN, Open, RecordingBot, Site
from tests.vendors.faults import bad_day
from twilio_frames.server import ServerSettings, create_app
from twilio_frames.server.addresses import Asked, places, split_target
from twilio_frames.server.state import STATE
from twilio_frames.signature import SIGNATURE_HEADER, sign, spellings

HOST = "https://bot.example.com"


async def ask(
    site: Site, path: str, signed: str, *, method: str = "POST", **headers: str
) -> ClientResponse:
    """Asks as Twilio does that was given the signed URL, where the request comes by this path."""
    form = FORM if method == "POST" else None
    sent = {SIGNATURE_HEADER: sign(TOKEN, signed, form)}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.client.request(method, path, data=form, headers=sent)


async def stream_of(answer: ClientResponse) -> str:
    assert answer.status == 200, await answer.text()
    return ElementTree.fromstring(await answer.text())[0][0].attrib["url"]


async def test_webhook_by_get_is_answered(open_site: Open):
    site = await open_site(public_url=HOST)
    target = "/twiml?" + urlencode({"order": "7", **FORM})
    answer = await ask(site, target, HOST + target, method="GET")

    (connect, _) = ElementTree.fromstring(await answer.text())
    told = {each.attrib["name"]: each.attrib["value"] for each in connect[0]}
    assert told.pop("token")
    assert told == {
        "order": "7",
        "from": FORM["From"],
        "to": FORM["To"],
        "direction": FORM["Direction"],
    }


@pytest.mark.parametrize("path", ["/status", "/after-stream"])
async def test_other_webhooks_by_get_are_answered(open_site: Open, path: str):
    site = await open_site(public_url=HOST)
    target = f"{path}?{urlencode(FORM)}"

    assert (await ask(site, target, HOST + target, method="GET")).status in (200, 204)


async def test_get_that_nobody_signed_is_403(site: Site):
    answer = await site.client.get(f"/twiml?{urlencode(FORM)}")

    assert answer.status == 403
    assert await site.state.fleet.reserved() == 0


async def test_signed_get_with_more_in_its_query_is_403(open_site: Open):
    site = await open_site(public_url=HOST)
    target = f"/twiml?{urlencode(FORM)}"

    assert (await ask(site, target + "&a=1", HOST + target, method="GET")).status == 403


@pytest.mark.parametrize(
    ("public_url", "path", "signed", "stream"),
    [
        (HOST, "/voice/twiml", f"{HOST}/voice/twiml", "wss://bot.example.com/voice/stream"),
        (HOST, "/twiml/", f"{HOST}/twiml/", "wss://bot.example.com/stream"),
        (f"{HOST}/voice", "/twiml", f"{HOST}/voice/twiml", "wss://bot.example.com/voice/stream"),
        (f"{HOST}/voice", "/voice/twiml", f"{HOST}/voice/twiml", "wss://bot.example.com/voice/stream"),
        (f"{HOST}/a/b/", "/a/b/twiml/", f"{HOST}/a/b/twiml/", "wss://bot.example.com/a/b/stream"),
        (f"{HOST}/a", "/b/twiml", f"{HOST}/a/b/twiml", "wss://bot.example.com/a/b/stream"),
    ],
    ids=["kept", "slash", "cut", "kept and named", "both", "cut before another"],
)  # fmt: skip
async def test_path_in_front_is_found(
    open_site: Open, public_url: str, path: str, signed: str, stream: str
):
    site = await open_site(public_url=public_url)

    assert await stream_of(await ask(site, path, signed)) == stream


async def test_stream_is_taken_behind_a_path_that_is_kept(open_site: Open):
    site = await open_site(public_url=f"{HOST}/voice")
    signature = sign(TOKEN, "wss://bot.example.com/voice/stream")
    headers = {SIGNATURE_HEADER: signature}
    for path in ("/voice/stream", "/stream", "/voice/stream/"):
        async with site.client.ws_connect(path, headers=headers) as websocket:
            assert not websocket.closed


async def test_page_is_there_behind_a_path_that_is_kept(open_site: Open):
    site = await open_site(public_url=f"{HOST}/voice")

    for path in ("/", "/voice/", "/healthz", "/voice/healthz"):
        assert (await site.client.get(path)).status == 200
    assert (await site.client.post("/voice/call", json={})).status == 401


async def test_proxy_that_takes_tls_off_need_not_say_so(site: Site):
    host = "bot.example.com"
    answer = await ask(site, "/twiml", f"https://{host}/twiml", Host=host)

    assert await stream_of(answer) == f"wss://{host}/stream"


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_Host": "bot.example.com", "X_Forwarded_Proto": "https"},
        {"X_Forwarded_Host": "bot.example.com, inner", "X_Forwarded_Proto": "HTTPS,http"},
        {"X_Forwarded_Host": "bot.example.com:443", "X_Forwarded_Proto": "https"},
        {"X_Forwarded_Host": "bot.example.com"},
        {"Forwarded": 'for=192.0.2.1;host="bot.example.com";proto=https, for=10.0.0.1'},
        {"Forwarded": "Host=bot.example.com; Proto=HTTPS"},
    ],
)
async def test_trusted_proxies_spell_in_their_own_way(open_site: Open, headers: dict[str, str]):
    site = await open_site(trust_proxies=True)
    answer = await ask(site, "/twiml", f"{HOST}/twiml", **headers)

    assert (await stream_of(answer)).startswith("wss://bot.example.com")


async def test_prefix_that_a_trusted_proxy_names_is_put_back(open_site: Open):
    site = await open_site(trust_proxies=True)
    headers = {"X_Forwarded_Host": "bot.example.com", "X_Forwarded_Prefix": "/voice/"}
    answer = await ask(site, "/twiml", f"{HOST}/voice/twiml", **headers)

    assert await stream_of(answer) == "wss://bot.example.com/voice/stream"


@pytest.mark.parametrize("sent", ["a%20b~%c3%a4", "a+b~%C3%A4", "a%20b%7E%C3%A4", "a%20b~%C3%A4"])
@pytest.mark.parametrize("given", ["a%20b~%C3%A4", "a+b~%C3%A4"])
async def test_query_may_be_spelled_anew(sent: str, given: str):
    assert f"{HOST}/twiml?order={given}" in spellings(f"{HOST}/twiml?order={sent}")


def test_query_of_another_meaning_is_no_spelling():
    assert f"{HOST}/twiml?a=1&b=2" not in spellings(f"{HOST}/twiml?a=1%26b=2")


WRONG = [
    ("POST", "/", 405),
    ("POST", "/voice", 404),
    ("POST", "/twilio/webhook", 404),
    ("GET", "/incoming", 404),
    ("PUT", "/twiml", 405),
    ("POST", "/stream", 405),
]


@bad_day(
    "server",
    "Twilio is given a wrong address",
    "Twilio's own error; the log says what came and what to set.",
)
@pytest.mark.parametrize(("method", "path", "status"), WRONG)
async def test_log_says_what_to_change_for_a_wrong_address(
    open_site: Open, log_lines: list[str], method: str, path: str, status: int
):
    site = await open_site(public_url=HOST)
    answer = await ask(site, path, HOST + path, method=method)

    assert answer.status == status
    (line,) = [line for line in log_lines if "refused" in line]
    assert f"{method} {path!r}" in line
    assert f"'{HOST}/twiml'" in line


async def test_each_wrong_address_is_told_of(open_site: Open, log_lines: list[str]):
    site = await open_site(public_url=HOST)
    for path in ("/a", "/b", "/a", "/c"):
        await ask(site, path, HOST + path)

    told = [line for line in log_lines if "refused" in line]
    assert [line.split("with 404: ")[1][:9] for line in told] == [
        "POST '/a'",
        "POST '/b'",
        "POST '/c'",
    ]


async def test_many_wrong_addresses_fill_no_log(open_site: Open, log_lines: list[str]):
    site = await open_site(public_url=HOST)
    for number in range(300):
        path = f"/{number}" + "x" * 2000
        await ask(site, path, HOST + path, Host="h" * 3000, User_Agent="\x85TwilioProxy")

    told = [line for line in log_lines if "refused" in line]
    assert len(told) <= 25
    assert max(map(len, told)) < 500


async def test_stranger_at_a_wrong_address_is_not_told_of(site: Site, log_lines: list[str]):
    assert (await site.client.get("/wp-login.php")).status == 404
    assert [line for line in log_lines if "refused" in line] == []


async def test_form_lost_on_the_way_is_told_of(open_site: Open, log_lines: list[str]):
    site = await open_site(public_url=HOST)
    answer = await ask(site, "/twiml", f"{HOST}/twiml", method="GET")

    assert answer.status == 400
    assert any("give it the https:// address" in line for line in log_lines)


async def test_wrong_signature_names_the_address_that_was_checked(
    open_site: Open, log_lines: list[str]
):
    site = await open_site(public_url=HOST)
    target = "/twiml?name=Jane"

    assert (await ask(site, target, "https://other.example.com" + target)).status == 403
    (line,) = [line for line in log_lines if "refused" in line]
    assert f"'{HOST}/twiml'" in line
    assert "TWILIO_FRAMES_PUBLIC_URL" in line
    assert "Jane" not in line


async def test_application_serves_under_a_path_of_another():
    outer, inner = web.Application(), create_app(RecordingBot(), ServerSettings(auth_token=TOKEN))
    outer.add_subapp("/phone", inner)
    async with TestClient(TestServer(outer)) as client:
        url = str(client.make_url("/phone/twiml"))
        headers = {SIGNATURE_HEADER: sign(TOKEN, url, FORM)}
        answer = await client.post("/phone/twiml", data=FORM, headers=headers)
        stream = await stream_of(answer)
        assert stream == url.replace("http", "ws").replace("/twiml", "/stream")

        signed = {SIGNATURE_HEADER: sign(TOKEN, stream)}
        async with client.ws_connect("/phone/stream", headers=signed) as websocket:
            assert not websocket.closed
        assert (await client.get("/phone/")).status == 200
        assert (await client.get("/")).status == 404
        await inner[STATE].switchboard.cancel()


def named(target: str = "/twiml", **given: Any) -> list[str]:
    asked = Asked(scheme="http", target=target, headers=given.pop("headers", {"Host": "h"}))
    found = places(asked, public_url=None, trust_proxies=False, **given)
    return [place.url for place in found]


def test_untrusted_proxy_moves_nothing():
    headers = {"Host": "h", "X-Forwarded-Host": "other", "X-Forwarded-Prefix": "/other"}

    assert named(headers=headers) == ["http://h/twiml", "https://h/twiml"]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/twiml?a=b", "/twiml", "a=b"),
        ("http://h/twiml?a=http://x", "/twiml", "a=http://x"),
        ("/twiml?a=http://x", "/twiml", "a=http://x"),
        ("http://h", "/", ""),
        ("", "/", ""),
    ],
)
def test_target_is_split(target: str, path: str, query: str):
    assert split_target(target) == (path, query)


async def test_public_path_is_no_part_of_a_longer_name(open_site: Open):
    site = await open_site(public_url=f"{HOST}/voice")
    signed = f"{HOST}/voice/voicemail/twiml"

    stream = await stream_of(await ask(site, "/voicemail/twiml", signed))
    assert stream == "wss://bot.example.com/voice/voicemail/stream"
