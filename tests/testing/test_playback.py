from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twilio_frames.testing.playback import MAX_BUFFERED, Playback


class PlaybackMachine(RuleBasedStateMachine):
    """Against a model that keeps every byte and mark in one plain list."""

    def __init__(self):
        super().__init__()
        self.playback = Playback()
        self.waiting: list[int | str] = []
        self.is_sounding = False
        self.next_byte = 0
        self.marks_set: list[str] = []
        self.marks_back: list[str] = []

    @rule(size=st.integers(0, 400))
    def queue(self, size):
        audio = bytes((self.next_byte + index) % 200 for index in range(size))
        self.next_byte += size
        self.waiting += list(audio)

        assert self.playback.queue(audio)

    @rule()
    def mark(self):
        name = f"mark {len(self.marks_set)}"
        self.marks_set.append(name)
        at_once = self.playback.mark(name)

        has_audio = self.is_sounding or any(isinstance(item, int) for item in self.waiting)
        assert at_once == (not has_audio)
        if at_once:
            self.marks_back.append(name)
        else:
            self.waiting.append(name)

    @rule()
    def clear(self):
        marks = [item for item in self.waiting if isinstance(item, str)]
        self.waiting.clear()

        assert list(self.playback.clear()) == marks
        self.marks_back += marks

    @rule(size=st.integers(1, 400))
    def play(self, size):
        played = self.playback.play(size)
        due: list[int | str] = []
        while self.waiting and isinstance(self.waiting[0], str):
            due.append(self.waiting.pop(0))
        audio: list[int] = []
        rest: list[int | str] = []
        for item in self.waiting:
            if isinstance(item, int) and len(audio) < size:
                audio.append(item)
            else:
                rest.append(item)
        self.waiting = rest
        self.is_sounding = bool(audio)

        assert list(played.marks) == due
        assert played.from_bot == len(audio)
        assert list(played.audio) == audio + [0xFF] * (size - len(audio))
        self.marks_back += played.marks

    @invariant()
    def marks_come_back_in_order(self):
        assert self.marks_back == self.marks_set[: len(self.marks_back)]

    @invariant()
    def buffer_holds_what_waits(self):
        waiting = sum(isinstance(item, int) for item in self.waiting)
        assert self.playback.buffered_bytes == waiting


TestPlaybackMachine = PlaybackMachine.TestCase


def test_mark_waits_for_last_byte():
    playback = Playback()
    playback.queue(b"x" * 160)
    playback.mark("end")

    assert playback.play(160).marks == ()
    assert playback.play(160).marks == ("end",)


def test_mark_on_empty_buffer_returns_at_once():
    assert Playback().mark("nothing before me")


def test_clear_returns_every_mark():
    playback = Playback()
    for name in ("a", "b", "a"):
        playback.queue(b"x" * 160)
        playback.mark(name)

    assert playback.clear() == ("a", "b", "a")
    assert playback.play(160).from_bot == 0
    assert playback.cleared_bytes == 480


def test_more_than_ten_minutes_are_discarded():
    playback = Playback()

    assert playback.queue(b"x" * MAX_BUFFERED)
    assert not playback.queue(b"x")
    assert (playback.buffered_bytes, playback.discarded_bytes) == (MAX_BUFFERED, 1)


@given(st.lists(st.binary(max_size=700), max_size=8), st.integers(1, 320))
def test_all_audio_is_played_in_order(pieces, size):
    playback = Playback()
    for piece in pieces:
        playback.queue(piece)
    heard = b""
    while playback.buffered_bytes:
        played = playback.play(size)
        heard += played.audio[: played.from_bot]

    assert heard == b"".join(pieces)
