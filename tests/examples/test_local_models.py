"""A conversation with models of this machine; a stand-in each for ears, mind and voice."""

import pytest

from tests.services.piper_rig import FakeVoice
from tests.services.whisper_rig import FakeWhisper, said
from twilio_frames.examples import local_models
from twilio_frames.model_threads import ModelThreads, SharedModels
from twilio_frames.services.piper import Mouth, PhonePiperTTSService
from twilio_frames.services.whisper import Ear, PhoneWhisperSTTService
from twilio_frames.testing import Caller, Phone
from twilio_frames.testing.vendors.openai import OpenAIServer


async def test_caller_is_heard_answered_and_remembered(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
):
    ears, voice = FakeWhisper(said("Why is the sky blue?")), FakeVoice()
    for service, made in (
        (PhoneWhisperSTTService, Ear(ears, ModelThreads("ears"))),
        (PhonePiperTTSService, Mouth(voice, ModelThreads("voice"))),
    ):
        monkeypatch.setattr(service, "models", SharedModels(lambda _name, made=made, **_: made))

    async def caller(telephone: Caller) -> None:
        await telephone.wait_for_bot(silence=0.5)
        await telephone.say("why is the sky blue")
        await telephone.wait_for_bot(silence=0.5)

    async with OpenAIServer(["It scatters."]) as server:
        monkeypatch.setattr(local_models, "URL", server.base_url)
        await local_models.warm_up()
        await phone.ring(local_models.bot, caller)

    assert voice.spoken[-1] == "It scatters."
    asked = [(one["role"], one["content"]) for one in server.asked[0].messages]
    assert asked[0] == ("system", local_models.THINKING.system_instruction)
    assert asked[1:] == [
        ("assistant", "Hello! Let us talk."),
        ("user", "Why is the sky blue?"),
    ]
