"""Files of contacts and of numbers that are not to be called."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twilio_frames.campaign.hours import zone_named
from twilio_frames.campaign.plan import Contact
from twilio_frames.campaign.policy import Outcome
from twilio_frames.errors import ConfigurationError
from twilio_frames.rest import CallOptions
from twilio_frames.rest.numbers import normalise_number

__all__ = ["ContactList", "read_contacts", "read_numbers"]

_NUMBER_COLUMNS = ("number", "phone", "phone_number", "to")
_ZONE_COLUMN = "zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactList:
    """What a file of contacts holds.

    Parameters:
        contacts: Whom to call, each number once.
        invalid_rows: Rows without a phone number, counted from 1, the heading's.
        repeated_rows: Rows whose number stands further up already.
    """

    contacts: tuple[Contact, ...] = field(repr=False)
    invalid_rows: tuple[int, ...] = ()
    repeated_rows: tuple[int, ...] = ()

    @property
    def barred(self) -> dict[str, Outcome]:
        """Why some are not called."""
        return {
            contact.number: Outcome.INVALID
            for contact in self.contacts
            if normalise_number(contact.number) is None
        }


def read_contacts(path: Path) -> ContactList:
    """Reads a CSV file with a heading: ``number``, ``zone`` if wanted, and the bot's parameters.

    Raises:
        ConfigurationError: It cannot be read, has no number in any row, or a parameter or zone
            that cannot be.
    """
    contacts: dict[str, Contact] = {}
    invalid: list[int] = []
    repeated: list[int] = []
    for row, fields in _rows(path):
        contact = _contact(row, fields)
        if normalise_number(contact.number) is None:
            invalid.append(row)
        if contact.number in contacts:
            repeated.append(row)
        contacts.setdefault(contact.number, contact)
    if all(normalise_number(number) is None for number in contacts):
        raise ConfigurationError(
            f"expected phone numbers with their country code in {path.name}, such as "
            "+14155550100, got none: write them so in the column number"
        )
    return ContactList(
        contacts=tuple(contacts.values()),
        invalid_rows=tuple(invalid),
        repeated_rows=tuple(repeated),
    )


def read_numbers(paths: Iterable[Path]) -> frozenset[str]:
    """Reads lists of phone numbers: one a line, or a CSV file with a column ``number``.

    Raises:
        ConfigurationError: A line is no number. What is not understood cannot be kept to.
    """
    found: set[str] = set()
    for path in paths:
        lines = _text(path).splitlines()
        heading = lines[0].lower().split(",") if lines else []
        column = next((heading.index(n) for n in _NUMBER_COLUMNS if n in heading), None)
        for row, line in enumerate(lines, 1):
            if (column is not None and row == 1) or not line.strip():
                continue
            cells = next(csv.reader([line]), [])
            text = cells[column] if column is not None and column < len(cells) else line
            number = normalise_number(text.strip())
            if number is None:
                raise ConfigurationError(
                    f"expected a phone number such as +14155550100 in line {row} of "
                    f"{path.name}, got something else: write one a line, with its country code"
                )
            found.add(number)
    return frozenset(found)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    heading = [name.strip() for name in next(reader, [])]
    names = [name.lower() for name in heading]
    column = next((name for name in _NUMBER_COLUMNS if name in names), None)
    if column is None:
        raise ConfigurationError(
            f"expected a column number in the first line of {path.name}, got "
            f"{len(heading)} others: name the column of the phone numbers so"
        )
    if len(set(names)) != len(names):
        raise ConfigurationError(f"expected columns of different names in {path.name}")
    heading[names.index(column)] = _NUMBER_COLUMNS[0]
    for row, cells in enumerate(reader, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(heading):
            raise ConfigurationError(
                f"expected {len(heading)} columns in row {row} of {path.name}, got {len(cells)}: "
                'put a text with a comma in it between "'
            )
        yield row, dict(zip(heading, cells, strict=False))


def _contact(row: int, fields: dict[str, str]) -> Contact:
    text = fields.pop(_NUMBER_COLUMNS[0], "").strip()
    zone = next((fields.pop(name) for name in list(fields) if name.lower() == _ZONE_COLUMN), "")
    parameters = {name: value for name, value in fields.items() if value}
    try:
        if zone.strip():
            zone_named(zone.strip())
        CallOptions(parameters=parameters)
    except ConfigurationError as error:
        raise ConfigurationError(f"row {row}: {error}") from error
    return Contact(
        number=normalise_number(text) or text,
        parameters=parameters,
        zone=zone.strip() or None,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "another encoding"
        raise ConfigurationError(
            f"expected a text file in UTF-8 at {path}, got {reason}"
        ) from error
