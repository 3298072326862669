"""What the commands write to the terminal."""

import sys
import textwrap
from typing import TextIO

_COLOURS = {"caller": "36", "bot": "33", "good": "32", "bad": "31", "faint": "2"}


class Console:
    """Lines with a time and a speaker in front; colours only on a terminal.

    Args:
        output: Where to write.
    """

    _WIDTH = 96
    """Characters of a line."""
    _COLUMNS = 18
    """Characters ahead of what was said."""

    def __init__(self, output: TextIO | None = None):
        self._output = output or sys.stdout
        self._has_colours = self._output.isatty()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks on as it is written."""
        return self._has_colours

    def wipe(self, lines: int) -> None:
        """Takes back the last lines; only on a terminal."""
        if lines and self._has_colours:
            self._output.write(f"\x1b[{lines}F\x1b[J")
            self._output.flush()

    def say(self, text: str = "", colour: str | None = None) -> None:
        """Writes a line."""
        self._output.write(self._painted(text, colour) + "\n")
        self._output.flush()

    def turn(self, time: float | None, speaker: str, text: str, colour: str | None = None) -> None:
        """Writes what somebody said, and when; long texts are wrapped."""
        head = f"{'' if time is None else f'{time:.1f} s':>8}  {speaker:<7}"
        wrapped = textwrap.wrap(text, self._WIDTH - self._COLUMNS) or [""]
        self.say(f"{self._painted(head, colour or speaker)} {wrapped[0]}")
        for line in wrapped[1:]:
            self.say(" " * self._COLUMNS + line)

    def fact(self, name: str, value: str, colour: str | None = None) -> None:
        """Writes a line of a summary."""
        self.say(f"  {name:<28}{self._painted(value, colour)}")

    def _painted(self, text: str, colour: str | None) -> str:
        code = _COLOURS.get(colour or "")
        return f"\x1b[{code}m{text}\x1b[0m" if code and self._has_colours else text
