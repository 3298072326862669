"""The network between: the same for the same seed, whatever it carries."""

from itertools import pairwise

import pytest

from twilio_frames.testing.lines.route import Route, Stall


def test_perfect_route_is_direct():
    assert Route().is_direct
    assert not Route(delay=0.1).is_direct
    assert not Route(stalls_a_minute=1).is_direct


def test_jitter_is_drawn_from_the_time():
    def arrivals(seed: int, *, step: int = 1) -> dict[int, float]:
        route = Route(delay=0.01, jitter=0.019, seed=seed)
        return {n: route.arrival(n * 0.02) for n in range(0, 200, step)}

    full, half = arrivals(1), arrivals(1, step=2)
    assert arrivals(1) == full != arrivals(2)
    # What else it carried makes no difference.
    assert all(full[number] == half[number] for number in half)
    waits = [arrival - number * 0.02 for number, arrival in full.items()]
    assert 0.01 <= min(waits) < 0.013
    assert 0.026 < max(waits) <= 0.029 + 1e-9


def test_nothing_overtakes():
    route = Route(delay=0.05, jitter=0.3, stalls=(Stall(at=1, seconds=0.4),), seed=3)
    times = [route.arrival(number / 100) for number in range(500)]

    assert all(after >= before for before, after in pairwise(times))


def test_what_leaves_together_travels_together():
    route = Route(jitter=0.5, seed=1)
    waits = [route.arrival(left) - left for left in (0.0199, 0.0201, 0.0245)]

    # The jitter of the next 20 ms is another one.
    assert waits == pytest.approx([waits[0]] * 3)
    assert Route(jitter=0.5, seed=1).arrival(0.0201) - 0.0201 != pytest.approx(waits[1])


def test_stall_ends_in_a_burst():
    route = Route(delay=0.1, stalls=(Stall(at=2.0, seconds=0.5),))
    times = {number: route.arrival(number / 10) for number in range(40)}

    assert times[18] == pytest.approx(1.9)
    assert [times[number] for number in range(19, 24)] == [2.5] * 5
    assert times[25] == pytest.approx(2.6)
    assert route.longest == pytest.approx(0.6)


def test_stalls_come_by_chance():
    def stalled(seed: int) -> list[int]:
        route = Route(stalls_a_minute=30, stall_secs=0.5, seed=seed)
        return [n for n in range(6000) if route.arrival(n / 50) > n / 50 + 1e-9]

    assert stalled(1) == stalled(1) != stalled(2)
    # Two minutes with 60 stalls of 0.25 s on average.
    assert 0.06 < len(stalled(1)) / 6000 < 0.2
