"""Writes docs/faults.md from the tests: ``python -m tests.vendors.table``."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.vendors.faults import ROLES, SEEN

PATH = Path(__file__).parents[2] / "docs" / "faults.md"

_HEAD = """\
# What the caller hears on a vendor's bad day

Each line is a whole call: the vendor's real client against a local server that has the fault
(`twilio_frames.testing.vendors`), rung by a simulated Twilio. The test of that name, in
`tests/vendors`, says what the caller heard, and that the call went on. Made by
`python -m tests.vendors.table`; do not edit it by hand.
"""


def table() -> str:
    """The document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for path in sorted(Path(__file__).parent.glob("test_*_calls.py")):
        importlib.import_module(f"tests.vendors.{path.stem}")
    yield _HEAD
    for role, heading in ROLES.items():
        rows = [day for day in SEEN.values() if day.role == role]
        if rows:
            yield f"## {heading}\n\n| what goes wrong | what the caller hears | test |"
            yield "|---|---|---|"
            yield from (f"| {day.fault} | {day.heard} | `{day.test}` |" for day in rows)
            yield ""


if __name__ == "__main__":
    PATH.write_text(table())
