"""What came of a campaign, for a table or for a program."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from twilio_frames.campaign.plan import Attempt, Contact, Plan, Progress

__all__ = ["counted", "csv_of", "json_lines_of"]

_FIXED = ("number", "outcome", "calls", "call_sid", "called_at", "seconds", "answered_by", "code")


def csv_of(plan: Plan) -> str:
    """A row for each contact: the outcome, the last call, and the parameters it came with."""
    names = dict.fromkeys(name for contact in plan.contacts for name in contact.parameters)
    parameters = [name for name in names if name not in _FIXED]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIXED, *parameters])
    for contact in plan.contacts:
        row = _row(plan, contact)
        writer.writerow(
            [_cell(row[name]) for name in _FIXED]
            + [_cell(contact.parameters.get(name)) for name in parameters]
        )
    return text.getvalue()


def json_lines_of(plan: Plan) -> str:
    """A line for each contact, with each of its calls."""
    lines = [
        _row(plan, contact)
        | {
            "parameters": dict(contact.parameters),
            "attempts": [_attempt(attempt) for attempt in plan.attempts(contact.number)],
        }
        for contact in plan.contacts
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def counted(progress: Progress) -> Mapping[str, Any]:
    """How far a campaign is, without any number."""
    return {
        "contacts": progress.contacts,
        "waiting": progress.waiting,
        "up": progress.up,
        "calls": progress.calls,
        "outcomes": {str(outcome): count for outcome, count in sorted(progress.outcomes.items())},
        "next_at": progress.next_at,
        "seconds_left": progress.seconds_left,
    }


def _row(plan: Plan, contact: Contact) -> dict[str, Any]:
    made: Sequence[Attempt] = plan.attempts(contact.number)
    last = _attempt(made[-1]) if made else {}
    final = plan.final(contact.number)
    row: dict[str, Any] = {
        "number": contact.number,
        "outcome": str(final) if final else None,
        "calls": len(made),
    }
    return row | {name: last.get(name) for name in _FIXED[3:]}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    called_at = datetime.fromtimestamp(attempt.asked_at, UTC)
    return {
        "call_sid": attempt.call_sid,
        "called_at": called_at.isoformat(timespec="seconds"),
        "outcome": str(attempt.outcome) if attempt.outcome else None,
        "seconds": attempt.seconds,
        "answered_by": attempt.answered_by,
        "code": attempt.code,
    }


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula; a phone number's + stays."""
    if isinstance(value, str) and value[:1] in ("=", "@", "-", "\t", "\r"):
        return "'" + value
    return value
