import pytest

from tests.report.logs import HEADER, line, log_of, texts
from twilio_frames.errors import ConfigurationError
from twilio_frames.report.lines import Kind
from twilio_frames.report.reading import parse_log, read_log


def test_lines_are_sorted_by_time():
    log = log_of(line(3.0, "word", text="b"), line(2.0, "word", text="a"))

    assert [each["text"] for each in log.of(Kind.WORD)] == ["a", "b"]
    assert log.last_time == 3.0


def test_unknown_kinds_are_skipped():
    log = log_of(line(1.0, "something new", of="tomorrow"), line(2.0, "held", left=1.0, more=1))

    assert log.times(Kind.HELD) == [2.0]
    assert not log.unreadable


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '{"kind": "held"}', '{"t": "1", "kind": "held"}', '{"t": NaN, "kind": "held"}'],
)
def test_broken_lines_are_counted(text: str):
    log = parse_log([*texts([HEADER]), text, "", *texts([line(1.0, "held")])])

    assert log.unreadable == [2]
    assert log.times(Kind.HELD) == [1.0]


def test_half_a_line_is_no_obstacle():
    """The process that wrote it may have been killed."""
    log = parse_log([*texts([HEADER, line(1.0, "held")]), '{"t": 2.0, "ki'])

    assert log.times(Kind.HELD) == [1.0]


@pytest.mark.parametrize("first", [{"t": 0, "kind": "held"}, HEADER | {"format": "other"}])
def test_other_files_are_refused(first: dict[str, object]):
    with pytest.raises(ConfigurationError, match="expected x to begin with a line of kind `log`"):
        parse_log(texts([first]), name="x")


def test_later_versions_are_refused():
    with pytest.raises(ConfigurationError, match="version 1 or before at x, got 2"):
        parse_log(texts([HEADER | {"version": 2}]), name="x")


def test_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected a call log at .*, got No such file"):
        read_log(tmp_path / "call.jsonl")
