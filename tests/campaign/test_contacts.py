"""Tables of contacts and lists of numbers."""

import re
from pathlib import Path

import pytest

from twilio_frames.campaign import Contact, Outcome, read_contacts
from twilio_frames.campaign.contacts import read_numbers
from twilio_frames.errors import ConfigurationError

ANN, BEN = "+12125550101", "+12125550102"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "calls.csv"
    path.write_text(text, "utf-8")
    return path


def test_columns_are_what_the_bot_knows(tmp_path: Path):
    rows = '(+1) 212-555-0101,"Ann, the first",,\n\n' + f'{BEN},Ben,UTC,"a\nb"\n'
    text = f"\ufeffPhone,Name,Zone,note\n{rows}"
    listed = read_contacts(table(tmp_path, text))

    assert listed.contacts == (
        Contact(number=ANN, parameters={"Name": "Ann, the first"}),
        Contact(number=BEN, parameters={"Name": "Ben", "note": "a\nb"}, zone="UTC"),
    )


def test_bad_and_repeated_rows_are_told(tmp_path: Path):
    listed = read_contacts(table(tmp_path, f"number\n{ANN}\n2125550101\n{ANN}\n{BEN}\nnobody\n"))

    assert (listed.invalid_rows, listed.repeated_rows) == ((3, 6), (4,))
    assert listed.barred == {"2125550101": Outcome.INVALID, "nobody": Outcome.INVALID}
    assert [contact.number for contact in listed.contacts] == [ANN, "2125550101", BEN, "nobody"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a column number"),
        (f"{ANN}\n", "a column number"),
        ("number,name\n", "got none"),
        ("number\n2125550101\n", "got none"),
        (f"number,a,A\n{ANN},1,2\n", "different names"),
        (f"number,name\n{ANN},Ann, the first\n", "expected 2 columns in row 2"),
        (f"number,from\n{ANN},me\n", "row 2: expected at most 20 parameters"),
        (f"number,note\n{ANN},{'x' * 500}\n", "row 2: expected at most 20 parameters"),
        (f"number,zone\n{ANN},Mars\n", "row 2: expected a time zone"),
    ],
)
def test_table_that_cannot_work_is_refused(tmp_path: Path, text: str, reason: str):
    with pytest.raises(ConfigurationError, match=re.escape(reason)) as refused:
        read_contacts(table(tmp_path, text))
    assert "555" not in str(refused.value).replace("+14155550100", "")


def test_table_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "calls.csv").write_bytes(b"number\n\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_contacts(tmp_path / "calls.csv")


@pytest.mark.parametrize(
    "text", [f"{ANN}\n\n +1 (212) 555-0102\n", f"name,number\nAnn,{ANN}\nB,{BEN}"]
)
def test_numbers_are_read(tmp_path: Path, text: str):
    assert read_numbers([table(tmp_path, text)]) == {ANN, BEN}


def test_line_that_is_no_number_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="line 2"):
        read_numbers([table(tmp_path, f"{ANN}\n2125550102\n")])
