"""When a short sound over the bot is transcribed, and what becomes of its item."""

import pytest

from twilio_frames.services.realtime.overlap_probe import OverlapProbe, spoken_words


def asked(*, item_id: str = "item", speech_secs: float = 0.4) -> OverlapProbe:
    """One snippet that the session has confirmed."""
    inquiry = OverlapProbe()
    inquiry.note_speech(speech_secs)
    inquiry.ask((0, 3200))
    inquiry.committed(item_id)
    return inquiry


@pytest.mark.parametrize(
    ("speech_secs", "silence_secs", "is_due"),
    [(0.2, 0.5, False), (0.3, 0.1, False), (0.3, 0.13, True)],
)
def test_words_are_asked_for_behind_a_words_length(
    speech_secs: float, silence_secs: float, is_due: bool
):
    inquiry = OverlapProbe()
    inquiry.note_speech(speech_secs)

    assert inquiry.is_due(silence_secs) is is_due


def test_pause_is_asked_about_once():
    inquiry = asked(speech_secs=0.4)

    assert not inquiry.is_due(0.5)
    inquiry.note_speech(0.5)
    assert inquiry.is_due(0.2), "more was said since"


def test_second_sound_is_measured_by_itself():
    inquiry = asked(speech_secs=0.4)
    inquiry.dismiss()
    inquiry.note_speech(0.5)
    assert not inquiry.is_due(0.5)

    inquiry.note_speech(0.1)
    inquiry.note_speech(0.3)
    assert inquiry.is_due(0.2)


def test_false_alarm_is_deleted_once():
    inquiry = asked()
    inquiry.transcribed("item", "Uh-huh.")
    inquiry.dismiss()

    assert inquiry.take_deletions() == ["item"]
    assert inquiry.take_deletions() == []
    assert not inquiry.is_open


def test_late_words_are_kept_for():
    inquiry = asked()
    inquiry.dismiss()
    assert inquiry.take_deletions() == []

    snippet = inquiry.transcribed("item", "Stop.")
    assert snippet is not None
    assert not inquiry.is_withdrawn(snippet)
    inquiry.begin_turn()
    assert inquiry.turn_words == "Stop."


def test_item_is_deleted_once_its_name_is_known():
    inquiry = OverlapProbe()
    inquiry.turn_committed((0, 3200))
    inquiry.note_speech(0.4)
    inquiry.ask((0, 3200))
    inquiry.committed("turn")
    inquiry.withdraw_all()
    assert inquiry.take_deletions() == []

    inquiry.committed("item")
    assert inquiry.take_deletions() == ["item"]
    late = inquiry.transcribed("item", "Stop.")
    assert late is not None
    assert inquiry.is_withdrawn(late)


def test_refused_commit_has_no_item():
    inquiry = OverlapProbe()
    inquiry.turn_committed((0, 3200))
    inquiry.note_speech(0.4)
    inquiry.ask((0, 3200))
    inquiry.commit_refused()
    inquiry.committed("item")

    assert inquiry.transcribed("item", "Stop.") is not None


def test_turn_of_one_word_is_held_already():
    inquiry = asked()
    inquiry.transcribed("item", "Stop.")
    inquiry.begin_turn()
    assert inquiry.end_turn()
    assert inquiry.transcribed("item", "Stop.") is None, "it is the turn's"

    inquiry = asked()
    inquiry.begin_turn()
    inquiry.note_speech(0.6)
    assert not inquiry.end_turn()
    assert not OverlapProbe().end_turn()


@pytest.mark.parametrize(
    ("transcript", "words"),
    [("Stop. ", "Stop."), ("[coughing]", ""), ("(sighs) no", "no"), ("...", ""), ("*hm*", "")],
)
def test_noises_are_no_words(transcript: str, words: str):
    assert spoken_words(transcript) == words


def test_what_was_told_is_not_lost_with_the_session():
    inquiry = asked()
    inquiry.transcribed("item", "Stop.")
    inquiry.begin_turn()
    inquiry.turn_committed((3200, 8000))
    inquiry.committed("rest")
    inquiry.lost()

    assert inquiry.lost_words == "Stop."
    assert inquiry.lost_stretches == [(3200, 8000)]
    assert inquiry.turn_end == 8000

    inquiry.turn_committed((8000, 8000))
    inquiry.committed("again")
    inquiry.transcribed("again", "When?")
    assert inquiry.turn_words == "Stop. When?"
    inquiry.lost()
    assert inquiry.lost_words == "Stop. When?"
    assert inquiry.lost_stretches == []


def test_sound_of_a_lost_session_may_still_begin_a_turn():
    inquiry = asked()
    inquiry.lost()
    inquiry.begin_turn()

    assert inquiry.lost_stretches == [(0, 3200)]


def test_false_alarm_waits_for_no_session_that_is_gone():
    inquiry = asked()
    inquiry.lost()
    inquiry.dismiss()

    assert not inquiry.is_open
    assert inquiry.take_deletions() == []


def test_only_the_latest_commits_are_waited_for():
    inquiry = OverlapProbe()
    for _ in range(100):
        inquiry.turn_committed((0, 800))
    inquiry.ask((800, 4000))
    for number in range(32):
        inquiry.committed(f"item{number}")

    assert inquiry.transcribed("item31", "Stop.") is not None
