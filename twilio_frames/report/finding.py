"""One thing that went wrong on a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_MOST_NAMED = 3


class Severity(StrEnum):
    """How bad something is for the caller."""

    BAD = "bad"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that went wrong.

    Parameters:
        severity: How bad it is.
        cost: By what it ranks among those of its severity; seconds, roughly.
        at: Where on the call to look, seconds; None if it is nowhere in particular.
        title: What happened, in one line.
        detail: More about it: whose fault, where else, what to do.
    """

    severity: Severity
    cost: float
    at: float | None
    title: str
    detail: str = ""


def clock_text(seconds: float) -> str:
    """A time on the call as people write it, ``1:02.5``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def places(times: Sequence[float]) -> str:
    """Where to look: the first few of these times."""
    named = ", ".join(clock_text(at) for at in times[:_MOST_NAMED])
    more = len(times) - _MOST_NAMED
    return f"at {named}" + (f" and {more} more" if more > 0 else "")


def times(count: int, one: str, many: str = "") -> str:
    """What happened, and how often if more than once."""
    return one if count == 1 else f"{many or one} ({count})"
