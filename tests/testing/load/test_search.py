"""The search for the largest load, and what counts as good."""

import math
from dataclasses import replace

import pytest

from twilio_frames.testing.lines.timekeeping import Timekeeping
from twilio_frames.testing.load import LoadResult, QualityLimits, search_largest
from twilio_frames.testing.load.figures import LoadFigures, Spread

ON_TIME = Timekeeping(turns=1000, p50=0.001, p99=0.002, worst=0.01)
LATE = Timekeeping(turns=1000, p50=0.001, p99=0.02, worst=0.09)


def result(
    calls: int = 10,
    *,
    first_audio: float = 0.5,
    gaps: int = 0,
    failed: int = 0,
    timekeeping: Timekeeping = ON_TIME,
) -> LoadResult:
    return LoadResult(
        url="ws://127.0.0.1/stream",
        calls=calls,
        seconds=20.0,
        up=calls,
        made=calls,
        failed=failed,
        failures={},
        setup=Spread.of([0.1]),
        figures=LoadFigures(
            first_audio=Spread.of([first_audio] * 20),
            barge_in=Spread.of([]),
            gaps=Spread.of([0.1] * gaps),
            bot_minutes=1.0,
            unanswered=0,
            talked_over=0,
            violations=0,
            lost_frames=0,
        ),
        timekeeping=timekeeping,
        driver_cpu=0.1,
    )


async def search(bears: int, **options):
    async def load(calls: int) -> LoadResult:
        return result(calls, gaps=0 if calls <= bears else 50)

    return await search_largest(load, QualityLimits(), **options)


@pytest.mark.parametrize("bears", [4, 5, 7, 8, 11, 12, 30])
async def test_largest_is_found_exactly(bears: int):
    found = await search(bears, exactness=0.0)

    assert (found.largest, found.broke_at) == (bears, bears + 1)
    assert found.is_bot_at_fault


async def test_loads_are_compared_with_a_reference_from_elsewhere():
    async def load(calls: int) -> LoadResult:
        return result(calls, first_audio=0.5 if calls <= 6 else 0.9)

    limits = QualityLimits()
    few, many = result(1, first_audio=0.4), result(1, first_audio=0.5)

    found = await search_largest(load, limits, most=16, exactness=0.0, reference=few)
    assert (found.largest, found.broke_at) == (6, 7)
    found = await search_largest(load, limits, most=16, reference=many)
    assert (found.largest, found.broke_at) == (16, None)


async def test_search_is_exact_enough():
    found = await search(100, exactness=0.1)

    assert 90 <= found.largest <= 100
    assert [step.result.calls for step in found.steps][:6] == [4, 8, 16, 32, 64, 128]


async def test_search_ends_at_the_most():
    found = await search(1000, most=50)

    assert (found.largest, found.broke_at) == (50, None)


async def test_first_load_that_breaks_is_halved():
    found = await search(1, exactness=0.0)

    assert (found.largest, found.broke_at) == (1, 2)


async def test_late_simulator_is_not_the_bots_fault():
    async def load(calls: int) -> LoadResult:
        return result(calls, timekeeping=ON_TIME if calls < 9 else LATE)

    found = await search_largest(load, QualityLimits(), exactness=0.0)

    assert found.largest == 8
    assert not found.is_bot_at_fault
    lenient = await search_largest(load, QualityLimits(lateness=0.05), most=16)
    assert lenient.largest == 16


async def test_slower_than_the_first_breaks():
    async def load(calls: int) -> LoadResult:
        return result(calls, first_audio=0.4 if calls < 20 else 0.9)

    found = await search_largest(load, QualityLimits(), exactness=0.0)

    assert found.largest == 19


def test_shortfalls_name_the_figure():
    limits = QualityLimits(barge_in=0.5)

    assert limits.shortfalls(result()) == []
    (gaps,) = limits.shortfalls(result(gaps=3))
    assert gaps == "gaps per minute: expected at most 1, got 3"
    (failed,) = limits.shortfalls(result(failed=2))
    assert "failed" in failed
    (slow,) = limits.shortfalls(result(first_audio=2.5))
    assert slow == "first audio p95: expected at most 2 s, got 2.5 s"


def test_unanswered_share_is_limited():
    unheard = replace(result().figures, unanswered=5)

    (text,) = QualityLimits().shortfalls(replace(result(), figures=unheard))
    assert text == "share unanswered: expected at most 0.02, got 0.2"


def test_spread_of_nothing_is_null():
    spread = Spread.of([])

    assert math.isnan(spread.p95)
    assert spread.to_dict()["p95"] is None
    hundred = Spread.of([number / 100 for number in range(1, 101)])
    assert (hundred.p50, hundred.p95, hundred.p99, hundred.worst) == (0.5, 0.95, 0.99, 1.0)
