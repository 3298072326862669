"""The written table says what the tests say."""

from tests.pipecat import table


def test_table_is_up_to_date():
    assert table.PATH.read_text() == table.table(), "run python -m tests.pipecat.table"
