"""The log of a call: every message and event with its time, as values and as JSON lines."""

import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from twilio_frames.private_files import open_private
from twilio_frames.protocol import (
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    SendMark,
    SendMedia,
    Start,
    Stop,
)

TO_BOT = "to_bot"
FROM_BOT = "from_bot"
TO_FORK = "to_fork"
CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of the log.

    Parameters:
        time: Seconds since the call began.
        source: ``to_bot`` and ``from_bot`` for messages of the stream, ``to_fork`` for those of a
            one-way stream, ``call`` for the rest.
        event: Twilio's name of the message, or of what happened.
        details: What is worth knowing. No audio, digits or parameter values; sizes instead.
    """

    time: float
    source: str
    event: str
    details: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        """The entry as one line of JSON."""
        line = {"time": round(self.time, 4), "source": self.source, "event": self.event}
        return json.dumps(line | self.details)


class CallLog:
    """What happened on one call, in order."""

    def __init__(self) -> None:
        self.path: Path | None = None
        # Over half an hour of both directions; the file holds all of them.
        self.entries: deque[LogEntry] = deque(maxlen=200_000)
        self._began = time.monotonic()
        self._file: IO[str] | None = None

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._began

    def write_to(self, path: Path | None) -> None:
        """Writes all entries to a file as well, one JSON object a line; None: to no file."""
        self.path = path
        if path is not None:
            self._file = os.fdopen(open_private(path), "w", buffering=1 << 16)
            self._file.writelines(entry.to_json() + "\n" for entry in self.entries)

    def note(self, event: str, **details: object) -> None:
        """Writes down something that happened on the call."""
        self._add(LogEntry(time=self.now, source=CALL, event=event, details=details))

    def note_message(self, source: str, message: Message) -> None:
        """Writes down a message of the stream."""
        event, details = _summary(message)
        self._add(LogEntry(time=self.now, source=source, event=event, details=details))

    def events(self, name: str, source: str | None = None) -> list[LogEntry]:
        """The entries with this event, in order."""
        return [
            entry
            for entry in self.entries
            if entry.event == name and source in (None, entry.source)
        ]

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _add(self, entry: LogEntry) -> None:
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(entry.to_json() + "\n")


def _summary(message: Message) -> tuple[str, dict[str, object]]:
    match message:
        case Media(payload=payload, timestamp=timestamp):
            return "media", {"bytes": len(payload), "timestamp": timestamp}
        case SendMedia(payload=payload):
            return "media", {"bytes": len(payload)}
        case Mark(name=name) | SendMark(name=name):
            return "mark", {"name": name}
        case Start(stream_sid=stream_sid, custom_parameters=parameters):
            return "start", {"stream_sid": stream_sid, "parameters": sorted(parameters)}
        case Connected():
            return "connected", {}
        case Clear():
            return "clear", {}
        case Dtmf():
            return "dtmf", {}
        case Stop():
            return "stop", {}
