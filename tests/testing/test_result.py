"""The ear and the turns, without any clock."""

import pytest

from tests.testing.bots import tone
from twilio_frames.audio import mulaw_silence
from twilio_frames.testing.callers.ear import Ear, Spell
from twilio_frames.testing.callers.hearing import HeardWord
from twilio_frames.testing.callers.voice import FRAME_BYTES, Utterance, Voice
from twilio_frames.testing.results.result import Turn, turns_of, with_understood, with_words


def said(mulaw: bytes, at: float) -> Utterance:
    utterance = Utterance(mulaw=mulaw, label="words")
    utterance.began_at = at
    utterance.ended_at = at + len(mulaw) / 8000
    return utterance


def listen(*pieces: bytes) -> Ear:
    ear = Ear()
    sound = b"".join(pieces)
    for begin in range(0, len(sound), FRAME_BYTES):
        ear.hear(sound[begin : begin + FRAME_BYTES])
    return ear


def test_spells_are_found_to_the_sample():
    ear = listen(mulaw_silence(0.1234), tone(0.5), mulaw_silence(1))

    (spell,) = ear.spells
    assert spell.began_at == pytest.approx(0.1234, abs=1 / 8000)
    assert spell.ended_at == pytest.approx(0.6234, abs=2 / 8000)
    assert not ear.is_hearing
    assert ear.silent_secs == pytest.approx(1.0, abs=0.02)


def test_pause_between_words_is_no_end():
    ear = listen(tone(0.2), mulaw_silence(0.2), tone(0.2), mulaw_silence(0.4), tone(0.2))

    assert [round(spell.seconds, 1) for spell in ear.spells] == [0.6, 0.2]
    assert ear.is_hearing


def test_what_follows_a_clear_is_new():
    ear = listen(tone(0.2), mulaw_silence(0.1))
    ear.break_off()
    ear.hear(tone(0.2))

    assert len(ear.spells) == 2


def test_silence_around_a_recording_is_not_speech():
    utterance = said(mulaw_silence(0.5) + tone(0.5) + mulaw_silence(1), at=2)

    assert utterance.speech_began_at == pytest.approx(2.5, abs=0.001)
    assert utterance.speech_ended_at == pytest.approx(3.0, abs=0.001)


def test_answer_is_timed_from_the_last_sound():
    spells = [Spell(began_at=1.0, ended_at=2.0), Spell(began_at=4.5, ended_at=5.0)]

    _, caller, _ = turns_of([said(tone(1) + mulaw_silence(0.5), at=3)], spells)

    assert caller.answered_after == pytest.approx(0.5, abs=0.001)
    assert caller.silenced_after is None


def test_talking_over_is_timed_from_the_first_sound():
    spells = [Spell(began_at=1.0, ended_at=3.3), Spell(began_at=4.4, ended_at=5.0)]

    _, caller, _ = turns_of([said(tone(1), at=3)], spells)

    assert caller.silenced_after == pytest.approx(0.3, abs=0.001)
    assert caller.answered_after == pytest.approx(0.4, abs=0.001)


def test_unanswered_turn_has_no_time():
    spells = [Spell(began_at=9.0, ended_at=9.5)]

    first, second, _ = turns_of([said(tone(1), at=1), said(tone(1), at=7)], spells)

    assert (first.answered_after, second.answered_after) == (None, pytest.approx(1, abs=0.001))


def test_sentences_make_one_turn():
    spells = [Spell(began_at=1, ended_at=2), Spell(began_at=2.4, ended_at=3)]

    (turn,) = turns_of([], spells)
    between = turns_of([said(tone(0.1), at=2.1)], spells)

    assert (turn.began_at, turn.ended_at) == (1, 3)
    assert [turn.speaker for turn in between] == ["bot", "caller", "bot"]


def test_voice_says_one_thing_after_another():
    voice = Voice()
    first, second = Utterance(mulaw=tone(0.05), label=""), Utterance(mulaw=tone(0.02), label="")
    voice.say(first)
    voice.say(second)
    spoken = b"".join(voice.next_frame() for _ in range(5))

    assert spoken == tone(0.05) + mulaw_silence(0.01) + tone(0.02) + mulaw_silence(0.02)
    assert (first.began_at, first.ended_at) == (0.0, pytest.approx(0.05))
    assert (second.began_at, second.ended_at) == (pytest.approx(0.06), pytest.approx(0.08))


def test_falling_silent_ends_everything():
    voice = Voice()
    voice.say(Utterance(mulaw=tone(1), label=""))
    voice.say(Utterance(mulaw=tone(1), label=""))
    voice.next_frame()
    voice.fall_silent()

    assert voice.next_frame() == mulaw_silence(0.02)
    assert not voice.is_speaking
    assert voice.utterances[0].ended_at == pytest.approx(0.02)


def test_noise_lies_under_the_speech():
    quiet, noisy = Voice(), Voice(noise_level=-40, seed=1)
    for voice in (quiet, noisy):
        voice.say(Utterance(mulaw=tone(0.02), label=""))

    assert quiet.next_frame() != noisy.next_frame()
    assert noisy.next_frame() != mulaw_silence(0.02)


def test_word_behind_a_pause_is_in_the_turn_in_which_it_sounds():
    """Where a word begins is known to the end of the one before: a pause may be longer than it."""
    turns = [
        Turn(speaker="bot", began_at=10.37, ended_at=11.86),
        Turn(speaker="bot", began_at=12.21, ended_at=14.05),
    ]
    words = [
        HeardWord(text="latte.", began_at=11.43, ended_at=11.86),
        HeardWord(text="Any", began_at=11.85, ended_at=12.43),
        HeardWord(text="special", began_at=12.44, ended_at=12.87),
    ]

    assert [turn.words for turn in with_words(turns, words)] == ["latte.", "Any special"]


def test_what_was_understood_stands_with_its_turn():
    turns = [
        Turn(speaker="caller", began_at=1.0, ended_at=2.0, words="Two teas, please."),
        Turn(speaker="bot", began_at=2.5, ended_at=3.0, words="Two trees?"),
        Turn(speaker="caller", began_at=4.0, ended_at=5.0, words="No, teas."),
        Turn(speaker="caller", began_at=8.0, ended_at=9.0, words="Hello?"),
    ]

    told = with_understood(turns, [(0.5, "?"), (2.2, "2 trees"), (2.4, "please"), (5.5, "no teas")])

    assert [turn.told for turn in told] == [
        "Two teas, please. (understood: 2 trees please)",
        "Two trees?",
        "No, teas.",
        "Hello? (understood: nothing)",
    ]
    assert [turn.told for turn in with_understood(turns, None)] == [turn.words for turn in turns]
