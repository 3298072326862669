"""Phone numbers: told from other texts, and kept out of those that may be logged."""

import re

__all__ = ["normalise_number", "without_numbers"]

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS = re.compile(r"[\s().\-\u2010-\u2015]")
_NUMBER = re.compile(r"(?<![\w.])\+?\d(?:[\s().-]*\d){6,}(?!\w)")


_QUERY = re.compile(r"(\w+://[^\s?\"'<>]*)\?[^\s\"'<>]*")


def normalise_number(text: str) -> str | None:
    """A phone number in E.164 form, whatever is between its digits; None if it is none."""
    number = _SEPARATORS.sub("", text)
    return number if _E164.fullmatch(number) else None


def without_numbers(text: str) -> str:
    """Put ``[number]`` for what may be a phone number, and ``[query]`` for the query of a URL."""
    return _NUMBER.sub("[number]", _QUERY.sub(r"\1?[query]", text))
