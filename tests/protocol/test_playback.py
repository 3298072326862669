import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol import MarkEcho, Playback
from twilio_frames.protocol.playback import Cut


def test_marks_say_what_was_heard():
    playback = Playback()
    playback.audio_sent(8000, now=10.0)
    playback.mark_sent("a", now=10.0)

    assert playback.is_playing(10.5)
    assert playback.position(10.5) == 4000
    assert playback.mark_echoed("a", now=11.2) == [
        MarkEcho(name="a", position=8000, flushed=False, sent_at=10.0)
    ]
    assert playback.heard == 8000
    assert playback.round_trip == pytest.approx(0.2)
    assert not playback.is_playing(11.2)


def test_nothing_is_played_where_nobody_hears_it():
    playback = Playback()
    playback.is_audible = False
    playback.audio_sent(8000, now=10.0)

    assert playback.position(10.5) == 0


def test_new_stream_begins_with_nothing_to_play():
    playback = Playback()
    playback.audio_sent(8000, now=10.0)
    playback.mark_sent("a", now=10.0)
    playback.clear_sent(["fence"], now=10.3)
    playback.begin_anew(now=11.0)

    assert (playback.heard, playback.is_cutting) == (8000, False)
    assert not playback.is_playing(11.0)
    assert playback.mark_echoed("a", now=11.1) == []
    playback.audio_sent(4000, now=12.0)
    assert playback.position(12.25) == 8000 + 2000


def test_echoes_behind_a_clear_come_with_its_burst():
    playback = Playback()
    for position in (2000, 4000):
        playback.audio_sent(2000, now=0.0)
        playback.mark_sent(f"{position}", now=0.0)
    playback.clear_sent(["fence"], now=0.3)

    assert playback.mark_echoed("2000", now=0.25 + 0.1) == []
    assert playback.mark_echoed("4000", now=0.4) == []
    echoes = playback.mark_echoed("fence", now=0.4)

    assert [(echo.name, echo.flushed) for echo in echoes] == [("2000", False), ("4000", True)]
    assert playback.cut is not None
    assert playback.cut.is_settled
    assert playback.cut.position == 2400


def test_cut_is_calculated_before_the_burst():
    playback = Playback()
    playback.audio_sent(8000, now=0.0)
    playback.clear_sent(["fence"], now=0.25)

    assert playback.cut is not None
    assert (playback.cut.position, playback.cut.is_settled) == (2000, False)


def test_burst_that_never_comes_is_settled_without():
    playback = Playback()
    playback.audio_sent(8000, now=0.0)
    playback.mark_sent("end", now=0.0)
    playback.clear_sent(["fence"], now=0.25)

    assert [echo.flushed for echo in playback.settle()] == [True]
    assert not playback.is_cutting
    assert playback.mark_echoed("end", now=2.0) == []
    assert not playback.is_playing(2.0)


def test_echoes_that_come_before_the_burst_tell_of_what_was_played():
    """A line that has become slower: the ``clear`` is still under way."""
    playback = Playback()
    playback.mark_sent("0", now=0.0)
    for position in (2000, 4000, 6000):
        playback.audio_sent(2000, now=0.0, mark=f"{position}")
    playback.caller_at = 0
    playback.mark_echoed("0", now=0.02)
    playback.clear_sent(["fence"], now=0.6)
    playback.caller_at = 250
    playback.mark_echoed("2000", now=0.65)

    assert [echo.flushed for echo in playback.settle()] == [False, False, True]
    assert playback.cut is not None
    assert playback.cut.position == 4800


def test_marks_that_are_thrown_back_are_not_heard_where_the_fence_never_comes():
    playback = Playback()
    for position in (2000, 4000, 6000):
        playback.audio_sent(2000, now=0.0, mark=f"{position}")
    playback.clear_sent(["fence"], now=0.25)
    for position in (2000, 4000, 6000):
        playback.mark_echoed(f"{position}", now=0.26)

    assert [echo.flushed for echo in playback.settle()] == [False, True, True]
    assert playback.cut is not None
    assert playback.cut.position == 2000


def test_doubled_and_unknown_echoes_do_no_harm():
    playback = Playback()
    playback.audio_sent(800, now=0.0)
    playback.mark_sent("a", now=0.0)
    playback.mark_echoed("a", now=0.1)

    assert playback.mark_echoed("a", now=0.2) == []
    assert playback.mark_echoed("never sent", now=0.3) == []
    assert playback.heard == 800


def test_busy_loop_reads_a_burst_apart():
    playback = Playback()
    for position in (2000, 4000, 6000):
        playback.audio_sent(2000, now=0.0)
        playback.mark_sent(f"{position}", now=0.0)
    playback.clear_sent(["fence"], now=0.3)

    playback.mark_echoed("2000", now=0.31)
    playback.mark_echoed("4000", now=0.33)
    playback.mark_echoed("6000", now=0.35)
    playback.mark_echoed("fence", now=0.37)

    assert playback.cut is not None
    assert playback.cut.position == 2400


