from pathlib import Path

import pytest

from tests.soak.line import Disorder
from tests.soak.world import Plan, soak

PLAN = Plan(
    calls=10,
    every_secs=0.5,
    kill_secs=7.0,
    halt_secs=15.0,
    deploy_secs=25.0,
    trouble_secs=15.0,
    break_secs=8.0,
    crash_secs=20.0,
    strays=0.1,
    disorder=Disorder(twice=0.1, repeated=0.3, late_secs=1.0),
)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_call_is_lost_and_no_word_whatever_befalls_the_fleet(kind: str, tmp_path: Path):
    outcome = soak(1, tmp_path, kind=kind, plan=PLAN)
    assert not outcome.wrong, "\n".join(outcome.events)
    assert outcome.counts["killed"] > 1


def test_a_seed_takes_the_same_course_each_time(tmp_path: Path):
    plan = Plan(calls=3, kill_secs=5.0, break_secs=3.0)
    assert soak(2, tmp_path, plan=plan).digest == soak(2, tmp_path, plan=plan).digest
