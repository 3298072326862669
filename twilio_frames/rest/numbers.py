"""Phone numbers are kept out of texts that may be logged."""

import re

__all__ = ["without_numbers"]

_NUMBER = re.compile(r"(?<![\w.])\+?\d(?:[\s().-]*\d){6,}(?!\w)")


def without_numbers(text: str) -> str:
    """Put ``[number]`` for everything in a text that may be a phone number."""
    return _NUMBER.sub("[number]", text)
