"""What the caller did on a call that was logged: when, and with which words where it holds them.

Two logs are known: the call log that bots write (``docs/call-log.md``), and the one that the
simulated Twilio writes. Neither holds audio.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.callers.tones import KEYS
from twilio_frames.testing.logs.kept_logs import kept_text
from twilio_frames.testing.logs.log import CALL, FROM_BOT, TO_BOT

FORMAT = "twilio-frames call log"
"""How the log of a bot names itself in its first line."""

_Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCaller:
    """The caller's side of a log.

    Parameters:
        words: What was said as the bot understood it, and the second at which it began.
        digits: The keys, and the second at which each was pressed.
        seconds: How long the call lasted.
        lost: What the log does not tell, in words.
    """

    words: tuple[tuple[float, str], ...] = field(default=(), repr=False)
    digits: tuple[tuple[float, str], ...] = field(default=(), repr=False)
    seconds: float = 0.0
    lost: tuple[str, ...] = ()


def read_logged_caller(path: Path, *, skip_malformed: bool = False) -> LoggedCaller | None:
    """Reads a call log; None if the file is something else.

    Args:
        path: The file.
        skip_malformed: Whether to go without the lines that cannot be read.

    Raises:
        ConfigurationError: If the file cannot be read, or a line in it is no JSON.
    """
    lines = kept_text(path).splitlines()
    first = _parsed(next((line for line in lines if line.strip()), ""))
    if first is None:
        return None
    if first.get("format") == FORMAT:
        return _of_bots_log(_entries(lines, path, skip_malformed=skip_malformed))
    if first.get("source") in (CALL, FROM_BOT, TO_BOT) and "media" not in first:
        return _of_simulated_log(_entries(lines, path, skip_malformed=skip_malformed))
    return None


def _parsed(line: str) -> _Line | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _entries(lines: list[str], path: Path, *, skip_malformed: bool) -> list[_Line]:
    entries: list[_Line] = []
    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is not None:
            entries.append(entry)
        elif line.strip() and not skip_malformed:
            raise ConfigurationError(
                f"expected a line of JSON, got other text at {path}:{number}: mend the line or "
                "skip such lines"
            )
    return entries


def _of_bots_log(entries: list[_Line]) -> LoggedCaller:
    keys = [entry for entry in entries if entry.get("kind") == "digit"]
    withheld = sum("digit" not in entry for entry in keys)
    return LoggedCaller(
        words=tuple(_words(entries)),
        digits=tuple(
            (_time(entry), entry["digit"]) for entry in keys if entry.get("digit") in tuple(KEYS)
        ),
        seconds=_end(entries),
        lost=(f"{withheld} keys that the log does not name",) if withheld else (),
    )


def _words(entries: list[_Line]) -> Iterator[tuple[float, str]]:
    """Each transcript, at the time at which its first sound was."""
    began: float | None = None
    for entry in entries:
        match entry.get("kind"):
            case "vad_started" | "turn_started" if began is None:
                began = max(0.0, _time(entry) - _number(entry.get("after")))
            case "transcript":
                text = entry.get("text")
                if isinstance(text, str) and text.strip():
                    yield (began if began is not None else _time(entry)), text
                began = None
            case _:
                pass


def _end(entries: list[_Line]) -> float:
    ends = [entry for entry in entries if entry.get("kind") == "ended"] or entries[-1:]
    return _time(ends[0]) if ends else 0.0


def _time(entry: _Line) -> float:
    return _number(entry.get("t"))


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return 0.0


def _of_simulated_log(entries: list[_Line]) -> LoggedCaller:
    pressed = sum(
        entry.get("event") == "dtmf" and entry.get("source") == TO_BOT for entry in entries
    )
    ended = [entry for entry in entries if entry.get("event") == "ended"]
    return LoggedCaller(
        seconds=_number(ended[-1].get("seconds")) if ended else 0.0,
        lost=(f"{pressed} keys that the log does not name",) if pressed else (),
    )
