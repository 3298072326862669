import pytest

from twilio_frames.hosts import is_this_machine, proxy_for

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
ONE, OTHER = "http://one.example:3128", "http://other.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.twilio.com/", ONE),
        ("wss://api.deepgram.com/v1/listen", ONE),
        ("http://models.example/v1", OTHER),
        ("ws://models.example/v1", OTHER),
    ],
)
def test_scheme_decides(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str):
    monkeypatch.setenv("HTTPS_PROXY", ONE)
    monkeypatch.setenv("HTTP_PROXY", OTHER)

    assert proxy_for(url) == proxy


def test_all_is_for_what_no_other_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", ONE)
    monkeypatch.setenv("http_proxy", OTHER)

    assert proxy_for("wss://api.cartesia.ai/") == ONE
    assert proxy_for("ws://models.example/") == OTHER


def test_without_variables_there_is_none():
    assert proxy_for("https://api.twilio.com/") is None


def test_scheme_may_be_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "one.example:3128")

    assert proxy_for("https://api.twilio.com/") == ONE


@pytest.mark.parametrize("kept", ["api.twilio.com", ".twilio.com", "*", "x.example, twilio.com"])
def test_hosts_are_taken_out(monkeypatch: pytest.MonkeyPatch, kept: str):
    monkeypatch.setenv("HTTPS_PROXY", ONE)
    monkeypatch.setenv("NO_PROXY", kept)

    assert proxy_for("https://api.twilio.com/") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "bot.localhost", "[::1]", "127.8.8.8"])
def test_this_machine_is_not_behind_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, ONE)

    assert [proxy_for(f"{scheme}://{host}:80/") for scheme in ("http", "https", "ws", "wss")] == (
        [None] * 4
    )


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example", "api.twilio.com", ""])
def test_other_machines_are_none_of_this(host: str):
    assert not is_this_machine(host)
