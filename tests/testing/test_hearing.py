"""Which words were heard, by their sounds."""

import numpy as np
import pytest

from tests.testing.bots import tone
from twilio_frames.audio import Resampler, decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.local.synthesiser import BOT_VOICE, Synthesiser
from twilio_frames.testing.callers.hearing import (
    Hearing,
    KnownWord,
    contains,
    heard_words,
    plain_words,
    spelled_out,
)
from twilio_frames.testing.speech import to_mulaw


def sound(seed: int, seconds: float = 0.25) -> bytes:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * 8000))
    smooth = np.convolve(noise, np.ones(6) / 6, "same")
    return encode_mulaw((smooth * 9000).clip(-32000, 32000).astype(np.int16).tobytes())


def word(text: str, seed: int, utterance: int = 0) -> KnownWord:
    return KnownWord(text=text, mulaw=sound(seed), utterance=utterance)


ONE, TWO, THREE = word("one", 1), word("two", 2), word("three", 3)


def test_words_are_found_in_their_places():
    ear = mulaw_silence(0.5) + ONE.mulaw + mulaw_silence(0.1) + TWO.mulaw

    first, second = heard_words(ear, [ONE, TWO])

    assert (first.text, first.began_at, first.ended_at) == ("one", 0.5, 0.75)
    assert (second.text, second.began_at) == ("two", 0.85)


def test_cut_word_was_not_heard():
    ear = ONE.mulaw + TWO.mulaw[:1200] + mulaw_silence(1)

    assert [heard.text for heard in heard_words(ear, [ONE, TWO, THREE])] == ["one"]


def test_same_words_again_belong_to_the_next_utterance():
    again = [KnownWord(text=each.text, mulaw=each.mulaw, utterance=1) for each in (ONE, TWO, THREE)]
    ear = ONE.mulaw + TWO.mulaw[:800] + mulaw_silence(1) + ONE.mulaw + TWO.mulaw + THREE.mulaw

    heard = heard_words(ear, [ONE, TWO, THREE, *again])

    assert [each.text for each in heard] == ["one", "one", "two", "three"]
    assert heard[1].began_at > 1


def test_resampled_words_are_found():
    up, down = Resampler(8000, 16000), Resampler(16000, 8000)
    pcm = up.resample(decode_mulaw(ONE.mulaw + TWO.mulaw)) + up.flush()
    ear = mulaw_silence(0.3) + encode_mulaw(down.resample(pcm) + down.flush())

    heard = heard_words(ear, [ONE, TWO, THREE])

    assert [each.text for each in heard] == ["one", "two"]
    assert heard[0].began_at == pytest.approx(0.3, abs=0.01)


def test_phrases_do_not_mind_punctuation():
    heard = ["So", "that's", "a", "large", "latte,", "for", "$4."]

    assert contains(heard, "A large latte!")
    assert contains(heard, "that\N{RIGHT SINGLE QUOTATION MARK}s a large")
    assert contains(heard, "for four")
    assert not contains(heard, "large that's")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("7", "seven"),
        ("42", "forty two"),
        ("115", "one hundred fifteen"),
        ("0800", "zero eight zero zero"),
        ("2026", "two zero two six"),
    ],
)
def test_numbers_are_spelled_out(text, words):
    assert spelled_out(text).split() == words.split()
    assert plain_words(f"Room {text}, please") == ["room", *words.split(), "please"]


@pytest.fixture(scope="module")
def recogniser() -> Hearing:
    return Hearing()


async def test_recogniser_hears_without_known_words(recogniser):
    spoken = await Synthesiser(BOT_VOICE, words_per_minute=165).speak(
        "Your table for two is booked. Is there anything else?"
    )
    ear = tone(0.1) + mulaw_silence(0.5) + to_mulaw(spoken.pcm, spoken.sample_rate)

    assert await recogniser.has_heard("anything else", ear)
    assert await recogniser.has_heard("table for 2", ear)
    assert not await recogniser.has_heard("good morning", ear)
    assert not await recogniser.has_heard("anything else", mulaw_silence(2))


async def test_unknown_words_are_named(recogniser):
    with pytest.raises(ConfigurationError, match="xqzzt"):
        await recogniser.prepare(["hello xqzzt"])
