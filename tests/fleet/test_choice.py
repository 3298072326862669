import random
from collections import Counter

from twilio_frames.fleet.choice import by_choice, has_room, load_of
from twilio_frames.fleet.register import Lease


def lease(name: str, calls: int = 0, **more: object) -> Lease:
    return Lease(name=name, calls=calls, most_calls=10, **more)  # type: ignore[arg-type]


def test_the_better_of_two_is_first_and_none_comes_twice():
    busy, idle = lease("busy", 9), lease("idle", 1)
    assert [one.name for one in by_choice([busy, idle])] == ["idle", "busy"]


def test_those_without_room_are_left_out():
    full, draining, late = lease("a", 10), lease("b", is_draining=True), lease("c", lag_secs=0.4)
    assert [one.name for one in by_choice([full, draining, late])] == ["c"]
    assert list(by_choice([full, draining, late], most_lag_secs=0.2)) == []
    assert has_room(late)


def test_a_late_loop_counts_as_calls_do_and_a_little_lateness_does_not():
    assert load_of(lease("a", 2, lag_secs=0.08)) == load_of(lease("b", 2))
    assert load_of(lease("a", 2, lag_secs=0.3)) == 1.0


def test_among_many_the_idle_ones_get_more_and_the_busiest_none():
    leases = [lease(f"w{calls}", calls) for calls in range(6)]
    choose = random.Random(1)
    chosen = Counter(next(by_choice(leases, choose=choose)).name for _ in range(600))
    assert chosen["w0"] > chosen["w2"] > chosen["w4"]
    assert "w5" not in chosen
