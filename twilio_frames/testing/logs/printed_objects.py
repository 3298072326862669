"""Reads objects as programs print them: JSON, Python's ``repr()``, Node's ``console.log()``. Pure.

They differ in quotes, in bare keys and in words for the same things, so one reader takes them all.
What it does not take is a string over several lines: a message that was cut off is found out.
"""

import re
from typing import Any

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?n?")
_WORD = re.compile(r"[A-Za-z_$][\w$.]*")
_STRING = re.compile(
    r"[bur]?(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\\n]|\\.)*)`)"
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LEFT_OUT = re.compile(r"\[(?:Object|Array|Circular|Getter)[^\]]*\]|<[^>\n]*>")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "NaN": None}
_END = {"{": "}", "[": "]", "(": ")"}


class BrokenObjectError(ValueError):
    """What stands there is no object."""


class UnfinishedObjectError(BrokenObjectError):
    """The text ends within it."""


def read_object(text: str, begin: int = 0) -> tuple[dict[str, Any], int]:
    """Reads the object that begins at a brace; gives it, and where it ends.

    Raises:
        UnfinishedObjectError: If the text ends before it does.
        BrokenObjectError: If it is none.
    """
    reader = _Reader(text, begin)
    return reader.object(), reader.at


class _Reader:
    def __init__(self, text: str, begin: int):
        self._text = text
        self.at = begin
        self._depth = 0

    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._open("{")
        while not self._closes("}"):
            key = self._key()
            self._expect(":")
            found[key] = self._value()
            self._separate("}")
        return found

    def _open(self, bracket: str) -> None:
        self._depth += 1
        if self._depth > 32:
            raise BrokenObjectError("nested too deeply")
        self._expect(bracket)

    def _closes(self, bracket: str) -> bool:
        if self._peek() != bracket:
            return False
        self.at += 1
        self._depth -= 1
        return True

    def _separate(self, bracket: str) -> None:
        """A comma, or the end; a comma before the end is let pass."""
        if self._peek() == ",":
            self.at += 1
        elif self._peek() != bracket:
            raise BrokenObjectError("expected a comma")

    def _peek(self) -> str:
        match = _SPACE.match(self._text, self.at)
        self.at = match.end() if match else self.at
        if self.at >= len(self._text):
            raise UnfinishedObjectError("the text ends")
        return self._text[self.at]

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise BrokenObjectError(f"expected {sign}")
        self.at += 1

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def _key(self) -> str:
        self._peek()
        if (string := self._take(_STRING)) is not None:
            return _content(string)
        for pattern in (_WORD, _NUMBER):
            if (match := self._take(pattern)) is not None:
                return match.group()
        raise BrokenObjectError("expected a key")

    def _value(self) -> Any:
        sign = self._peek()
        if sign == "{":
            return self.object()
        if self._take(_LEFT_OUT) is not None:
            # `[Object: null prototype] {`: what it says of the object that follows.
            return self.object() if self._peek() == "{" else None
        if sign in "[(":
            return self._list(sign)
        if (string := self._take(_STRING)) is not None:
            return self._joined(_content(string))
        if (number := self._take(_NUMBER)) is not None:
            return _number(number.group())
        if (word := self._take(_WORD)) is not None:
            return self.object() if self._peek() == "{" else _WORDS.get(word.group())
        raise BrokenObjectError("expected a value")

    def _list(self, bracket: str) -> list[Any]:
        found: list[Any] = []
        self._open(bracket)
        while not self._closes(_END[bracket]):
            found.append(self._value())
            self._separate(_END[bracket])
        return found

    def _joined(self, string: str) -> str:
        """A long string, which Node prints in pieces."""
        while self._peek() == "+":
            self.at += 1
            self._peek()
            if (more := self._take(_STRING)) is None:
                raise BrokenObjectError("expected a string")
            string += _content(more)
        return string


def _content(match: re.Match[str]) -> str:
    text = next(group for group in match.groups() if group is not None)
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    escaped = match.group(1)
    if len(escaped) > 1:
        return chr(int(escaped[1:], 16))
    return _ESCAPED.get(escaped, escaped)


def _number(text: str) -> int | float:
    text = text.rstrip("n")
    return int(text) if text.lstrip("-").isdigit() else float(text)
