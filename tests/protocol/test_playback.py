import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_frames.protocol import MarkEcho, Playback


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


def test_echoes_behind_a_clear_come_with_its_burst():
    playback = Playback()
    for position in (2000, 4000):
        playback.audio_sent(2000, now=0.0)
        playback.mark_sent(f"{position}", now=0.0)
    playback.clear_sent("fence", now=0.3)

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
    playback.clear_sent("fence", now=0.25)

    assert playback.cut is not None
    assert (playback.cut.position, playback.cut.is_settled) == (2000, False)


def test_burst_that_never_comes_is_settled_without():
    playback = Playback()
    playback.audio_sent(8000, now=0.0)
    playback.mark_sent("end", now=0.0)
    playback.clear_sent("fence", now=0.25)

    assert [echo.flushed for echo in playback.settle()] == [True]
    assert not playback.is_cutting
    assert playback.mark_echoed("end", now=2.0) == []
    assert not playback.is_playing(2.0)


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
    playback.clear_sent("fence", now=0.3)

    playback.mark_echoed("2000", now=0.31)
    playback.mark_echoed("4000", now=0.33)
    playback.mark_echoed("6000", now=0.35)
    playback.mark_echoed("fence", now=0.37)

    assert playback.cut is not None
    assert playback.cut.position == 2400


def test_lag_of_playback_is_a_lag_of_the_cut():
    """A network that stood still for 200 ms in mid-reply."""
    playback = Playback()
    for number in range(1, 11):
        playback.audio_sent(800, now=0.0)
        playback.mark_sent(f"{number}", now=0.0)
    for number in range(1, 4):
        playback.mark_echoed(f"{number}", now=0.1 * number + 0.05)
    for number in range(4, 8):
        playback.mark_echoed(f"{number}", now=0.1 * number + 0.25)

    playback.clear_sent("fence", now=1.0)

    assert playback.cut is not None
    assert playback.cut.position == pytest.approx(6400, abs=8)


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
    """Twilio's buffer at the other end of a line with delays; it knows the truth.

    Messages keep their order; what is sent at one instant arrives at one instant.
    """

    there: float
    back: float
    jitter: float
    chance: random.Random
    plays: list[tuple[float, int, int]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    ends_at: float = 0.0
    sent: int = 0
    arrived_at: float = 0.0

    def arrival(self, now: float) -> float:
        uneven = self.chance.uniform(0, self.jitter)
        self.arrived_at = max(self.arrived_at, now + self.there + uneven)
        return self.arrived_at

    def piece(self, length: int, name: str, now: float) -> None:
        begins_at = max(self.arrival(now), self.ends_at)
        self.plays.append((begins_at, self.sent, length))
        self.sent += length
        self.ends_at = begins_at + length / 8000
        self.marks.append((self.ends_at, name))

    def clear(self, now: float) -> tuple[int, list[tuple[float, str]]]:
        """Where it cuts, and all echoes with the times they come back."""
        cleared_at = self.arrival(now)
        heard = 0
        for begins_at, begin, length in self.plays:
            if begins_at < cleared_at:
                heard = begin + min(length, int((cleared_at - begins_at) * 8000 + 1e-6))
        echoes: list[tuple[float, str]] = []
        came_at, burst_at = 0.0, None
        for played_at, name in [*self.marks, (cleared_at, "fence")]:
            in_burst = played_at >= cleared_at
            if not in_burst or burst_at is None:
                leaves_at = min(played_at, cleared_at) + self.back
                came_at = max(came_at, leaves_at + self.chance.uniform(0, self.jitter))
            burst_at = came_at if in_burst else None
            echoes.append((came_at, name))
        return heard, echoes


def cut_of(seed: int, *, there: float, back: float, jitter: float) -> tuple[int, Playback]:
    """One reply, cut at a random moment: what was heard, and what is known of it."""
    chance = random.Random(seed)
    far, playback, now = FarEnd(there, back, jitter, chance), Playback(), 100.0
    length = chance.randint(8000, 32000)
    cut_at = now + chance.uniform(0.05, length / 8000)
    while playback.sent < length:
        sent_at = max(now, now + playback.sent / 8000 - 0.4)
        if sent_at >= cut_at:
            break
        size = chance.randint(200, 800)
        playback.audio_sent(size, sent_at)
        playback.mark_sent(f"{playback.sent}", sent_at)
        far.piece(size, f"{playback.sent}", sent_at)
    heard, echoes = far.clear(cut_at)
    for came_at, name in [echo for echo in echoes if echo[0] < cut_at]:
        playback.mark_echoed(name, came_at)
    playback.clear_sent("fence", cut_at)
    for came_at, name in [echo for echo in echoes if echo[0] >= cut_at]:
        playback.mark_echoed(name, came_at)
    return heard, playback


@given(
    seed=st.integers(0, 10**9),
    there=st.floats(0, 0.3),
    back=st.floats(0, 0.3),
)
def test_any_delay_leaves_the_cut_exact(seed: int, there: float, back: float):
    heard, playback = cut_of(seed, there=there, back=back, jitter=0.0)

    assert playback.cut is not None
    assert playback.cut.is_settled
    assert abs(playback.cut.position - heard) <= 1


@given(seed=st.integers(0, 10**9))
def test_uneven_line_is_off_by_its_unevenness(seed: int):
    heard, playback = cut_of(seed, there=0.1, back=0.1, jitter=0.03)

    assert playback.cut is not None
    # The audio's way there, and the clear's, may each be longer by that.
    assert abs(playback.cut.position - heard) <= 0.062 * 8000
