"""Digits out of words: "four seven double one" is 4711. English."""

import re

__all__ = ["spoken_digits"]

_UNITS = {
    word: str(number)
    for number, words in enumerate(
        ("zero oh o nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
    for word in words.split()
}
_TEENS = {
    word: str(number)
    for number, words in enumerate(
        ("ten eleven twelve thirteen fourteen", "fifteen sixteen seventeen eighteen nineteen")
    )
    for number, word in enumerate(words.split(), 10 + 5 * number)
}
_TENS = {
    word: str(number)
    for number, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2
    )
}
_KEYS = {"star": "*", "asterisk": "*", "pound": "#", "hash": "#"}
_TIMES = {"double": 2, "triple": 3}
_AROUND = frozenset(
    word
    for words in (
        "a and code er erm hi hello is it it's its key my number ok okay okey pin please pressed",
        "so sorry sure thank thanks that that's the then uh uhm um well yeah yes you",
    )
    for word in words.split()
)
"""What people say around a number, and is none."""


def spoken_digits(text: str) -> str | None:
    """The digits that somebody has said.

    Args:
        text: What a recogniser has understood.

    Returns:
        Of ``0-9*#``; empty where nothing was said that matters; None where it was something else.
    """
    words = re.findall(r"[a-z']+|\d|[*#]", text.lower())
    digits, times, tens = "", 1, ""
    for word in words:
        unit = _UNITS.get(word, "")
        if tens:
            # "forty seven" is 47, and "forty" alone 40.
            digits += tens + (unit if unit and unit != "0" else "0")
            tens, used = "", bool(unit and unit != "0")
            if used:
                continue
        if word in _TIMES:
            times = _TIMES[word]
            continue
        if word in _TENS:
            tens = _TENS[word]
            continue
        one = unit or _TEENS.get(word) or _KEYS.get(word) or (word if not word.isalpha() else "")
        if (one and one in "0123456789*#") or word in _TEENS:
            digits += one * times
        elif word not in _AROUND:
            return None
        times = 1
    return digits + (tens + "0" if tens else "")
