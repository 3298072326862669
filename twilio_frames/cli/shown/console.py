"""What the commands write to the terminal; what one's own bot raises is shown whole."""

import asyncio
import os
import sys
import textwrap
import traceback
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO

_COLOURS = {"caller": "36", "bot": "33", "good": "32", "bad": "31", "faint": "2"}


class Console:
    """Lines with a time and a speaker in front; colours only on a terminal, and without NO_COLOR.

    Args:
        output: Where to write.
    """

    _WIDTH: int = 96
    """Characters of a line."""
    _COLUMNS: int = 18
    """Characters ahead of what was said."""

    def __init__(self, output: TextIO | None = None):
        self._output = output or sys.stdout
        self._is_terminal = self._output.isatty()
        # https://no-color.org: whatever it is set to, unless that is nothing.
        self._has_colours = self._is_terminal and not os.environ.get("NO_COLOR")

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks on as it is written."""
        return self._is_terminal

    def wipe(self, lines: int) -> None:
        """Takes back the last lines; only on a terminal."""
        if lines and self._is_terminal:
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


if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

    from twilio_frames.transport.attending import AttendedTransport


class ShownErrors:
    """Attends to all calls in this process, and writes down what their bots raise.

    Args:
        output: Where to write.
    """

    def __init__(self, output: TextIO | None = None):
        self._output = output or sys.stderr

    def transport_made(self, transport: "AttendedTransport") -> None:
        """Follows a call's pipeline."""
        # The command line is read without Pipecat, which takes a second to import.
        from pipecat.frames.frames import ErrorFrame

        seen: set[int] = set()

        def look(_: object, frame: "Frame") -> None:
            if not isinstance(frame, ErrorFrame) or frame.exception is None:
                return
            if id(frame.exception) not in seen and len(seen) < 20:
                seen.add(id(frame.exception))
                self._write(f"{frame.processor} raised", frame.exception)

        for end in (transport.input(), transport.output()):
            end.add_event_handler("on_before_process_frame", look)
            end.add_event_handler("on_before_push_frame", look)

    def bot_failed(self, transport: "AttendedTransport", error: BaseException) -> None:
        """Writes down what a bot raised."""
        if not isinstance(error, asyncio.CancelledError):
            self._write("the bot raised", error)

    def _write(self, what: str, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        self._output.write(f"{what}\n{text}")
        self._output.flush()


def showing_errors(wanted: bool) -> AbstractContextManager[None]:
    """Shows what bots raise meanwhile, if that is wanted."""
    if not wanted:
        return nullcontext()
    from twilio_frames.transport.attending import attending

    return attending(ShownErrors())
