"""What docs/callers.md shows is what there is."""

import ast
import re
from pathlib import Path

import pytest

from twilio_frames.testing import CallEnd, Caller, CallResult, Phone, read_scripts
from twilio_frames.testing.scripts import script_file
from twilio_frames.testing.scripts.script import Event

GUIDE = (Path(__file__).parent.parent / "docs" / "callers.md").read_text()
CODE = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)


def words_of(heading: str) -> set[str]:
    """The words in the first column of a table."""
    table = re.search(rf"^\| {re.escape(heading)}.*?\n\n", GUIDE, re.DOTALL | re.MULTILINE)
    assert table is not None, heading
    rows = [row for row in table[0].splitlines()[2:] if row]
    return {word for row in rows for word in re.findall(r"`(\w+)", row.split("|")[1])}


@pytest.mark.parametrize("code", [code for kind, code in CODE if kind == "python"])
def test_python_can_be_read(code: str):
    assert ast.parse(code).body


def test_yaml_can_be_read(tmp_path: Path):
    (example,) = (code for kind, code in CODE if kind == "yaml")
    path = tmp_path / "shop.yaml"
    path.write_text(example)

    (script,) = read_scripts(path)

    assert (script.name, len(script.turns)) == ("coffee_shop/change_of_mind", 4)


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("of a scenario", "SCENARIO_KEYS"),
        ("of a turn", "TURN_KEYS"),
        ("of an expectation", "EXPECTATION_KEYS"),
        ("of `limits`", "LIMITS_KEYS"),
    ],
)
def test_tables_have_every_key(heading: str, known: str):
    assert words_of(heading) - {"name"} == set(getattr(script_file, known)) - {"name"}


def test_events_and_ends_are_listed():
    assert all(f"`{event}`" in GUIDE for event in Event)
    assert all(f"`{end.value}`" in GUIDE for end in CallEnd)


def test_methods_and_measures_are_there():
    assert all(hasattr(Caller, name) for name in words_of("a caller can"))
    told = words_of("`caller.result` tells")
    assert all(hasattr(CallResult, name) or name in CallResult.__slots__ for name in told)
    assert {"ring", "call", "desk", "ring_sync"} <= set(dir(Phone))
