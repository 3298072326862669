"""Words lie where their sound ends, whenever a voice tells of them."""

import pytest
from pipecat.frames.frames import AggregatedTextFrame, TTSStartedFrame, TTSTextFrame

from tests.processors.words_rig import Audio, near
from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.processors.words import WordAligner


def test_words_end_where_their_sound_does():
    audio = Audio()
    audio.say(0.25, pause=0.15, at=1000)
    audio.say(0.3)
    audio.word("Hello,", 1000)
    audio.word("you.", 1400)
    audio.layer.over("c")

    assert near(audio.laid, [("Hello,", 2000), ("you.", 5600)])


def test_words_may_come_before_their_audio():
    audio = Audio()
    audio.word("one", 500)
    audio.word("two", 750)
    audio.say(0.1, at=500)
    assert audio.laid == []
    audio.say(0.4)
    audio.layer.over("c")

    assert near(audio.laid, [("one", 2000), ("two", 4000)])


def test_words_may_come_long_after_their_audio():
    audio = Audio()
    audio.say(0.5, at=500)
    audio.word("one", 500)
    audio.word("two", 750)
    audio.layer.over("c")

    assert near(audio.laid, [("one", 2000), ("two", 4000)])


def test_queued_utterance_counts_from_the_word_before():
    """Pipecat times its words from the last word's beginning, for that one is later."""
    audio = Audio()
    audio.say(1.0, at=100, context="a")
    audio.word("first", 100, context="a")
    audio.word("last", 600, context="a")
    audio.layer.over("a")
    audio.say(1.0, at=150, context="b")
    audio.word("next", 600, context="b")
    audio.word("end", 1100, context="b")
    audio.layer.over("b")

    assert near(audio.laid, [("first", 4000), ("last", 8000), ("next", 12000), ("end", 16000)])


def test_sentence_is_laid_by_its_letters():
    audio = Audio()
    audio.say(1.0)
    audio.sentence("aaa aaa aaaaaa")

    assert near(audio.laid, [("aaa", 2000), ("aaa", 4000), ("aaaaaa", 8000)])


def test_silence_takes_no_letters():
    audio = Audio()
    audio.say(0.5, pause=0.5)
    audio.say(0.5)
    audio.sentence("word, word")

    assert near(audio.laid, [("word,", 4000), ("word", 12000)])


def test_each_sentence_has_its_stretch():
    audio = Audio()
    audio.say(0.5)
    audio.sentence("One.")
    audio.say(0.5)
    audio.sentence("Two.")

    assert near(audio.laid, [("One.", 4000), ("Two.", 8000)])


def test_unfinished_sentence_is_laid_by_its_announcement():
    audio = Audio()
    audio.announce("one two three four")
    audio.say(0.6)

    audio.layer.cut(heard=4800)

    assert [word for word, _ in audio.laid] == ["one", "two", "three", "four"]
    assert audio.laid[-1][1] > 4800


def test_text_of_nobodys_speech_has_no_place():
    audio = Audio()

    assert not audio.layer.text(TTSTextFrame("Nothing was said.", "sentence"))
    assert audio.laid == []


def test_cut_utterance_leaves_no_time_behind():
    audio = Audio()
    audio.say(1.0, at=100)
    audio.word("cut", 100)
    audio.word("off", 9000)
    audio.layer.cut(heard=4000)
    audio.laid.clear()

    audio.say(0.5, at=2000, context="next")
    audio.word("one", 2000, context="next")
    audio.word("two", 2250, context="next")
    audio.layer.over("next")

    assert near(audio.laid, [("one", 10000), ("two", 12000)])


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("first_pts", [3800, 1500])
def test_words_behind_protected_ones_count_from_those_or_anew(is_complete: bool, first_pts: int):
    """Newer Pipecats have them count from the last word of speech that may not be interrupted."""
    audio = Audio()
    audio.begin(interruptible=False)
    audio.say(3.0, at=1000)
    audio.word("notice", 1000)
    audio.word("ends", 3800)
    if is_complete:
        audio.layer.over("c")
    audio.layer.cut(8000)
    audio.layer.move(len(audio.mulaw))
    audio.layer.over("c")
    audio.laid.clear()
    audio.begin(context="d")
    audio.say(1.0, at=1500, context="d")
    audio.word("the", first_pts, context="d")
    audio.word("answer", first_pts + 500, context="d")
    audio.layer.over("d")

    assert near(audio.laid, [("the", 28000), ("answer", 32000)])


def test_announcement_of_timed_words_is_not_laid():
    audio = Audio()
    audio.announce("one two")
    audio.say(0.4, pause=0.1, at=100)
    audio.word("one", 100)

    audio.layer.cut(heard=2000)

    assert [word for word, _ in audio.laid] == ["one"]


