"""The written list says what the tests say."""

import sys

from tests.conformance import table
from tests.conformance.facts import AREAS, KEPT


def test_list_is_up_to_date():
    assert table.PATH.read_text() == table.table(), "run python -m tests.conformance.table"


def test_every_test_has_a_fact():
    table.facts()
    for area in AREAS:
        module = sys.modules[f"tests.conformance.test_{area}"]
        named = {name for name in vars(module) if name.startswith("test_")}
        assert named == {fact.test for fact in KEPT.values() if fact.area == area}


def test_every_fact_has_a_source():
    assert all(fact.source.startswith("https://") for fact in table.facts())
