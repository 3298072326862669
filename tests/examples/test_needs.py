"""What an example lacks is said in a line, before it takes calls."""

import sys

import pipecat  # noqa: F401  # pyright: ignore[reportUnusedImport] Greets at its first import.
import pytest

from twilio_frames.cli import main
from twilio_frames.server import listening

NEEDS = {
    "function_calls": "expected OPENAI_API_KEY or OPENAI_BASE_URL in the environment, got nothing",
    "langchain_bot": "expected OPENAI_API_KEY or OPENAI_BASE_URL in the environment, got nothing",
    "realtime": "expected OPENAI_API_KEY in the environment, got nothing",
    "google_speech": "expected Google's credentials, got none that can be read",
}
EXTRAS = {
    "function_calls": ("jsonschema", "openai"),
    "langchain_bot": ("langchain_core.prompts", "langchain"),
    "google_speech": ("google.api_core.exceptions", "google"),
    "local_models": ("ctranslate2", "whisper"),
    "own_llm": ("pocketsphinx", "local"),
    "own_stt": ("espeakng_loader", "local"),
    "own_tts": ("pocketsphinx", "local"),
    "telephone.patient": ("pocketsphinx", "local"),
    "telephone.pin_menu": ("pocketsphinx", "local"),
    "telephone.who_calls": ("pocketsphinx", "local"),
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GOOGLE_SPEECH_TARGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))

    async def open_sockets(host: str, port: int) -> None:
        raise AssertionError("expected no calls to be taken")

    monkeypatch.setattr(listening, "open_sockets", open_sockets)


def served(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said when an example is to be served, and cannot be."""
    assert main(["serve", f"twilio_frames.examples.{name}:bot", "--port", "0"]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("name", NEEDS)
def test_missing_key_is_named(name: str, capsys: pytest.CaptureFixture[str]):
    said = served(name, capsys)

    assert said.startswith(f"twilio-frames serve: {NEEDS[name]}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", EXTRAS)
def test_missing_extra_is_named(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    module, extra = EXTRAS[name]
    anew = (f"twilio_frames.examples.{name}", *(one for one in sys.modules if _is_service(one)))
    for loaded in anew:
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    said = served(name, capsys)

    assert f"expected the module '{module}' to be installed, found none" in said
    assert f"[{extra}]" in said
    assert said.count("\n") == 1


def _is_service(module: str) -> bool:
    services = ("services.google", "services.function_calls", "services.openai")
    local = ("local", "examples.coffee_shop.hearing", "examples.services")
    return module.startswith(tuple(f"twilio_frames.{name}" for name in services + local))


@pytest.mark.parametrize("name", ["function_calls", "realtime"])
def test_bot_is_served_with_its_key(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests")
    with pytest.raises(AssertionError, match="expected no calls to be taken"):
        main(["serve", f"twilio_frames.examples.{name}:bot", "--port", "0"])
