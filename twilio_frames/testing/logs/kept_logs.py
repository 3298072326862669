"""Reads logs as they are kept: packed, in whatever encoding, in the wrappings of what kept them."""

import gzip
import re
import zlib
from pathlib import Path

from twilio_frames.errors import ConfigurationError

MAX_BYTES = 500_000_000

_GZIP = b"\x1f\x8b"
_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIX = re.compile(
    "|".join(
        (
            rf"{_TIME} (?:stdout|stderr) [FP] ",  # Kubernetes' container runtimes
            # syslog, and journald
            rf"(?:{_TIME}|[A-Z][a-z]{{2}} +\d+ [\d:]{{8}}) \S+ [\w.@/-]+(?:\[[\w.]+\])?: ",
            rf"{_TIME} [\w/-]+\[[\w.]+\]: ",  # Heroku
            r"[\w.-]+ +\| ",  # Docker Compose
            rf"\[?{_TIME}\]?[ \t]",
        )
    )
)


def kept_text(path: Path) -> str:
    """What stands in a file; unpacked, decoded, without colors.

    Raises:
        ConfigurationError: If it cannot be read, or is too long.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if data.startswith(_GZIP):
            with gzip.open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        problem = (
            error.strerror if isinstance(error, OSError) and error.strerror else "a broken file"
        )
        raise ConfigurationError(
            f"expected a recorded call, got {problem} at {path}: check the path"
        ) from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            f"expected at most {MAX_BYTES} bytes, got more at {path}: cut the file"
        )
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8")
    return _COLOURS.sub("", data.decode(encoding, "replace"))


def without_prefix(line: str) -> str:
    """A line without the time and place that what kept it has put in front."""
    while (match := _PREFIX.match(line)) is not None:
        line = line[match.end() :]
    return line
