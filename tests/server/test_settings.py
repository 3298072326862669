from pathlib import Path

import pytest
from loguru import logger

from twilio_frames.errors import ConfigurationError
from twilio_frames.rest import Credentials
from twilio_frames.server import ServerSettings
from twilio_frames.server.settings import WrongSettingsError, doubts, environment_without

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t0ken"}


def test_environment_is_read():
    settings = ServerSettings.from_environment(
        ACCOUNT
        | {
            "TWILIO_PHONE_NUMBER": "+14155550199",
            "TWILIO_FRAMES_PUBLIC_URL": " https://bot.example.com ",
            "TWILIO_FRAMES_TRUST_PROXIES": "Yes",
            "TWILIO_FRAMES_MAX_CALLS": "7",
            "TWILIO_FRAMES_DRAIN_SECONDS": "1.5",
            "TWILIO_FRAMES_APOLOGY": "",
            "TWILIO_FRAMES_CALL_LOGS": "logs",
            "TWILIO_FRAMES_LOG_WORDS": "1",
            "TWILIO_API_KEY": "",
        },
        token_seconds=5,
    )

    assert settings == ServerSettings(
        account_sid="AC1",
        auth_token="t0ken",
        phone_number="+14155550199",
        public_url="https://bot.example.com",
        trust_proxies=True,
        max_calls=7,
        drain_secs=1.5,
        apology=None,
        call_logs=Path("logs"),
        log_words=True,
        token_seconds=5,
    )


def test_empty_environment_suffices():
    settings = ServerSettings.from_environment({})

    assert settings == ServerSettings()
    assert settings.credentials is None
    assert not settings.is_public


def test_credentials_are_the_accounts():
    settings = ServerSettings.from_environment(ACCOUNT)

    assert settings.credentials == Credentials(account_sid="AC1", auth_token="t0ken")


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        (
            "TWILIO_FRAMES_PUBLIC_URL",
            "bot.example.com",
            "public_url .TWILIO_FRAMES_PUBLIC_URL. such",
        ),
        (
            "TWILIO_FRAMES_PUBLIC_URL",
            "wss://bot.example.com",
            "public_url .TWILIO_FRAMES_PUBLIC_URL. such",
        ),
        (
            "TWILIO_FRAMES_PUBLIC_URL",
            "https://h:port",
            "public_url .TWILIO_FRAMES_PUBLIC_URL. such",
        ),
        ("TWILIO_FRAMES_API_URL", "ftp://h", "expected api_url .TWILIO_FRAMES_API_URL. such"),
        (
            "TWILIO_FRAMES_TRUST_PROXIES",
            "maybe",
            "_TRUST_PROXIES to be 1 or 0, got 'maybe'",
        ),
        ("TWILIO_FRAMES_MAX_CALLS", "many", "to be a whole number, got 'many'"),
        ("TWILIO_FRAMES_MAX_CALLS", "0", "TWILIO_FRAMES_MAX_CALLS. of at least 1, got 0"),
        ("TWILIO_FRAMES_DRAIN_SECONDS", "-1", "TWILIO_FRAMES_DRAIN_SECONDS. of at least 0, got -1"),
        ("TWILIO_FRAMES_DIAL_KEY", "short", "TWILIO_FRAMES_DIAL_KEY. of at least 16 characters"),
        ("TWILIO_FRAMES_DIAL_PREFIXES", "44", "TWILIO_FRAMES_DIAL_PREFIXES"),
        ("TWILIO_FRAMES_MAX_CONNECTIONS", "5", "TWILIO_FRAMES_MAX_CONNECTIONS. above max_calls"),
        ("TWILIO_FRAMES_MOST_LAG_SECONDS", "late", "to be a number, got 'late'"),
        ("TWILIO_PHONE_NUMBER", "5550188", "TWILIO_PHONE_NUMBER. with .*, got 7 other"),
        ("TWILIO_ACCOUNT_SID", "SKwrong", "TWILIO_ACCOUNT_SID to begin with AC.*TWILIO_API_KEY"),
    ],
)
def test_wrong_values_are_named(variable: str, text: str, reason: str):
    with pytest.raises(ConfigurationError, match=reason) as error:
        ServerSettings.from_environment({variable: text})
    assert "5550188" not in str(error.value)


def test_all_that_is_wrong_is_told_at_once():
    environment = {
        "TWILIO_FRAMES_MAX_CALLS": "lots",
        "TWILIO_FRAMES_LOG_WORDS": "maybe",
        "TWILIO_FRAMES_WORKER": "a/b",
        "TWILIO_FRAMES_DIALS_PER_MINUTE": "0",
        "TWILIO_FRAMES_DRAIN_SECONDS": "nan",
    }
    with pytest.raises(WrongSettingsError) as error:
        ServerSettings.from_environment(environment | {"TWILIO_FRAMES_BLOCKED_SECONDS": "1"})

    told = str(error.value)
    assert all(name in told for name in environment)
    assert len(told.splitlines()) == len(environment)
    assert environment_without(environment, error.value.wrong) == {}


@pytest.mark.parametrize(
    ("environment", "doubt"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC123"}, "TWILIO_ACCOUNT_SID to be AC and 32"),
        ({"TWILIO_REGION": "mars"}, "TWILIO_REGION to be us1, ie1, au1, got 'mars'"),
        ({"TWILIO_FRAMES_MAX_CALL": "5"}, "_MAX_CALL: did you mean TWILIO_FRAMES_MAX_CALLS?"),
        ({"TWILIO_FRAMES_COLOUR_OF_INK": "5"}, "nothing reads TWILIO_FRAMES_COLOUR_OF_INK"),
    ],
)
def test_what_was_hardly_meant_is_warned_of(environment: dict[str, str], doubt: str):
    logged: list[str] = []
    sink = logger.add(logged.append, level="WARNING")
    try:
        ServerSettings.from_environment(environment)
    finally:
        logger.remove(sink)

    assert [doubt in line for line in logged] == [True]
    fine = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_REGION": "ie1"}
    assert [*doubts(ServerSettings.from_environment(fine), fine)] == []
    # Whoever started a worker has been told; a simulated Twilio may name accounts as it likes.
    assert [*doubts(ServerSettings(), environment | {"TWILIO_FRAMES_PLACE": "1"})] == []
    simulated = ServerSettings(account_sid="AC1", api_url="http://127.0.0.1:1")
    assert [*doubts(simulated, {})] == []


@pytest.mark.parametrize(
    ("url", "public"),
    [("http://127.0.0.1:8000", False), ("http://localhost", False), ("https://h.example", True)],
)
def test_public_is_what_others_reach(url: str, public: bool):
    assert ServerSettings(public_url=url).is_public is public


def test_secrets_stay_out_of_repr():
    shown = repr(
        ServerSettings(
            auth_token="t0ken",
            api_secret="s3cret",
            dial_key="k3y" * 9,
            phone_number="+14155550199",
            shared_keys={"id": "sh4red"},
        )
    )

    for secret in ("t0ken", "s3cret", "k3y", "1415555", "sh4red"):
        assert secret not in shown
