"""What of a call may stand in its log."""

import re
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(r"\+?\d(?:[ ().\-/]{0,2}\d){4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPrivacy:
    """Switches for what a log holds of what was said and pressed.

    Telephone numbers stand in no log: neither parameter values nor, in texts, anything of five
    digits or more.

    Parameters:
        words: Whether what was said is written down; else only how many words it was.
        digits: Whether the keys that were pressed are; else only that one was.
    """

    words: bool = False
    digits: bool = False

    def text(self, text: str) -> dict[str, Any]:
        """A text as fields of a line."""
        fields: dict[str, Any] = {"words": len(text.split())}
        if self.words:
            fields["text"] = without_long_numbers(text)
        return fields

    def digit(self, digit: str) -> dict[str, Any]:
        """A key as fields of a line."""
        return {"digit": digit} if self.digits else {}


def without_long_numbers(text: str) -> str:
    """The text with a dot in the place of each digit of numbers of five digits or more."""
    return _NUMBER.sub(lambda number: re.sub(r"\d", "\N{BULLET}", number[0]), text)
