import pytest

from twilio_frames.transport.bot_echo import EvenArrival


def test_lateness_does_not_count():
    arrival = EvenArrival()

    found = [
        arrival.arrived(number * 20, 160, 50.02 + number * 0.02 + late)
        for number, late in enumerate([0.0, 0.3, 0.28, 0.0, 0.15])
    ]

    assert found == pytest.approx([50.02 + number * 0.02 for number in range(5)], abs=1e-3)


def test_first_pieces_may_be_late():
    arrival = EvenArrival()
    arrival.arrived(0, 160, 51.0)

    assert arrival.arrived(20, 160, 50.5) == pytest.approx(50.5)
    assert arrival.arrived(40, 160, 51.0) == pytest.approx(50.52, abs=1e-3)


def test_hole_is_time_that_passed():
    arrival = EvenArrival()
    arrival.arrived(0, 160, 50.0)

    assert arrival.arrived(500, 160, 50.5) == pytest.approx(50.5, abs=1e-3)


def test_clock_that_runs_slower_is_followed():
    arrival = EvenArrival()
    found = now = 0.0
    for number in range(50 * 600):
        now = 50.0 + number * 0.02 * 1.0001
        found = arrival.arrived(number * 20, 160, now)

    assert found == pytest.approx(now, abs=0.002)


def test_audio_without_times_is_counted():
    arrival = EvenArrival()
    arrival.arrived(None, 160, 50.0)

    assert arrival.arrived(None, 800, 50.4) == pytest.approx(50.1, abs=1e-3)


def test_time_beyond_reason_is_forgotten():
    arrival = EvenArrival()
    arrival.arrived(0, 160, 50.02)
    arrival.arrived(10**15, 160, 50.04)

    assert arrival.arrived(40, 160, 50.06) == pytest.approx(50.06, abs=1e-3)