def test_words_of_audio_that_never_came_are_not_laid():
    audio = Audio()
    for number, text in enumerate(("one", "two", "three", "four")):
        audio.word(text, 500 + 250 * number)
    audio.say(0.4, at=500)

    audio.layer.cut(heard=3200)

    assert near(audio.laid, [("one", 2000)])


def test_word_whose_sound_broke_off_is_not_laid():
    audio = Audio()
    audio.announce("one two")
    audio.say(0.4, at=500)
    audio.word("one", 500)

    audio.layer.cut(heard=3200)

    assert audio.laid == []


def two_words_of_which_one_breaks_off() -> Audio:
    audio = Audio()
    audio.word("one", 500)
    audio.word("two", 750)
    audio.say(0.4, at=500)
    audio.layer.word_broken_off("c")
    return audio


def test_word_that_broke_off_for_good_is_not_laid():
    audio = two_words_of_which_one_breaks_off()
    audio.layer.over("c")

    assert near(audio.laid, [("one", 2000)])


def test_word_that_broke_off_lies_where_it_is_begun_anew():
    audio = two_words_of_which_one_breaks_off()
    audio.say(0.3)
    audio.word("three", 1200)
    audio.say(0.2)
    audio.layer.over("c")

    assert near(audio.laid, [("one", 2000), ("two", 5600), ("three", 7200)])


def test_word_that_broke_off_is_not_whole_before_it_is_begun_anew():
    audio = two_words_of_which_one_breaks_off()
    audio.say(0.1)

    audio.layer.cut(heard=4000)

    assert near(audio.laid, [("one", 2000)])


def test_last_word_before_a_silence_is_laid():
    audio = Audio()
    audio.say(0.4, pause=0.1, at=500)
    audio.word("one", 500)

    audio.layer.cut(heard=4000)

    assert near(audio.laid, [("one", 3200)])


@pytest.mark.parametrize(
    ("said_secs", "silent_secs", "expected"),
    [
        (0.5, 0.001, ["one"]),  # the sound crosses zero
        (0.4, 0.06, ["one"]),  # ahead of a "t"
        (0.55, 0.06, ["one", "water,"]),
        (0.4, 0.15, ["one", "water,"]),
    ],
)
def test_silence_ends_a_word_where_it_is_long_or_the_word_has_sounded(
    said_secs: float, silent_secs: float, expected: list[str]
):
    audio = Audio()
    audio.announce("one water, three")
    audio.say(said_secs, pause=silent_secs, at=500)
    audio.word("one", 500)
    audio.word("water,", 700)

    audio.layer.cut(heard=len(audio.mulaw))

    assert [word for word, _ in audio.laid] == expected


@pytest.mark.parametrize("tells_late", [True, False])
def test_more_words_may_have_sounded_where_a_voice_tells_of_them_late(tells_late: bool):
    audio = Audio()
    audio.announce("one two")
    audio.announce("three four")
    for say in (True, False) if tells_late else (False, True):
        if say:
            audio.say(0.8, at=500)
        else:
            audio.word("one", 500)
            audio.word("two", 900)
    audio.say(0.6, at=900)

    audio.layer.cut(heard=len(audio.mulaw))

    assert [word for word, _ in audio.laid] == ["one", "two", "three", "four"][
        : 4 if tells_late else 1
    ]
    assert audio.laid[0][1] == 3200
    assert all(place > 4800 for _, place in audio.laid[1:])


def test_last_word_there_was_to_say_is_laid():
    audio = Audio()
    audio.announce("one two")
    audio.say(0.4, at=500)
    audio.word("one", 500)
    audio.word("two", 700)

    audio.layer.cut(heard=3200)

    assert near(audio.laid, [("one", 1600), ("two", 3200)])


def test_cut_lays_all_sentences_that_were_announced():
    audio = Audio()
    audio.announce("one two")
    audio.announce("three four")
    audio.say(0.5)

    audio.layer.cut(heard=4000)

    assert [word for word, _ in audio.laid] == ["one", "two", "three", "four"]
    assert audio.laid[1][1] < 8000 < audio.laid[3][1]


def test_text_ahead_of_its_audio_waits_for_it():
    audio = Audio()
    for text in ("aaa aaa", "aaaaaa"):
        audio.announce(text)
        audio.begin()
        audio.sentence(text)
    assert audio.laid == []
    audio.say(1.0)
    audio.layer.over("c")

    assert near(audio.laid, [("aaa", 2000), ("aaa", 4000), ("aaaaaa", 8000)])


