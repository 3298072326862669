"""The rest of a reply is joined without repeating what was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.services.continuation import Continuation

REPLY = "Good morning. We are open until six."


def joined(said: str, *pieces: str) -> str:
    rest = Continuation(said)
    return said + "".join(rest.add(piece) for piece in pieces) + rest.finish()


@pytest.mark.parametrize(
    "rest",
    [
        ("open until six.",),
        (" open", " until", " six."),
        ("Good", " morning. We", " are open until six."),
        ("We are", " open until six."),
        ("are open", " until six."),
    ],
)
def test_rest_is_said_once(rest: tuple[str, ...]):
    assert joined("Good morning. We are", *rest) == REPLY


def test_word_that_was_cut_is_completed():
    assert joined("Good mor", "Good morning.") == "Good morning."


def test_reply_that_only_repeats_adds_nothing():
    assert joined("Good morning.", "Good", " morning.") == "Good morning."


def test_other_words_are_said_whole():
    assert joined("We are", "closing soon.") == "We are closing soon."
    assert joined("We are ", "closing soon.") == "We are closing soon."


def test_first_reply_passes_as_it_comes():
    rest = Continuation()
    assert [rest.add(piece) for piece in (" Good", " morning")] == [" Good", " morning"]


words = st.lists(st.sampled_from(["a", "b", "ab", "ba", "c."]), min_size=1, max_size=8)


@given(words, st.integers(0, 8), st.integers(1, 5))
def test_no_repetition_is_ever_heard(text: list[str], cut: int, size: int):
    """Wherever it broke off: who begins anew is heard once."""
    whole = " ".join(text)
    said = " ".join(text[:cut])
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    heard = joined(said, *pieces)
    assert heard.endswith(whole[len(said) :])
    assert len(heard) <= len(whole)
