from pathlib import Path

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.rest import Credentials
from twilio_frames.server import ServerSettings

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
        ("TWILIO_FRAMES_PUBLIC_URL", "bot.example.com", "expected public_url such as"),
        ("TWILIO_FRAMES_PUBLIC_URL", "wss://bot.example.com", "expected public_url such as"),
        ("TWILIO_FRAMES_PUBLIC_URL", "https://h:port", "expected public_url such as"),
        ("TWILIO_FRAMES_API_URL", "ftp://h", "expected api_url such as"),
        ("TWILIO_FRAMES_TRUST_PROXIES", "maybe", "to be 1 or 0"),
        ("TWILIO_FRAMES_MAX_CALLS", "many", "to be a number"),
        ("TWILIO_FRAMES_MAX_CALLS", "0", "at least 1"),
        ("TWILIO_FRAMES_DRAIN_SECONDS", "-1", "positive"),
        ("TWILIO_FRAMES_DIAL_KEY", "short", "at least 16 characters"),
    ],
)
def test_wrong_values_are_named(variable: str, text: str, reason: str):
    with pytest.raises(ConfigurationError, match=reason):
        ServerSettings.from_environment({variable: text})


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
