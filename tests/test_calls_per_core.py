"""What ``bench/calls_per_core.py`` shows of its figures."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

import core_page  # pyright: ignore[reportMissingImports]
from core_profile import shares  # pyright: ignore[reportMissingImports]

SPREAD = {"count": 20, "p50": 0.5, "p95": 0.75, "p99": 0.75, "worst": 0.75}


def load(calls: int, **changes: Any) -> dict[str, Any]:
    gaps = {**SPREAD, "count": changes.pop("gaps", 0)}
    bot = {"cpu": 1.25, "loop_cpu": 1.0, "tasks": 20.0, "memory_call_mb": 0.7}
    late = {"late_p99": 0.004, "late_worst": 0.03, "is_trusted": True}
    heard = {"first_audio": SPREAD, "barge_in": SPREAD, "gaps": gaps, "bot_minutes": 2.0}
    return {"calls": calls, **heard, **bot, **late, **changes}


def search(largest: int, broke_at: int | None, *, is_bot_at_fault: bool = True) -> dict[str, Any]:
    steps = [load(calls, is_trusted=calls == largest) for calls in (largest, broke_at) if calls]
    found = {"largest": largest, "broke_at": broke_at, "is_bot_at_fault": is_bot_at_fault}
    return {**found, "steps": steps}


def measured() -> dict[str, Any]:
    side = {
        "set_up": {"short_call_ms": 22.0, "longest_step_ms": 3.4},
        "one": [load(1)],
        "steady": [load(8, cpu=1.0), load(8, cpu=9.0, is_trusted=False), load(8, cpu=2.0)],
        "search": search(100, 110),
        "churn": [load(8, gaps=3)],
    }
    about = {"date": "2026-11-30", "cores": 2, "own_core": True, "python": "3.11.7"}
    about |= {"loop": "uvloop", "seconds": 15.0, "calls": 8, "churn_secs": 20.0}
    return {"about": about, "sides": {"ours": side, "stock": copy.deepcopy(side)}}


def row(found: dict[str, Any], label: str) -> list[str]:
    lines = [line for line in core_page.markdown(found).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return next(one[1:] for one in cells if one[0].startswith(label))


def test_load_whose_callers_were_late_gives_no_figure():
    found = measured()
    found["sides"]["stock"]["steady"] = [load(8, is_trusted=False)]

    assert row(found, "CPU of a call, % of the core, 8 calls") == ["1.50", core_page.NONE]
    assert row(found, "first audio p50 / p95, ms, 8 calls") == ["500 / 750", "callers late"]
    assert "late themselves in 4 loads" in core_page.text(found)


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (search(100, 110), "**100**"),
        (search(100, None, is_bot_at_fault=False), "at least 100"),
        (search(100, 110, is_bot_at_fault=False), "at least 100 (callers late above)"),
        (search(0, 40, is_bot_at_fault=False), "no verdict (callers late)"),
    ],
)
def test_largest_number_is_the_bots_alone(outcome: dict[str, Any], shown: str):
    found = measured()
    found["sides"]["ours"]["search"] = outcome

    assert row(found, "calls on a core") == [shown, "**100**"]


def test_gaps_are_those_of_a_minute_of_speech():
    assert row(measured(), "gaps over 60 ms a minute of speech, 8 who") == ["1.50", "1.50"]


def test_what_was_not_measured_has_no_row():
    shown = core_page.text(measured())

    assert "Smart Turn" not in shown
    assert "logs" not in shown


def test_page_is_filled_again_and_again(tmp_path: Path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- calls_per_core -->\n<!-- /calls_per_core -->\nbehind\n")
    picture = tmp_path / "docs" / "bars.png"
    picture.parent.mkdir()
    core_page.draw(measured(), picture)
    for _ in range(2):
        core_page.fill(page, measured(), picture)

    shown = page.read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("behind\n")
    assert shown.count("calls on a core at quality") == 1
    assert "](docs/bars.png)" in shown
    with Image.open(picture) as drawn:
        assert drawn.width > 1000


def test_readme_has_the_place():
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")

    assert (
        readme.count("<!-- calls_per_core -->\n") == readme.count("<!-- /calls_per_core -->") == 1
    )


def test_samples_count_for_the_library_they_were_in():
    site = "/usr/lib/python3.11/site-packages"
    run = f"run ({site}/pipecat/processors/frame_processor.py:9)"
    stacks = [
        f"main (/repo/bench/our_bot.py:1);{run};get (/usr/lib/python3.11/asyncio/queues.py:3) 1",
        f"{run};loads (/usr/lib/python3.11/json/decoder.py:3) 2",
        f"{run};decide (/repo/twilio_frames/processors/vad.py:3) 3",
        f"{run};send (/repo/twilio_frames/transport/output.py:3);dumps (/usr/lib/json/x.py:3) 4",
        "a line that says nothing",
    ]

    found = {name: round(10 * share) for name, share in shares("\n".join(stacks)).items()}
    assert found == {
        "ours: transport": 4,
        "ours: vad": 3,
        "Pipecat: processors' queues and tasks": 2,
        "asyncio": 1,
    }
