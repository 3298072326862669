from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twilio_frames.testing.streams.playback import MAX_BUFFERED, Playback


class PlaybackMachine(RuleBasedStateMachine):
    """Against a model that plays one sample at a time from one plain list."""

    def __init__(self):
        super().__init__()
        self.playback = Playback()
        self.now = 0
        self.waiting: list[int | str] = []
        self.next_byte = 0
        self.heard: list[int | None] = []
        self.fetched: list[int | None] = []
        self.marks_back: list[tuple[str, int]] = []
        self.reached: list[tuple[str, int]] = []
        self.marks_set = 0

    def _pop_marks(self):
        while self.waiting and isinstance(self.waiting[0], str):
            self.marks_back.append((str(self.waiting.pop(0)), self.now))

    @rule(size=st.integers(0, 400))
    def queue(self, size):
        numbers = range(self.next_byte, self.next_byte + size)
        self.next_byte += size
        self.waiting += numbers

        assert self.playback.queue(bytes(number % 200 for number in numbers))

    @rule()
    def mark(self):
        name = f"mark {self.marks_set}"
        self.marks_set += 1
        self.waiting.append(name)
        self._pop_marks()
        self.playback.mark(name)

    @rule()
    def clear(self):
        self.waiting = [item for item in self.waiting if isinstance(item, str)]
        self._pop_marks()
        self.playback.clear()

    @rule(samples=st.integers(0, 400))
    def advance(self, samples):
        self.play_to(self.now + samples)
        self.playback.advance(self.now)

    @rule(size=st.integers(1, 400))
    def play(self, size):
        begin = len(self.fetched)
        self.play_to(begin + size)
        self.fetched = self.heard[: begin + size]
        due = self.fetched[begin:]
        played = self.playback.play(size)

        assert played.from_bot == sum(byte is not None for byte in due)
        assert list(played.audio) == [0xFF if byte is None else byte % 200 for byte in due]

    def play_to(self, sample):
        while self.now < sample:
            byte = self.waiting.pop(0) if self.waiting else None
            assert not isinstance(byte, str)
            self.heard.append(byte)
            self.now += 1
            self._pop_marks()

    @invariant()
    def marks_come_back_to_the_sample(self):
        self.reached += [(mark.name, mark.at) for mark in self.playback.take_reached()]
        assert self.reached == self.marks_back

    @invariant()
    def next_mark_is_foretold(self):
        ahead = [index for index, item in enumerate(self.waiting) if isinstance(item, str)]
        assert self.playback.next_mark == (self.now + ahead[0] if ahead else None)

    @invariant()
    def buffer_holds_what_waits(self):
        waiting = sum(isinstance(item, int) for item in self.waiting)
        assert self.playback.buffered_bytes == waiting

    @invariant()
    def spans_are_what_was_heard(self):
        truth = {sample: byte for sample, byte in enumerate(self.heard) if byte is not None}
        told = {
            span.sample + offset: span.begin + offset
            for span in self.playback.spans
            for offset in range(span.end - span.begin)
        }
        assert told == truth


TestPlaybackMachine = PlaybackMachine.TestCase


def names(playback: Playback) -> list[str]:
    return [mark.name for mark in playback.take_reached()]


def test_mark_waits_for_last_byte():
    playback = Playback()
    playback.queue(b"x" * 160)
    playback.mark("end")

    playback.advance(159)
    assert names(playback) == []
    playback.advance(400)
    assert playback.take_reached() == [("end", 160)]


def test_mark_on_empty_buffer_returns_at_once():
    playback = Playback()
    playback.mark("nothing before me")

    assert names(playback) == ["nothing before me"]


def test_clear_returns_every_mark():
    playback = Playback()
    for name in ("a", "b", "a"):
        playback.queue(b"x" * 160)
        playback.mark(name)
    playback.clear()

    assert names(playback) == ["a", "b", "a"]
    assert playback.play(160).from_bot == 0
    assert playback.cleared_bytes == 480


def test_clear_cuts_at_the_playing_byte():
    playback = Playback()
    playback.queue(b"x" * 160)
    playback.advance(33)
    playback.clear()

    played = playback.play(160)
    assert played.audio == b"x" * 33 + b"\xff" * 127
    assert (played.from_bot, played.cleared_at) == (33, (33,))


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
