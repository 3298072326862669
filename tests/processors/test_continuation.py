"""A reply that broke off is gone on with: each word is said, and said once."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twilio_frames.processors.replies.continuation import Continuation

REPLY = "Good morning. We are open until six."


def told(said: str, *pieces: str) -> list[str]:
    rest = Continuation(said)
    return [*map(rest.add, pieces), rest.finish()]


def joined(said: str, *pieces: str) -> str:
    return said + "".join(told(said, *pieces))


@pytest.mark.parametrize(
    "rest",
    [
        ("open until six.",),
        (" open", " until", " six."),
        ("Good", " morning. We", " are open until six."),
        ("We are", " open until six."),
        ("are open", " until six."),
        ("we", " are", " open until six."),
    ],
)
def test_rest_is_said_once(rest: tuple[str, ...]):
    assert joined("Good morning. We are", *rest) == REPLY


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ("Please go to", "town hall."),
        ("Please go to ", "town hall."),
        ("It is open for", "forty minutes."),
        ("Tell me, then, the", "theatre opens."),
        ("The shop is open and so is the", "shop."),
    ],
)
def test_word_that_begins_like_one_before_is_said(said: str, rest: str):
    assert joined(said, *rest) == f"{said.rstrip()} {rest}"


@pytest.mark.parametrize(
    ("said", "rest", "heard"),
    [
        ("We are open", ", until six.", "We are open, until six."),
        ("We are open", "We are open, until six.", "We are open, until six."),
        ("We are open,", "We are open until six.", "We are open, until six."),
        ("Vous êtes là", "Vous êtes là ? Oui.", "Vous êtes là ? Oui."),
        ("Vous êtes là ?", "Vous êtes là ? Oui.", "Vous êtes là ? Oui."),
        ("We are open,", "We are open, — until six.", "We are open, — until six."),
        ("It costs,", "costs, $5.", "It costs, $5."),
        ("Hello. ", "We are closing soon.", "Hello. We are closing soon."),
        ("—", "Hello.", "— Hello."),
    ],
)
def test_punctuation_stands_once(said: str, rest: str, heard: str):
    assert joined(said, rest) == heard
    assert joined(said, *rest) == heard


@pytest.mark.parametrize("rest", ["我们很好。", "们很好。", "你好。我们很好。"])
def test_scripts_without_spaces_are_joined(rest: str):
    assert joined("你好。我", *rest) == "你好。我们很好。"


def test_vowels_of_other_scripts_count():
    assert joined("राम की", "का घर") == "राम की का घर"


def test_scripts_without_spaces_are_said_as_they_come():
    assert told("", "你", "好。") == ["你", "好。", ""]


def test_reply_that_only_repeats_adds_nothing():
    assert joined("Good morning.", "Good", " morning.") == "Good morning."


def test_words_are_said_as_soon_as_they_are_new():
    assert told("We are", " closing ", "soon.") == [" closing", "", " soon."]
    assert told("We are", "We are ", "open ", "now.") == ["", " open", "", " now."]


def test_words_are_let_through_when_they_are_whole():
    assert told("", "Good", " morn", "ing. ", "We") == ["", "Good ", "morning. ", "", "We"]


def test_reply_goes_on_behind_a_pause():
    rest = Continuation("We are")
    assert rest.add("We are") + rest.finish() == ""
    assert rest.add(" open ") == " open"


VOCABULARY = "a at for forty the theatre to town five I I'll for, five. \N{EM DASH} 12:30 $5"
words = st.lists(st.sampled_from(VOCABULARY.split()), min_size=1, max_size=9)
cuts, sizes = st.integers(0, 9), st.integers(1, 7)


def bare(text: list[str]) -> list[str]:
    letters = ("".join(filter(str.isalnum, word)).casefold() for word in text)
    return [word for word in letters if word]


def in_pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def repetitions(said: list[str], rest: list[str]) -> list[int]:
    """How many words at the end of what was said the rest begins with, in all ways to read it."""
    before, behind = bare(said), bare(rest)
    longest = min(len(before), len(behind))
    return [length for length in range(1, longest + 1) if before[-length:] == behind[:length]]


@given(words, cuts, sizes, st.booleans())
def test_who_goes_on_is_heard_whole(text: list[str], cut: int, size: int, has_space: bool):
    said, rest = text[:cut], text[cut:]
    assume(not repetitions(said, rest))
    # A dash alone is no word, and is not said twice.
    assume(bare(said) or not said)
    pieces = in_pieces(" " * (has_space and bool(said)) + " ".join(rest), size)
    assert joined(" ".join(said), *pieces) == " ".join(text)


@given(words, cuts, sizes)
def test_who_begins_anew_is_heard_once(text: list[str], cut: int, size: int):
    whole, said = " ".join(text), " ".join(text[:cut])
    assert joined(said, *in_pieces(whole, size)) == whole


@given(words, words, words, sizes)
def test_who_repeats_the_last_words_is_heard_once(
    begin: list[str], last: list[str], rest: list[str], size: int
):
    said, again = begin + last, last + rest
    assume(bare(last) and max(repetitions(said, again)) == len(bare(last)))
    whole = " ".join(said + rest)
    assert joined(" ".join(said), *in_pieces(" ".join(again), size)) == whole
    otherwise = " ".join([*(word.upper().rstrip(".,") for word in last), *rest])
    assert joined(" ".join(said), *in_pieces(otherwise, size)) == whole


@given(words, sizes)
def test_reply_breaks_off_between_words(text: list[str], size: int):
    whole, rest, said = " ".join(text), Continuation(), ""
    for piece in in_pieces(whole, size):
        said += rest.add(piece)
        assert f"{whole} ".startswith(f"{said.rstrip()} " if said else "")
    assert said + rest.finish() == whole
