"""Where words lie in speech of which nobody tells where they are."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.audio import SAMPLE_RATE, Resampler, encode_mulaw, mulaw_silence
from twilio_frames.local.synthesiser import Synthesiser
from twilio_frames.processors.words.letter_alignment import aligned_ends
from twilio_frames.processors.words.letter_sounds import LETTERS, SOUNDS
from twilio_frames.processors.words.sounding import BLOCK, loud_blocks
from twilio_frames.processors.words.word_places import (
    SpeechPace,
    silent_texts,
    spoken_letters,
    word_ends,
)
from twilio_frames.testing.known_speech import burst, said, sound

TEXTS = (
    "The ferry leaves at noon, so please be at the pier in good time.",
    "Sorry, we only take cash here.",
    "Ah, I see what you mean, let me try that again.",
    "Both of the rooms have a shower and a desk.",
)


def speech(text: str, voice: str = "en-us+f3", pace: int = 170) -> tuple[bytes, list[int]]:
    """How a text sounds, and where the sound of each of its words ends."""
    made = Synthesiser(voice, words_per_minute=pace).synthesise(text)
    resampler = Resampler(made.sample_rate, SAMPLE_RATE)
    mulaw = encode_mulaw(resampler.resample(made.pcm) + resampler.flush())
    bounds = [*(round(word.start * SAMPLE_RATE) for word in made.words), len(mulaw)]
    loud = np.flatnonzero(loud_blocks(mulaw))
    lasts = loud[np.searchsorted(loud, np.array(bounds[1:]) / BLOCK) - 1]
    return mulaw, ((lasts + 1) * BLOCK).tolist()


def share_wrong(true: list[int], places: list[int], length: int) -> float:
    """At which share of all moments other words than those heard would be taken for heard."""
    moments = np.arange(0, length, BLOCK)
    heard = np.searchsorted(true, moments, "right")
    return float((heard != np.searchsorted(places, moments, "right")).mean())


@pytest.mark.parametrize("pace", [140, 200])
def test_words_are_found_by_their_sound(pace: int):
    shares: list[float] = []
    for text in TEXTS:
        mulaw, ends = speech(text, pace=pace)
        shares.append(share_wrong(ends, word_ends(text.split(), mulaw, len(mulaw)), len(mulaw)))

    # By their letters alone it is a third.
    assert np.mean(shares) < 0.2


def test_words_end_where_that_is_wrong_at_the_fewest_moments():
    shares: list[float] = []
    for voice in ("en-us+f3", "en-us+m1", "en-us+f2", "en-us+klatt3"):
        for text, pace in product(TEXTS, (130, 170, 210)):
            mulaw, ends = speech(text, voice, pace)
            shares.append(share_wrong(ends, word_ends(text.split(), mulaw, len(mulaw)), len(mulaw)))

    # By the one likeliest course of the letters it is 0.095.
    assert np.mean(shares) < 0.09


@pytest.mark.parametrize("text", TEXTS)
def test_words_lie_in_their_order(text: str):
    mulaw, _ = speech(text)
    places = word_ends(text.split(), mulaw, len(mulaw))

    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_words_of_unfinished_speech_lie_where_they_would():
    text = TEXTS[0]
    mulaw, ends = speech(text)
    known = mulaw[: len(mulaw) * 6 // 10]
    places = word_ends(text.split(), known, len(mulaw))

    assert share_wrong(ends, places, len(known)) < 0.3
    assert places == sorted(places)
    assert len(known) < places[-1] <= len(mulaw)


def test_word_that_sounds_where_the_known_sound_breaks_off_is_not_over():
    at_the_cut = 0
    for text in (TEXTS[0], TEXTS[2]):
        mulaw, _ = speech(text)
        for cut in range(2400, len(mulaw) - 800, 1600):
            if loud_blocks(mulaw[:cut])[-2:].all():
                places = word_ends(text.split(), mulaw[:cut], len(mulaw))
                at_the_cut += any(cut - BLOCK <= place <= cut for place in places)

    # Of 28 it is true of one.
    assert at_the_cut <= 2


def test_what_is_no_speech_is_shared_by_letters():
    """Noise tells nothing of letters."""
    words = said("boda gime lopu nasi", burst)
    mulaw = sound(words)

    assert aligned_ends([word.text for word in words], mulaw, len(mulaw)) is None
    places = word_ends([word.text for word in words], mulaw, len(mulaw))
    assert places == pytest.approx([len(mulaw) * quarter / 4 for quarter in (1, 2, 3, 4)], abs=160)


@pytest.mark.parametrize("short", [0, 2])
def test_word_ahead_of_a_pause_ends_there_whichever_side_of_it_the_letters_say(short: int):
    """And the words on either side of the pause share what sounds there."""
    text = "bodagi melo, pena sirotu"
    words = said(text, lambda word: burst("bo")[:1600] * (2 if word in text.split()[short] else 1))
    mulaw = sound(words)
    places = word_ends(text.split(), mulaw, len(mulaw))

    assert places[1] == pytest.approx(sum(len(word.mulaw) for word in words[:2]), abs=160)
    assert places[1] < places[2] < places[3] == pytest.approx(len(mulaw), abs=160)


def test_word_does_not_begin_before_it_was_told_of():
    mulaw, words = burst("bo")[:1600] * 20, TEXTS[0].split()
    told_at = [0] * 5 + [24000] + [0] * (len(words) - 6)
    places = word_ends(words, mulaw, len(mulaw), told_at=told_at)

    assert word_ends(words, mulaw, len(mulaw))[4] < 20000
    assert 24000 - BLOCK <= places[4] < places[5]
    assert places == sorted(places)


def test_letters_that_nobody_knows_share_the_sound():
    mulaw, _ = speech("Good morning to you all.")
    words = ["доброе", "утро", "всем"]

    assert aligned_ends(words, mulaw, len(mulaw)) is None
    places = word_ends(words, mulaw, len(mulaw))
    assert len(set(places)) == 3
    assert places == sorted(places)


def test_sound_that_is_gone_counts_as_sound():
    mulaw, _ = speech("Good morning to you all.")
    places = word_ends(["one", "two", "six", "ten"], mulaw, 3 * len(mulaw), missing=2 * len(mulaw))

    assert places == sorted(places)
    assert places[1] < 2 * len(mulaw) < places[-1]


@given(
    st.lists(st.text("abcxyz,.!0\u00e9\u4e2d-", min_size=1), max_size=12),
    st.integers(0, 8000),
    st.integers(0, 6000),
)
def test_places_never_decrease(words: list[str], size: int, unknown: int):
    noise = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    for mulaw in (noise, mulaw_silence(size / SAMPLE_RATE), noise[: size // 2] + noise[:80] * 9):
        places = word_ends(words, mulaw, len(mulaw) + unknown)
        assert len(places) == len(words)
        assert places == sorted(places)
        assert all(0 <= place <= len(mulaw) + unknown + BLOCK for place in places)


def test_table_has_a_row_for_each_letter():
    assert [len(row) for row in SOUNDS] == [17] * len(LETTERS)


def test_pace_of_a_voice_is_learned():
    pace = SpeechPace()
    letters = [5] * 10
    assert pace.holds(50 * 400, letters)
    pace.learn(50 * 800, 50)
    assert not pace.holds(50 * 400, letters)
    assert not pace.holds(0, [1])
    assert pace.holds(800, [1, 2])


def test_markup_has_no_letters():
    assert list(spoken_letters('<break time="1s"/> Hello, <b>you</b>')) == [0, 0, 5, 3]


@pytest.mark.parametrize("voice", ["en-us+f3", "en-us+m1"])
@pytest.mark.parametrize("silent", [range(0), range(1), range(1, 2), range(3, 4), range(1, 3)])
def test_texts_without_a_sound_are_found_by_the_sound_of_the_others(silent: range, voice: str):
    texts = [text for number, text in enumerate(TEXTS) if number not in silent]
    mulaw = b"".join(speech(text, voice)[0] for text in texts)

    assert silent_texts(TEXTS, mulaw, SpeechPace()) == silent


def test_quick_voice_has_said_all():
    mulaw = b"".join(speech(text, pace=220)[0] for text in TEXTS)

    assert silent_texts(TEXTS, mulaw, SpeechPace()) == range(0)


def test_text_without_a_sound_is_found_by_its_length_where_sound_tells_nothing():
    texts = ["boda gime lopu nasi", "rito fe", "sudo bake nilo pera gime lopu nasi rito"]
    mulaw = sound(said(f"{texts[0]} {texts[1]}", burst))

    assert silent_texts(texts, mulaw, SpeechPace()) == range(2, 3)
    assert silent_texts(texts, sound(said(" ".join(texts), burst)), SpeechPace()) == range(0)


def test_letters_that_nobody_knows_take_a_known_pace():
    texts, pace = ["доброе утро всем", "как ваши дела сегодня утром"], SpeechPace()
    mulaw = sound(said(texts[1], burst))
    assert silent_texts(texts, mulaw, pace) == range(0)

    pace.learn(len(mulaw), sum(spoken_letters(texts[1])))
    assert silent_texts(texts, mulaw, pace) == range(1)


def test_voice_that_tells_of_its_words_leaves_out_two_texts_or_more():
    """Behind one that it leaves out, Pipecat still knows the words of the next."""
    texts = ["boda gime", "rito fesu", "sudo bake", "nilo pera"]
    mulaw = sound(said("boda gime nilo pera", burst))

    assert silent_texts(texts, mulaw, SpeechPace(), told=1) == range(1, 3)
    assert silent_texts(texts[:3], mulaw, SpeechPace(), told=1) == range(0)


@pytest.mark.parametrize("word", ["rotu.", "bakery.", "noon."])
@pytest.mark.parametrize("pace", [90, 170])
def test_sound_of_the_last_word_that_was_told_is_not_shared_with_a_text_without_any(
    word: str, pace: int
):
    mulaw, _ = speech(word, pace=pace)

    assert silent_texts([word, TEXTS[0]], mulaw, SpeechPace(), told=1) == range(1, 2)
