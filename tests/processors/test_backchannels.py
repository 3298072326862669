import pytest

from twilio_frames.processors.turns.backchannels import BACKCHANNELS, Backchannels

ENGLISH = Backchannels.of("en")


@pytest.mark.parametrize(
    "text",
    ["uh-huh", "Uh huh.", "Mm-hmm.", "mhm", "Mmmm", "Okay.", "OKAY", "right", "Yeah, yeah.",
     "Okay, right, I see.", "That\u2019s right!", "All right", "Yeahhh"],
)  # fmt: skip
def test_listening_is_a_backchannel(text: str):
    assert ENGLISH.cover(text)


@pytest.mark.parametrize(
    "text",
    ["no", "okay wait", "right now", "I want a latte", "yes please", "Okay, 2.", "", "...",
     "all", "got", "stop", "yeah but no"],
)  # fmt: skip
def test_words_are_no_backchannel(text: str):
    assert not ENGLISH.cover(text)


@pytest.mark.parametrize("language", sorted(BACKCHANNELS))
def test_each_language_knows_its_own(language: str):
    known = Backchannels.of(language)

    assert all(known.cover(phrase.upper()) for phrase in BACKCHANNELS[language])
    assert not known.cover("no")


def test_languages_add_up():
    both = Backchannels.of("en", "de")

    assert both.cover("okay, genau")
    assert not ENGLISH.cover("genau")


def test_unknown_language_is_refused():
    with pytest.raises(KeyError):
        Backchannels.of("xx")


def test_no_phrases_cover_nothing():
    assert not Backchannels([]).cover("okay")
