"""Writes docs/faults.md from the tests: ``python -m tests.vendors.table``."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.vendors.faults import ROLES, SEEN

_TESTS = Path(__file__).parents[1]
PATH = _TESTS.parent / "docs" / "faults.md"

_HEAD = """\
# What the caller hears on a bad day

Each line is a test of that name, in `tests`, which says what becomes of the call. For vendors each
is a whole call: the vendor's real client against a local server that has the fault
(`twilio_frames.testing.vendors`), rung by a simulated Twilio. What is heard where any part of a
call fails, at any moment of it, is in [the matrix](fault-matrix.md). Made by
`python -m tests.vendors.table`; do not edit it by hand.
"""


def table() -> str:
    """The document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for path in sorted(_TESTS.rglob("test_*.py")):
        if "@bad_day(" in path.read_text("utf-8"):
            name = path.relative_to(_TESTS.parent).with_suffix("")
            importlib.import_module(".".join(name.parts))
    yield _HEAD
    # Whatever was imported first.
    seen = sorted(SEEN.values(), key=lambda day: day.place)
    for role, heading in ROLES.items():
        rows = [day for day in seen if day.role == role]
        if rows:
            yield f"## {heading}\n\n| what goes wrong | what the caller hears | test |"
            yield "|---|---|---|"
            yield from (f"| {day.fault} | {day.heard} | `{day.test}` |" for day in rows)
            yield ""


if __name__ == "__main__":
    PATH.write_text(table())
