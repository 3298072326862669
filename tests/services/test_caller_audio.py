"""The caller's audio on its way to a model that hears."""

from tests.services.realtime_rig import numbered
from twilio_frames.services.caller_audio import CallerAudio


def sent(audio: CallerAudio, *, rest: bool = False) -> bytes:
    return b"".join(audio.batches(rest=rest))


def test_turn_goes_out_from_before_its_onset():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset(0.2)
    assert sent(audio) == b""

    audio.hear(numbered(16000, 0.8))
    audio.begin_turn()
    audio.hear(numbered(22400, 0.1))
    audio.end_turn()
    audio.hear(numbered(23200, 1.0))

    assert sent(audio, rest=True) == numbered(12000, 1.4)
    assert sent(audio, rest=True) == b""


def test_false_alarm_stays_here():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset()
    audio.forget_onset()
    audio.hear(numbered(16000, 1.0))
    audio.mark_onset()
    audio.begin_turn()

    assert sent(audio) == numbered(24000 - 2400, 0.3)


def test_unanswered_turn_goes_out_once_more():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 1.0))
    audio.begin_turn()
    first = sent(audio)
    audio.end_turn()
    audio.start_over()
    assert sent(audio, rest=True) == first == numbered(4000, 0.5)

    audio.answered()
    audio.start_over()
    assert sent(audio, rest=True) == b""


def test_gap_is_made_up_for_where_all_flows():
    audio = CallerAudio(flows=True, batch_secs=0.1)
    audio.hear(numbered(0, 0.25))
    assert sent(audio) == numbered(0, 0.2)

    audio.start_over()
    audio.hear(numbered(2000, 0.25))
    assert sent(audio) == numbered(1600, 0.3)


def test_a_minute_is_kept():
    audio = CallerAudio(flows=True, batch_secs=0.1)
    for second in range(90):
        audio.hear(numbered(second * 8000, 1.0))

    assert sent(audio, rest=True) == numbered(30 * 8000, 60.0)


def test_snippets_are_the_beginning_of_their_turn():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset(0.2)
    assert audio.between(*audio.take_snippet()) == numbered(12000, 0.5)
    audio.hear(numbered(16000, 0.5))
    assert audio.between(*audio.take_snippet()) == numbered(16000, 0.5)

    audio.hear(numbered(20000, 0.1))
    audio.begin_turn()
    audio.hear(numbered(20800, 0.1))
    audio.end_turn()
    assert sent(audio, rest=True) == numbered(20000, 0.2)

    audio.start_over()
    assert sent(audio, rest=True) == numbered(12000, 1.2), "a new session knows nothing of them"


def test_dropped_snippet_begins_no_turn():
    audio = CallerAudio(flows=False, batch_secs=0.02)
    audio.hear(numbered(0, 2.0))
    audio.mark_onset(0.2)
    audio.take_snippet()
    audio.forget_onset()
    audio.drop_snippets()
    audio.hear(numbered(16000, 1.0))
    audio.mark_onset()
    audio.begin_turn()

    assert sent(audio) == numbered(24000 - 2400, 0.3)
