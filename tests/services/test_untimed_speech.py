"""What is kept, and what is left to say, when a voice without word times breaks off."""

import random
from collections.abc import Sequence
from itertools import accumulate

import pytest

from twilio_frames.audio import MULAW_SILENCE, mulaw_silence
from twilio_frames.services.untimed_speech import Pace, UntimedSpeech
from twilio_frames.testing.known_speech import SaidWord, TextVoice, VaryingVoice, sound

TEXT = "I can offer you a large latte with oat milk, or a small mocha with cream on top."
TEXTS = [
    TEXT,
    "I would like the small one, please, and then a second cup of tea.",
    "Yes, we do, on most days, but not today, sorry.",
    "The bread, the buns and the rolls, too, are fresh this morning.",
]
AHEAD = 0.5


def bare(mulaw: bytes) -> bytes:
    return mulaw.replace(bytes([MULAW_SILENCE]), b"")


def begin(
    speech: UntimedSpeech, words: Sequence[SaidWord], size: int, *, played: float = 0.0
) -> bytes:
    """So much audio comes; what has been handed on after so many seconds."""
    heard = speech.due(0.0)
    speech.take(sound(words)[:size])
    return heard + b"".join(speech.due(tick / 10) for tick in range(round(played * 10) + 1))


def test_all_is_handed_on_when_all_has_come():
    words = VaryingVoice()(TEXT)
    speech = UntimedSpeech(TEXT, pace=Pace())
    heard = begin(speech, words, len(sound(words)))

    assert len(heard) == AHEAD * 8000
    assert heard + speech.finish() == sound(words)
    assert (speech.said, speech.rest) == (TEXT, "")


def test_caller_has_some_audio_ahead():
    words = VaryingVoice()(TEXT)
    heard = begin(UntimedSpeech(TEXT, pace=Pace()), words, 20_000, played=1.2)

    assert heard == sound(words)[: round((1.2 + AHEAD) * 8000)]


@pytest.mark.parametrize("seed", range(8))
def test_pause_is_where_it_goes_on(seed: int):
    words = VaryingVoice(seed)(TEXT)
    clause = sound(words[:10])
    speech = UntimedSpeech(TEXT, pace=Pace())
    heard = begin(speech, words, len(clause) + 5000, played=1.0) + speech.lose()

    assert bare(heard) == bare(clause)
    assert len(clause) - len(heard) < 80, "the pause is part of it"
    assert speech.said == "I can offer you a large latte with oat milk,"
    assert speech.rest == "or a small mocha with cream on top."


def test_what_was_not_handed_on_is_asked_for_anew():
    speech = UntimedSpeech("So it is.", pace=Pace())
    speech.take(sound(VaryingVoice()("So it is."))[:2000])

    assert speech.lose() == b""
    assert speech.rest == "So it is."


def test_silence_says_nothing():
    speech = UntimedSpeech("So it is.", pace=Pace())
    speech.due(0.0)
    speech.take(mulaw_silence(0.4))
    speech.due(0.0)
    speech.lose()

    assert (speech.said, speech.rest) == ("", "So it is.")


def test_end_that_was_only_not_told_of_is_the_end():
    words = VaryingVoice()("One latte, please, sir.")
    speech = UntimedSpeech("One latte, please, sir.", pace=Pace())
    speech.take(sound(words) + mulaw_silence(0.2))
    speech.due(0.0)
    kept = speech.lose()

    assert speech.rest == ""
    assert kept.startswith(sound(words)[4000:])


def test_digits_are_long():
    """Counted as single letters, most of them would be lost."""
    text = "Call 555 0199 and ask for me"
    written = {"555": "fivefivefive", "0199": "zerooneninenine"}
    words = VaryingVoice()(" ".join(written.get(word, word) for word in text.split()))
    speech = UntimedSpeech(text, pace=Pace())
    begin(speech, words, len(sound(words[:2])) - 400, played=3.0)
    speech.lose()

    assert speech.said in ("", "Call")


class Break:
    """A voice breaks off somewhere, in a text behind another that it said wholly."""

    def __init__(self, seed: int, text: str, voice: TextVoice):
        chance = random.Random(seed)
        pace = Pace()
        before = UntimedSpeech(text, pace=pace)
        before.take(sound(voice(text)))
        before.finish()
        words = voice(text)
        self.speech = UntimedSpeech(text, pace=pace)
        size = chance.randrange(len(sound(words)))
        handed = begin(self.speech, words, size, played=chance.uniform(0, 4))
        heard = bare(handed + self.speech.lose())
        first = sum(heard.startswith(end) for end in accumulate(bare(w.mulaw) for w in words))
        self.repeated = first + len(self.speech.rest.split()) - len(words)
        """How many words are heard twice to their ends; below 0, how many are never heard."""


@pytest.mark.parametrize("seed", range(200))
def test_no_word_is_lost_and_few_come_twice(seed: int):
    """Every word is heard to its end; beside the one that broke, hardly one is heard twice."""
    broken = Break(seed, TEXT, VaryingVoice(seed))

    assert 0 <= broken.repeated <= 4
    assert f"{broken.speech.said} {broken.speech.rest}".strip() == TEXT


@pytest.mark.parametrize("breaths", [0.0, pytest.param(0.12, marks=pytest.mark.truth), 0.2])
@pytest.mark.parametrize("text", TEXTS)
def test_breath_makes_no_word_lost(text: str, breaths: float):
    """A breath ahead of a comma is not taken for the comma's pause."""
    repeated = [
        Break(seed, text, VaryingVoice(seed, breaths=breaths)).repeated for seed in range(100)
    ]

    assert min(repeated) >= 0, "a word is lost"
    assert sum(repeated) / len(repeated) < 1


@pytest.mark.parametrize("breath", range(11))
@pytest.mark.parametrize("stop", range(2000, 16000, 1600))
def test_breath_is_known_where_commas_have_no_pause(breath: int, stop: int):
    """The pace is the learnt one, so that the words' ends are where they are estimated."""
    text = "The bread, the buns and the rolls, too, are fresh this morning."
    noise = bytes([0x10])
    words = [noise * 560 * sum(map(str.isalpha, word)) for word in text.split()]
    ends = list(accumulate(map(len, words)))
    words[breath] += mulaw_silence(0.2)
    speech = UntimedSpeech(text, pace=Pace())
    speech.take(b"".join(words)[:stop])
    heard = bare(speech.due(0.0) + speech.lose())

    assert len(text.split()) - len(speech.rest.split()) <= sum(end <= len(heard) for end in ends)


@pytest.mark.parametrize("seed", range(8))
def test_far_too_little_audio_cannot_be_all(seed: int):
    words = VaryingVoice(seed)(TEXT)
    audio = sound(words)
    speech = UntimedSpeech(TEXT, pace=Pace())

    assert speech.is_short
    speech.take(audio[: len(audio) // 4])
    assert speech.is_short
    speech.take(audio[len(audio) // 4 :])
    assert not speech.is_short


def test_short_word_is_none_too_short():
    words = VaryingVoice()("No.")
    speech = UntimedSpeech("No.", pace=Pace())

    assert speech.is_short
    speech.take(sound(words))
    assert not speech.is_short


def test_text_without_words_needs_no_audio():
    assert not UntimedSpeech(" ", pace=Pace()).is_short
