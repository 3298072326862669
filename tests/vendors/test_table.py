"""The written list says what the tests say."""

from tests.vendors import table


def test_list_is_up_to_date():
    assert table.PATH.read_text() == table.table(), "run python -m tests.vendors.table"
