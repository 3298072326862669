"""How far a voice has got, in words and in audio."""

import pytest

from twilio_frames.processors.words.progress import (
    HeldAudio,
    behind_words,
    is_speakable,
    words_in,
)


@pytest.mark.parametrize(
    ("words", "rest", "beyond"),
    [
        (0, "One — two, three!", 0),
        (1, " — two, three!", 0),
        (2, " three!", 0),
        (3, "", 0),
        (5, "", 2),
    ],
)
def test_rest_of_a_text_lies_behind_its_spoken_words(words: int, rest: str, beyond: int):
    assert behind_words("One — two, three!", words) == (rest, beyond)


def test_signs_are_no_words():
    assert words_in("Well — 'yes' … no .") == 3
    assert words_in("日本 語") == 2
    assert not is_speakable(" _ — …")


def test_audio_is_needed_as_it_is_played_and_a_lead_before():
    audio = HeldAudio(lead_secs=0.5)
    audio.take(b"a" * 8000)

    assert audio.needed(10.0) == 4000
    assert audio.hand_on(4000) == b"a" * 4000
    assert audio.needed(10.25) == 6000
    # Whoever waited for it had nothing left from 10.5 on.
    assert audio.needed(20.0) == 8000


def test_places_go_on_where_more_is_asked_for():
    audio = HeldAudio(lead_secs=0.5)
    audio.take(b"a" * 800)
    audio.hand_on(500)
    assert audio.is_ahead

    audio.drop_rest()
    assert (audio.end, audio.is_ahead) == (500, False)
    audio.ask_anew()
    audio.take(b"b" * 800)
    assert (audio.begin, audio.end) == (500, 1300)
    assert audio.hand_on(600) == b"b" * 100
    assert audio.sounding(500, 1300) == 800