def test_words_at_one_time_share_the_stretch():
    audio = Audio()
    audio.say(1.0, at=100)
    for text, pts in (("one", 100), ("two", 100), ("three", 600)):
        audio.word(text, pts)
    audio.layer.over("c")

    assert near(audio.laid, [("one", 2000), ("two", 4000), ("three", 8000)])


def test_announced_text_that_is_not_remembered_is_not():
    heard: list[AggregatedTextFrame] = []
    layer = WordAligner(lambda frame, _: heard.append(frame), lambda begin, end: b"")
    speech, announced = TTSStartedFrame("c"), AggregatedTextFrame("one", "sentence", "c")
    speech.append_to_context, announced.will_be_spoken = False, True
    layer.announce(announced)
    layer.start(speech)
    layer.audio("c", 0, 8000, 0)
    layer.cut(heard=8000)

    assert [frame.append_to_context for frame in heard] == [False]


@pytest.mark.parametrize(("last", "is_cut"), [("two", True), ("three", False)])
def test_cut_tells_whether_words_were_to_come(last: str, is_cut: bool):
    audio = Audio()
    audio.announce("one two three")
    audio.say(0.5, at=100)
    audio.word("one", 100)
    audio.word(last, 300)

    assert audio.layer.cut(heard=4000) is is_cut


def test_sentence_that_was_still_to_be_made_is_missed():
    audio = Audio()
    audio.announce("One.")
    audio.begin()
    audio.say(0.5)
    audio.sentence("One.")
    audio.announce("Two.")

    assert audio.layer.cut(heard=4000)


@pytest.mark.parametrize("audio_first", [True, False])
def test_running_text_is_laid_over_the_whole(audio_first: bool):
    audio = Audio()
    audio.begin()
    if audio_first:
        audio.say(0.25)
    for piece in ("one", " two", " ten", " six"):
        audio.sentence(piece, runs_on=True)
    audio.say(0.75 if audio_first else 1.0)
    assert audio.laid == []
    audio.layer.over("c")

    expected = [("one", 2000), (" two", 4000), (" ten", 6000), (" six", 8000)]
    assert near(audio.laid, expected)


def test_running_text_is_not_spoken_before_it_is_written():
    """The voice takes its time over the first word; of the third there is sound and no text."""
    audio = Audio()
    audio.begin()
    for piece, seconds in (("one", 0.8), (" two", 0.2), ("", 0.3)):
        audio.say(seconds)
        if piece:
            audio.sentence(piece, runs_on=True)
    audio.layer.cut(heard=len(audio.mulaw))

    (one, one_ends), (two, two_ends) = audio.laid
    assert (one, two) == ("one", " two")
    assert one_ends >= 0.8 * SAMPLE_RATE - 80
    assert SAMPLE_RATE - 80 <= two_ends < len(audio.mulaw)


@pytest.mark.parametrize("is_stopped", [True, False])
@pytest.mark.parametrize("counts_on", [True, False])
def test_utterance_that_begins_again_has_times_of_its_own(is_stopped: bool, counts_on: bool):
    audio = Audio()
    audio.begin()
    audio.say(0.6, at=1000)
    audio.word("one", 1000)
    audio.word("two", 1300)
    if is_stopped:
        audio.layer.over("c")
    for began in (6000, 9000):
        audio.announce("three four")
        audio.begin()
        length = len(audio.mulaw) // 8 if counts_on else 0
        audio.say(0.5, at=began)
        audio.word("three", began + length)
        audio.word("four", began + length + 250)
        if is_stopped:
            audio.layer.over("c")
    audio.layer.over("c")

    first = [("one", 2400), ("two", 4800)]
    assert near(
        audio.laid,
        [*first, ("three", 6800), ("four", 8800), ("three", 10800), ("four", 12800)],
    )


def test_text_announced_for_the_new_beginning_is_of_it():
    audio = Audio()
    audio.begin()
    audio.announce("one")
    audio.say(0.2)
    audio.sentence("one")
    audio.announce("two")
    audio.begin()
    audio.say(0.4)

    audio.layer.cut(len(audio.mulaw))
    assert [word for word, _ in audio.laid] == ["one", "two"]


def test_end_of_the_reply_ends_what_nothing_else_ends():
    audio = Audio()
    audio.announce("one two")
    audio.begin()
    audio.say(0.5, at=1000)
    audio.word("one", 1000)
    audio.word("two", 1250)

    assert audio.layer.end_reply(len(audio.mulaw)) == ["c"]
    assert near(audio.laid, [("one", 2000), ("two", 4000)])


def test_end_of_the_reply_leaves_running_text_alone():
    """A model that speaks itself may still do so."""
    audio = Audio()
    audio.begin()
    audio.say(0.5)

    assert audio.layer.end_reply(len(audio.mulaw)) == []
