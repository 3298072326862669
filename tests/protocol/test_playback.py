from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol import MarkEcho, Playback


def test_marks_say_what_was_heard():
    playback = Playback()
    playback.audio_sent(8000, now=10.0)
    playback.mark_sent("a", now=10.0)

    assert playback.is_playing(10.5)
    assert playback.ends_at == 11.0
    assert playback.mark_echoed("a") == MarkEcho(
        name="a", position=8000, flushed=False, sent_at=10.0
    )
    assert not playback.is_playing(11.0)


def test_clear_flushes_the_marks_that_are_out():
    playback = Playback()
    playback.audio_sent(8000, now=0.0)
    playback.mark_sent("before", now=0.0)
    playback.clear_sent(now=0.1)
    playback.mark_sent("after", now=0.1)

    before, after = playback.mark_echoed("before"), playback.mark_echoed("after")

    assert before is not None
    assert before.flushed
    assert after is not None
    assert not after.flushed


def test_unknown_echoes_are_nothing():
    playback = Playback()

    assert playback.mark_echoed("never sent") is None


def test_same_names_come_back_one_for_one():
    playback = Playback()
    for length in (800, 1600):
        playback.audio_sent(length, now=0.0)
        playback.mark_sent("part", now=0.0)

    echoes = [playback.mark_echoed("part") for _ in range(3)]

    assert [echo and echo.position for echo in echoes] == [800, 2400, None]


def test_overdue_counts_from_playout():
    playback = Playback()
    playback.mark_sent("first", now=0.0)
    playback.mark_echoed("first")
    playback.audio_sent(16000, now=0.0)
    playback.mark_sent("second", now=0.0)

    assert playback.overdue(1.0) == 0.0
    assert playback.overdue(5.0) == 3.0


def test_silent_peers_owe_no_marks():
    playback = Playback()
    playback.mark_sent("a", now=0.0)

    assert playback.overdue(100.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 8000)), min_size=1, max_size=20))
def test_end_follows_the_audio(pieces: list[tuple[float, int]]):
    """Against a buffer that is drained step by step."""
    playback, now, buffered = Playback(), 100.0, 0.0
    for pause, length in pieces:
        now += pause
        buffered = max(0.0, buffered - pause) + length / 8000
        playback.audio_sent(length, now)

        assert abs(playback.ends_at - now - buffered) < 1e-6
