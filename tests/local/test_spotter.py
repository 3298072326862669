"""Words that are looked for in a recording."""

import pytest

from twilio_frames.audio import decode_mulaw, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.local.recognition.spotter import Spotter
from twilio_frames.local.synthesiser import BOT_VOICE, CALLER_VOICE, Synthesiser
from twilio_frames.testing.speech import to_mulaw


@pytest.fixture(scope="module")
def spotter() -> Spotter:
    return Spotter(["say it again", "large cappuccino", "booked for seven"])


async def spoken(text: str, voice: str = BOT_VOICE) -> bytes:
    speech = await Synthesiser(voice, words_per_minute=160).speak(text)
    return decode_mulaw(to_mulaw(speech.pcm, speech.sample_rate))


SORRY = "Sorry, I did not catch that. Could you say it again?"


@pytest.mark.parametrize("voice", [BOT_VOICE, CALLER_VOICE])
async def test_only_what_was_said_is_found(spotter, voice):
    pcm = await spoken(SORRY, voice)

    assert spotter.find("say it again", pcm) is not None
    assert spotter.find("large cappuccino", pcm) is None
    assert spotter.find("booked for seven", pcm) is None


async def test_place_is_told_in_a_long_recording():
    """The phrase lies over the end of the first window."""
    silence = decode_mulaw(mulaw_silence(6.4))
    pcm = await spoken("So that is a large cappuccino with honey.")

    found = Spotter(["large cappuccino"], window_secs=7.4).find("large cappuccino", silence + pcm)

    assert found is not None
    assert 6.7 < found.start < 7.4 < found.end < 8.9


def test_nothing_is_found_in_nothing(spotter):
    assert spotter.find("say it again", b"") is None
    assert spotter.find("say it again", decode_mulaw(mulaw_silence(3))) is None


def test_words_without_a_pronunciation_are_named(spotter):
    with pytest.raises(ConfigurationError, match="xqzzt"):
        spotter.learn("hello xqzzt")
