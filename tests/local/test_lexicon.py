from pathlib import Path

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.local.recognition.lexicon import dictionary_text, grammar_words, pronounced

GRAMMAR = """#JSGF V1.0; // header
grammar shop.orders;
/* a comment with words */
public <order> = [ please ] ( /0.7/ i'd like <drink> | /3/ a_bit_of milk {tag} );
<drink> = tea | coffee;
"""


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "words.dict"
    path.write_text("a AH\na(2) EY\nbit B IH T\nof AH V\ntea T IY\n", "utf-8")
    return path


def test_words_are_what_is_spoken():
    assert grammar_words(GRAMMAR) == {"please", "i'd", "like", "a_bit_of", "milk", "tea", "coffee"}


def test_joined_words_sound_in_a_row(dictionary: Path):
    ways = pronounced(["a_bit_of"], dictionary, {})
    assert ways == {"a_bit_of": ["AH B IH T AH V", "EY B IH T AH V"]}


def test_extra_pronunciations_come_first(dictionary: Path):
    ways = pronounced(["tea"], dictionary, {"tea": ("T EY", "T IY")})
    assert ways == {"tea": ["T EY", "T IY"]}


def test_every_unknown_word_is_named(dictionary: Path):
    with pytest.raises(ConfigurationError, match="no espresso, latte:"):
        pronounced(["tea", "latte", "an_espresso".removeprefix("an_")], dictionary, {})


def test_file_numbers_further_ways():
    assert dictionary_text({"a": ["AH", "EY"]}) == "a AH\na(2) EY\n"
