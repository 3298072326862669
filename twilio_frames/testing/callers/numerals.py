"""Numbers in words, as they are said: what a recogniser can listen for. Pure."""

import re

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = re.compile(r"\d+")


def spelled_out(text: str) -> str:
    """A text with its numbers in words: up to 999 as numbers, beyond digit by digit."""
    return _DIGITS.sub(lambda match: f" {_spelled(match.group())} ", text)


def _spelled(digits: str) -> str:
    if len(digits) > 3 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(_SMALL[int(digit)] for digit in digits)
    return _number(int(digits))


def _number(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_SMALL[rest]}" if rest else "")
    hundreds, rest = divmod(number, 100)
    return f"{_SMALL[hundreds]} hundred" + (f" {_number(rest)}" if rest else "")
