"""A call log, read: its lines by kind. What cannot be read is skipped, and counted."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from twilio_frames.errors import ConfigurationError
from twilio_frames.report.lines import FORMAT, VERSION, Kind, Line, is_number
from twilio_frames.report.simulated import is_simulated, told_as_call_log


class LoggedCall:
    """The lines of one call's log.

    Args:
        lines: The lines, in any order.
        unreadable: The numbers of lines that could not be read, from 1.
    """

    def __init__(self, lines: Iterable[Line], *, unreadable: Sequence[int] = ()):
        self.unreadable = unreadable
        self._by_kind: defaultdict[str, list[Line]] = defaultdict(list)
        for line in lines:
            self._by_kind[line["kind"]].append(line)
        for group in self._by_kind.values():
            group.sort(key=_time)

    def of(self, *kinds: Kind) -> list[Line]:
        """The lines of some kinds, by their time."""
        if len(kinds) == 1:
            return self._by_kind.get(kinds[0], [])
        found = [line for kind in kinds for line in self._by_kind.get(kind, [])]
        return sorted(found, key=_time)

    def times(self, kind: Kind) -> list[float]:
        """When lines of a kind were written."""
        return [line["t"] for line in self.of(kind)]

    def first(self, kind: Kind) -> Line:
        """The first line of a kind; an empty one if there is none."""
        found = self.of(kind)
        return found[0] if found else {}

    @property
    def last_time(self) -> float:
        """The latest time on any line, seconds."""
        return max((group[-1]["t"] for group in self._by_kind.values()), default=0.0)


def _time(line: Line) -> float:
    return line["t"]


def read_log(path: Path) -> LoggedCall:
    """Reads a call log.

    Raises:
        ConfigurationError: If the file cannot be read, is no call log, or of a later version.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse_log(file, name=str(path))
    except OSError as error:
        raise ConfigurationError(
            f"expected a call log at {path}, got {error.strerror}: name a file that can be read"
        ) from error


def parse_log(texts: Iterable[str], *, name: str = "the log") -> LoggedCall:
    """Reads the lines of a call log.

    Args:
        texts: Its lines.
        name: What to call it in an error's text.

    Raises:
        ConfigurationError: If they are no call log, or of a later version.
    """
    lines: list[Line] = []
    simulated: list[Line] = []
    unreadable: list[int] = []
    for place, text in enumerate(texts, start=1):
        line = _loaded(text)
        if line is not None and not lines and is_simulated(line):
            simulated.append(line)
            continue
        line = line if line is not None and _is_line(line) else None
        if line is not None:
            lines.append(line)
        elif text.strip():
            unreadable.append(place)
        if len(lines) <= 1:
            _check_header(lines[0] if lines else None, name, is_over=False)
    lines = told_as_call_log(simulated) if simulated else lines
    _check_header(lines[0] if lines else None, name, is_over=True)
    return LoggedCall(lines, unreadable=unreadable)


def is_call_log(text: str) -> bool:
    """Whether a file that begins with a line is a call log, a bot's or the simulated Twilio's."""
    line = _loaded(text)
    return line is not None and (line.get("format") == FORMAT or is_simulated(line))


def _loaded(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _is_line(line: Line) -> bool:
    return isinstance(line.get("kind"), str) and is_number(line.get("t"))


def _check_header(header: Line | None, name: str, *, is_over: bool) -> None:
    if header is None and not is_over:
        return
    if header is None or header.get("format") != FORMAT:
        raise ConfigurationError(
            f"expected {name} to begin with a line of kind `log`, got something else: "
            "name a file that twilio_frames.calllog.CallLog wrote"
        )
    version = header.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ConfigurationError(
            f"expected a call log of version {VERSION} or before at {name}, got {version!r}: "
            "install a newer pipecat-twilio-frames"
        )
