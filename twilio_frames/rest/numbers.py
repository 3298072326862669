"""Phone numbers, and what stands in a URL's query, are kept out of texts that may be logged."""

import re

__all__ = ["without_numbers"]

_NUMBER = re.compile(r"(?<![\w.])\+?\d(?:[\s().-]*\d){6,}(?!\w)")


_QUERY = re.compile(r"(\w+://[^\s?\"'<>]*)\?[^\s\"'<>]*")


def without_numbers(text: str) -> str:
    """Put ``[number]`` for what may be a phone number, and ``[query]`` for the query of a URL."""
    return _NUMBER.sub("[number]", _QUERY.sub(r"\1?[query]", text))