def test_lost_echo_is_made_up_for_by_the_next():
    playback = Playback()
    for name in "ab":
        playback.audio_sent(800, now=0.0)
        playback.mark_sent(name, now=0.0)

    playback.mark_echoed("b", now=0.2)

    assert playback.heard == 1600


def test_same_names_come_back_one_for_one():
    playback = Playback()
    for length in (800, 1600):
        playback.audio_sent(length, now=0.0)
        playback.mark_sent("part", now=0.0)

    positions = [[e.position for e in playback.mark_echoed("part", now=1.0)] for _ in range(3)]

    assert positions == [[800], [2400], []]


def test_overdue_counts_from_playout():
    playback = Playback()
    playback.mark_sent("first", now=0.0)
    playback.mark_echoed("first", now=0.0)
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


@dataclass
class FarEnd:
    """Twilio at the other end of a line with delays; it knows the truth.

    What it plays is counted to the sample. Messages keep their order; what is sent at one instant
    arrives at one instant.
    """

    there: float
    back: float
    jitter: float
    chance: random.Random
    plays: list[tuple[int, int, int]] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    ends_at: int = 0
    sent: int = 0
    cleared_at: int | None = None
    heard: int = 0
    sent_at: float = -1.0
    arrived_at: float = 0.0

    def arrival(self, now: float) -> int:
        if now != self.sent_at:
            uneven = self.chance.uniform(0, self.jitter)
            self.arrived_at = max(self.arrived_at, now + self.there + uneven)
            self.sent_at = now
        return math.ceil(self.arrived_at * 8000)

    def audio(self, length: int, now: float) -> None:
        begins_at = max(self.arrival(now), self.ends_at)
        self.plays.append((begins_at, self.sent, length))
        self.sent += length
        self.ends_at = begins_at + length

    def mark(self, name: str, now: float) -> None:
        self.marks.append((max(self.ends_at, self.arrival(now)), name))

    def clear(self, now: float) -> None:
        """Forgets what has not been played; all marks up to here are reached."""
        at = self.cleared_at = self.ends_at = self.arrival(now)
        for begins_at, begin, length in self.plays:
            if begins_at < at:
                self.heard = begin + min(length, at - begins_at)
        self.plays.clear()
        self.marks = [(min(due, at), name) for due, name in self.marks]

    def messages(self, until: float) -> list[tuple[float, str | int]]:
        """All that comes back, in order: names of marks, times of the caller's audio."""
        frames: list[tuple[int, int, str | int]] = [
            (160 * (number + 1), 1, 20 * number) for number in range(round(until * 50))
        ]
        marks: list[tuple[int, int, str | int]] = [(due, 0, name) for due, name in self.marks]
        came_at, arrivals = 0.0, list[tuple[float, str | int]]()
        left_before = None
        for left, _, message in sorted(marks + frames, key=lambda each: each[:2]):
            if left != left_before:
                leaves = left / 8000 + self.back + self.chance.uniform(0, self.jitter)
                came_at, left_before = max(came_at, leaves), left
            arrivals.append((came_at, message))
        return arrivals


@dataclass(frozen=True)
class Stall:
    """A stretch of time in which nothing is sent or read here."""

    begin: float
    end: float

    def after(self, now: float) -> float:
        return self.end if self.begin <= now < self.end else now


