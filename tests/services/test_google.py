"""Google's services on the phone: what they ask for, and whom."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from loguru import logger
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.services.google import stt as pipecat_google
from pipecat.services.google.stt import GoogleSTTService
from pipecat.services.google.tts import GoogleTTSService
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import ConfigurationError
from twilio_frames.services.google import PhoneGoogleSTTService, PhoneGoogleTTSService
from twilio_frames.services.google.access import (
    GoogleAccess,
    GoogleClient,
    NoCredentialsError,
    category_of,
)


@pytest.fixture
def account() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "phone-bots",
            "private_key": pem.decode(),
            "client_email": "bot@phone-bots.iam.gserviceaccount.com",
            "token_uri": "http://127.0.0.1:1/token",
        }
    )


async def test_account_is_read_from_text_or_file(account: str, tmp_path):
    path = tmp_path / "account.json"
    path.write_text(account)
    for access in (GoogleAccess(credentials=account), GoogleAccess(credentials_path=str(path))):
        credentials, project = await access.identify()
        assert project == "phone-bots"
        assert getattr(credentials, "service_account_email", "").startswith("bot@")
    assert "private_key" not in repr(GoogleAccess(credentials=account))


async def test_clients_are_made_for_the_region(account: str):
    access = GoogleAccess(credentials=account)
    google = GoogleClient(SpeechAsyncClient, SpeechGrpcAsyncIOTransport, access)
    assert await google.open("eu-speech.googleapis.com") == "phone-bots"
    try:
        assert google.client is not None
        assert google.client.transport.kind == "grpc_asyncio"
    finally:
        await google.close()


@pytest.mark.parametrize("credentials", ["{}", "no json"])
async def test_unreadable_account_is_one_kind_of_error(credentials: str):
    with pytest.raises(NoCredentialsError) as info:
        await GoogleAccess(credentials=credentials).identify()
    assert category_of(info.value) is ErrorCategory.AUTHENTICATION


async def test_unusable_voice_keeps_words_out_of_the_log():
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")
    try:
        tts = PhoneGoogleTTSService(credentials="no json")
        await run_test(tts, frames_to_send=[SleepFrame(sleep=0.2), TTSSpeakFrame("Bada gime.")])
    finally:
        logger.remove(sink)

    assert not tts.is_usable
    assert lines
    assert "Bada" not in "".join(lines)


async def test_constructors_read_nothing():
    before = vars(pipecat_google).copy()
    stt = PhoneGoogleSTTService(credentials_path="/nowhere.json")
    PhoneGoogleTTSService(credentials_path="/nowhere.json")

    assert stt._settings.model == "telephony"  # pyright: ignore[reportPrivateUsage]
    assert vars(pipecat_google) == before


@pytest.mark.parametrize("service", [PhoneGoogleSTTService, PhoneGoogleTTSService])
async def test_other_sample_rates_are_refused(service):
    with pytest.raises(ConfigurationError, match="sample_rate=8000"):
        service(sample_rate=16000)


def test_settings_win_over_the_telephone_model():
    settings = PhoneGoogleSTTService.Settings(model="chirp_3")
    assert PhoneGoogleSTTService(settings=settings)._settings.model == "chirp_3"  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (GoogleSTTService, ["_stream_audio", "_get_language_codes", "_handle_transcription"]),
        (GoogleTTSService, ["_stream_tts", "_create_client"]),
        (pipecat_google, ["default", "speech_v2"]),
    ],
)
def test_pipecat_still_has_the_names(owner: object, names: list[str]):
    assert [name for name in names if not hasattr(owner, name)] == []
