"""The matrix of faults in the documents is what ``bench/faults.py`` finds, and keeps its rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from fault_calls import (  # pyright: ignore[reportMissingImports]
    MOMENTS,
    RULES,
    make_speech,
)
from faults import Cell, cells, try_cell  # pyright: ignore[reportMissingImports]

COMMAND = Path(__file__).parent.parent / "bench" / "faults.py"
PAGE = COMMAND.parent.parent / "docs" / "fault-matrix.md"
SAMPLE = [
    Cell("worker", "dies", "bot speaking"),
    Cell("stream", "hang", "greeting"),
    Cell("TTS", "garbage", "caller speaking"),
]


def shown() -> dict[Cell, tuple[str, ...]]:
    """What the page says of each cell."""
    rows: dict[Cell, tuple[str, ...]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        part = section.partition("\n")[0]
        for line in section.splitlines():
            columns = [one.strip() for one in line.strip("|").split(" | ")]
            if len(columns) != 6 or columns[0] == "fault":
                continue
            fault, when, *row = columns
            for moment in MOMENTS if when == "whenever" else when.split("; "):
                rows[Cell(part, fault, moment)] = tuple(row)
    return rows


def like(row: tuple[str, ...]) -> list[str]:
    """A row without its figures, which depend on threads, and without its log's wording."""
    return [re.sub(r"\d+(\.\d+)?", "#", text) for text in row[:3]]


def test_page_has_each_cell_that_makes_sense():
    wanted = [cell for cell in cells() if cell.nonsense is None]
    assert sorted(map(str, shown())) == sorted(map(str, wanted))
    assert all(rule in PAGE.read_text() for rule in RULES)


async def test_sample_of_the_page_is_what_happens():
    speech = await make_speech()
    page = shown()
    for cell in SAMPLE:
        found = await try_cell(cell, speech)
        assert not found.broken, (cell, found)
        assert like(found.row) == like(page[cell]), cell


@pytest.mark.truth
@pytest.mark.timeout(3600)
def test_whole_page_is_what_happens(tmp_path: Path):
    made = tmp_path / "page.md"
    command = [sys.executable, "-W", "ignore", COMMAND, "--write", made]
    subprocess.run(command, check=True)
    assert like((made.read_text(),)) == like((PAGE.read_text(),))