class Conversation:
    """Replies, each cut at a random moment: what of them was heard, and what is known of it."""

    def __init__(
        self,
        seed: int,
        *,
        there: float = 0.05,
        back: float = 0.05,
        jitter: float = 0.0,
        replies: int = 1,
        stalls: int = 0,
        fences: int = 13,
    ):
        self.playback = Playback()
        self.cuts: list[Cut] = []
        self.heard: list[int] = []
        self._chance = random.Random(seed)
        self._far = FarEnd(there, back, jitter, self._chance)
        self._fences = fences
        self._sent = 0
        self._ends_at = 0.0
        self._stalls: list[Stall] = []
        self._events: list[tuple[float, int, Callable[[float], object]]] = []
        now = self._chance.uniform(1.0, 1.02)
        for number in range(replies):
            now = self._reply(now, number, stalls) + 1.5 + there + back + 2 * jitter
        for at, message in self._far.messages(now):
            self._read(self._after_stalls(at), message)
        for at, _, happen in sorted(self._events, key=lambda event: event[:2]):
            happen(at)

    @property
    def off(self) -> list[int]:
        """Bytes by which each cut is known too far."""
        return [cut.position - heard for cut, heard in zip(self.cuts, self.heard, strict=True)]

    def _at(self, now: float, happen: Callable[[float], object]) -> None:
        self._events.append((now, len(self._events), happen))

    def _reply(self, began: float, number: int, stalls: int) -> float:
        length = self._chance.randint(12000, 40000)
        cut_at = began + self._chance.uniform(0.8, length / 8000)
        for at in sorted(self._chance.uniform(began, cut_at) for _ in range(stalls)):
            self._stalls.append(Stall(at, at + self._chance.uniform(0.05, 0.6)))
        position = 0
        while position < length:
            now = self._after_stalls(began + max(0.0, position / 8000 - 0.4))
            if now >= cut_at:
                break
            size = self._chance.choice([739, 739, self._chance.randint(100, 739)])
            position += size
            self._send(size, f"{self._sent + size}", now)
        cut_at = self._after_stalls(cut_at)
        self._clear(cut_at, number)
        return cut_at

    def _after_stalls(self, now: float) -> float:
        for stall in self._stalls:
            now = stall.after(now)
        return now

    def _send(self, size: int, mark: str, now: float) -> None:
        if now >= self._ends_at:
            self._mark_beginning(now)
        self._ends_at = max(self._ends_at, now) + size / 8000
        self._sent += size
        self._far.audio(size, now)
        self._far.mark(mark, now)
        self._at(now, lambda now: self.playback.audio_sent(size, now))
        self._at(now, lambda now: self.playback.mark_sent(mark, now))

    def _mark_beginning(self, now: float) -> None:
        name = f"begin {len(self._events)}"
        self._far.mark(name, now)
        self._at(now, lambda now: self.playback.mark_sent(name, now))

    def _clear(self, now: float, number: int) -> None:
        names = [f"fence {number}.{fence}" for fence in range(self._fences)]
        self._far.clear(now)
        self._ends_at = now + 1.0
        self.heard.append(self._far.heard)
        self._far.mark(names[0], now)
        self._at(now, lambda now: self.playback.clear_sent(names, now))
        for name in names[1:]:
            self._send(13, name, now)
        self._at(now + 1.4 + self._far.there + self._far.back, self._note_cut)

    def _note_cut(self, now: float) -> None:
        assert self.playback.cut is not None
        assert self.playback.cut.is_settled
        self.cuts.append(self.playback.cut)

    def _read(self, now: float, message: str | int) -> None:
        if isinstance(message, int):
            self._at(now, lambda _: setattr(self.playback, "caller_at", message))
        else:
            self._at(now, lambda now: self.playback.mark_echoed(message, now))


@given(seed=st.integers(0, 10**9), there=st.floats(0, 0.3), back=st.floats(0, 0.3))
def test_any_delay_leaves_the_cut_exact(seed: int, there: float, back: float):
    trial = Conversation(seed, there=there, back=back, replies=2, fences=1)

    assert max(map(abs, trial.off)) <= 2


@given(seed=st.integers(0, 10**9), jitter=st.floats(0, 0.15), stalls=st.integers(0, 3))
def test_uneven_line_leaves_cuts_known_within_their_bound(seed: int, jitter: float, stalls: int):
    trial = Conversation(seed, jitter=jitter, replies=3, stalls=stalls)

    for off, cut in zip(trial.off, trial.cuts, strict=True):
        assert abs(off) <= max(2, cut.bound)


@pytest.mark.parametrize(
    ("seed", "jitter", "stalls"),
    [(200, 0.0195, 1), (44079525, 0.0490862, 2), (130530333, 0.1368211, 1)],
)
def test_stall_as_long_as_the_lead_leaves_cuts_known_within_their_bound(
    seed: int, jitter: float, stalls: int
):
    """Twilio has nothing to play for a moment, which its copy on this side does not know of."""
    trial = Conversation(seed, jitter=jitter, replies=3, stalls=stalls)

    for off, cut in zip(trial.off, trial.cuts, strict=True):
        assert abs(off) <= max(2, cut.bound)


def test_vernier_divides_what_the_caller_audio_leaves_open():
    """On a line with 100 ms of jitter, which is 800 bytes."""
    offs = sorted(abs(off) for seed in range(150) for off in Conversation(seed, jitter=0.1).off)

    assert statistics.median(offs) <= 6
    assert offs[135] <= 16


def test_what_begins_late_at_twilio_plays_late():
    """By the time that its first message took, whatever others took before."""
    playback = Playback()
    assert playback.late_secs == math.inf, "no mark has told"
    for place, late in enumerate((0.02, 0.12)):
        playback.audio_sent(800, now=10.0 + place, mark=f"{place}")
        playback.audio_sent(800, now=10.0 + place, mark=f"{place} too")
        playback.mark_echoed(f"{place}", now=10.1 + place + late)
        playback.mark_echoed(f"{place} too", now=10.2 + place + late + 0.03)
        assert playback.late_secs == pytest.approx(late)
    # The buffer has run empty meanwhile; one mark alone may itself have been late.
    for place, late in enumerate((0.3, 0.25)):
        playback.audio_sent(800, now=11.2 + 0.1 * place, mark=f"on {place}")
        playback.mark_echoed(f"on {place}", now=11.3 + 0.1 * place + late)
    assert playback.late_secs == pytest.approx(0.25)
    # Of what has just begun nobody knows yet: at most as late as any.
    playback.audio_sent(800, now=14.0, mark="new")
    assert playback.late_secs == pytest.approx(0.3)
