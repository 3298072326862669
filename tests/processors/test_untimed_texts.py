"""Texts that a voice with word times tells nothing of: silent ones, and such as are spoken."""

import pytest

from tests.pipecat_versions import UNTOLD_SENTENCE, unless_pipecat_112
from tests.processors.words_rig import Audio, near


@unless_pipecat_112(UNTOLD_SENTENCE)
def test_text_that_shares_the_time_of_the_next_one_made_no_sound():
    """As Pipecat tells of a sentence that the voice left out, its words' times with it."""
    audio = Audio()
    audio.begin()
    silent, spoken = audio.announce("Good morning, everybody."), audio.announce("We open.")
    audio.word("Good morning, everybody.", 500, of=silent)
    audio.word("We", 500, of=spoken)
    audio.word("open.", 800, of=spoken)
    audio.say(0.3, at=500)
    audio.say(0.4)
    audio.layer.over("c")

    assert near(audio.laid, [("We", 2400), ("open.", 5600)])
    assert audio.layer.take_unsounded() == ["Good morning, everybody."]


def with_text_between(middle: str, seconds: float, times: tuple[int, int], *, is_early: bool):
    """Three texts are said, of which the one in the middle has no word times of its own.

    Args:
        middle: That text.
        seconds: How long the sound of all is.
        times: When the last text's two words begin, milliseconds.
        is_early: Whether the words come ahead of the audio or behind.
    """
    audio = Audio()
    audio.begin()
    first, untimed = audio.announce("Hello."), audio.announce(middle)
    last = audio.announce("We open.")
    if not is_early:
        audio.say(seconds, at=500)
    audio.word("Hello.", 500, of=first)
    audio.word(middle, times[0], of=untimed)
    audio.word("We", times[0], of=last)
    audio.word("open.", times[1], of=last)
    if is_early:
        audio.say(seconds, at=500)
    audio.layer.over("c")
    return audio


@unless_pipecat_112(UNTOLD_SENTENCE)
@pytest.mark.parametrize("is_early", [False, True])
def test_silent_text_between_others_is_left_out(is_early: bool):
    audio = with_text_between("How are you this morning?", 1.0, (800, 1100), is_early=is_early)

    assert near(audio.laid, [("Hello.", 2400), ("We", 4800), ("open.", 8000)])
    assert audio.layer.take_unsounded() == ["How are you this morning?"]


@unless_pipecat_112(UNTOLD_SENTENCE)
@pytest.mark.parametrize("is_early", [False, True])
def test_text_without_times_lies_on_the_sound_before_the_next_one(is_early: bool):
    """A voice may speak a sentence and tell of none of its words."""
    audio = with_text_between("How are you today?", 2.6, (2500, 2800), is_early=is_early)

    assert " ".join(word for word, _ in audio.laid) == "Hello. How are you today? We open."
    ends = [end for _, end in audio.laid]
    assert ends[1:5] == sorted(ends[1:5])
    assert ends[4] <= 16_000 < ends[5]
    assert audio.layer.take_unsounded() == []


@unless_pipecat_112(UNTOLD_SENTENCE)
def test_silent_sentence_of_one_word_is_left_out():
    audio = Audio()
    audio.begin()
    silent, spoken = audio.announce("Absolutely!"), audio.announce("We open.")
    audio.word("Absolutely!", 500, of=silent)
    audio.word("We", 500, of=spoken)
    audio.word("open.", 800, of=spoken)
    audio.say(0.7, at=500)
    audio.layer.over("c")

    assert near(audio.laid, [("We", 2400), ("open.", 5600)])
    assert audio.layer.take_unsounded() == ["Absolutely!"]
