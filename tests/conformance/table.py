"""Writes docs/conformance.md from the tests: ``python -m tests.conformance.table``."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.facts import AREAS, ASSUMED, KEPT, NOT_SIMULATED, Fact

PATH = Path(__file__).parents[2] / "docs" / "conformance.md"

_HEAD = """\
# What the simulated Twilio keeps of the real one

Each line of the first tables is a fact of Twilio's documentation and the test, of that name, that
holds `twilio_frames.testing.SimulatedTwilio` to it. Made by `python -m tests.conformance.table`
from the tests in `tests/conformance`; do not edit it by hand.

"""


def facts() -> list[Fact]:
    """All facts that are kept, by area, in the order of their tests."""
    for area in AREAS:
        importlib.import_module(f"tests.conformance.test_{area}")
    return [fact for area in AREAS for fact in KEPT.values() if fact.area == area]


def table() -> str:
    """The document."""
    return "\n".join(_lines(facts())) + "\n"


def _lines(kept: list[Fact]) -> Iterator[str]:
    yield f"{_HEAD}**{len(kept)} facts are kept, {len(NOT_SIMULATED)} are not simulated.**"
    for area, heading in AREAS.items():
        yield f"\n## {heading}\n\n| fact | test |\n|---|---|"
        for fact in kept:
            if fact.area == area:
                yield f"| {fact.text} [source]({fact.source}) | `{fact.test}` |"
    yield "\n## Not simulated\n\n| fact | in its place |\n|---|---|"
    for fact in NOT_SIMULATED:
        yield f"| {fact.text} [source]({fact.source}) | {fact.instead} |"
    yield "\n## Where the documents are silent\n\nThe simulator does what was seen on live calls, "
    yield "or else what is said here:\n"
    for assumption in ASSUMED:
        yield f"- {assumption}"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(table())
