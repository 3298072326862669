"""Recorded Media Streams, as people keep and post them: a socket's messages.

What is understood: Twilio's messages, one a line, over several lines, or all in one document; as
JSON, as Python prints them or Node; with words of a log in front of them; wrapped in an object with
a time or a direction (``{"direction": "in", "message": {...}}``, the message as an object or as
text), as by Docker, journald or CloudWatch. What the bot sent is passed over.
"""

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.logs.kept_logs import kept_text, without_prefix
from twilio_frames.testing.logs.printed_objects import (
    BrokenObjectError,
    UnfinishedObjectError,
    read_object,
)

_MOST_WRAPPINGS = 4
_WRAPPED_IN = (
    *("message", "data", "msg", "payload", "body", "text", "frame", "raw"),
    *("log", "line", "MESSAGE", "textPayload", "jsonPayload"),
)
_FROM_BOT = {"out", "outbound", "sent", "send", "from_bot", "to_twilio", "server", "tx"}
_EVENTS = {"connected", "start", "media", "dtmf", "mark", "stop", "clear"}


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no message.

    Parameters:
        line: Its number, from 1.
        problem: What was expected, and what it has.
    """

    line: int
    problem: str


@dataclass(slots=True, kw_only=True)
class Capture:
    """The caller's side of a recorded stream.

    Parameters:
        audio: From the first frame to the last, mu-law; silence where frames are missing.
        digits: Keys that were pressed, with the second of the audio at which they were.
        parameters: Custom parameters of the stream.
        malformed: Lines that are no messages.
        missing_secs: How much of the audio is missing.
        from_bot: How many messages were the bot's, and passed over.
        other_streams: How many messages were those of other streams, and passed over.
        has_stop: Whether the stream's end is in it.
    """

    audio: bytearray = field(default_factory=bytearray, repr=False)
    digits: list[tuple[float, str]] = field(default_factory=list, repr=False)
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    malformed: list[Malformed] = field(default_factory=list)
    missing_secs: float = 0.0
    from_bot: int = 0
    other_streams: int = 0
    has_stop: bool = False

    @property
    def seconds(self) -> float:
        """How long the audio is."""
        return len(self.audio) / SAMPLE_RATE


def read_capture(path: Path) -> Capture:
    """Reads a recorded stream.

    Raises:
        ConfigurationError: If the file cannot be read, or has no audio of a caller's in it.
    """
    reader = _Reader(path)
    for number, message in _messages(kept_text(path)):
        reader.take(number, message)
    if not reader.capture.audio:
        raise ConfigurationError(_nothing_in(reader.capture, path))
    return reader.capture


def _nothing_in(capture: Capture, path: Path) -> str:
    text = f"expected `media` messages of a caller's at {path}, got none"
    if capture.malformed:
        first = capture.malformed[0]
        text += f"; {first.problem} at {path}:{first.line}"
    return text + ": record what Twilio sends, one message a line"


def _messages(text: str) -> Iterator[tuple[int, object]]:
    """Line numbers, and what stands there; a file that is one document counts by its items."""
    document = _document(text)
    if document is not None:
        yield from enumerate(document, start=1)
        return
    lines = deque(enumerate(_unwrapped_lines(text), start=1))
    while lines:
        number, line = lines.popleft()
        if isinstance(line, str) and "{" in line:
            line = _with_what_follows(line, lines)
        yield number, line


def _document(text: str) -> list[object] | None:
    """The items of a file that is one JSON document: a list, or an object with one in it."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for _ in range(_MOST_WRAPPINGS):
        if isinstance(document, list):
            return document
        if not isinstance(document, dict):
            return None
        document = next((part for part in document.values() if isinstance(part, list)), None)
    return None


def _unwrapped_lines(text: str) -> Iterator[object]:
    """The lines as they were before a log kept them, where a message is no line of its own."""
    for line in text.splitlines():
        bare = without_prefix(line)
        if bare.lstrip().startswith(("#", "//")) or not bare.strip():
            yield None
        else:
            yield _part_of_message(bare)


def _part_of_message(line: str) -> str:
    """A line of a message that was printed over several, out of what a log made of it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(value, dict) or "event" in value:
        return line
    inner = next((value[name] for name in _WRAPPED_IN if name in value), None)
    if not isinstance(inner, str):
        return line
    begin = inner.find("{")
    try:
        # A message that is whole stays with its direction, which the wrapping may tell.
        if begin >= 0 and _may_hold_message(read_object(inner, begin)[0]):
            return line
    except BrokenObjectError:
        pass
    return without_prefix(inner.rstrip("\r\n"))


def _with_what_follows(line: str, lines: "deque[tuple[int, object]]") -> str:
    """A line with those behind it that belong to an object in it; they are taken from the lines."""
    whole, taken = line, 0
    # A message that is printed over more lines is none.
    for _, following in islice(lines, 300):
        begin = whole.find("{")
        try:
            _objects(whole, begin)
            break
        except UnfinishedObjectError:
            whole += f"\n{following or ''}"
            taken += 1
        except BrokenObjectError:
            return line
    try:
        _objects(whole, whole.find("{"))
    except BrokenObjectError:
        # It was cut off: what follows is something else.
        return line
    for _ in range(taken):
        lines.popleft()
    return whole


def _objects(text: str, begin: int) -> list[dict[str, Any]]:
    """The objects in a text, from a place on."""
    found: list[dict[str, Any]] = []
    while begin >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            value, end = read_object(text, begin)
        found.append(value)
        begin = text.find("{", end)
    return found


class _Reader:
    def __init__(self, path: Path):
        self.capture = Capture()
        self._path = path
        self._stream_sid: str | None = None
        self._first_timestamp: int | None = None

    def take(self, number: int, item: object) -> None:
        """Takes what stands on a line; nothing, on an empty one."""
        if item is None:
            return
        try:
            self._take(item)
        except _NotAMessageError as error:
            self.capture.malformed.append(Malformed(number, str(error)))

    def _take(self, item: object) -> None:
        message, is_from_bot = _unwrapped(_parsed(item) if isinstance(item, str) else item)
        if is_from_bot or _is_bots(message):
            self.capture.from_bot += 1
            return
        sid = message.get("streamSid")
        if isinstance(sid, str):
            if self._stream_sid is None:
                self._stream_sid = sid
            elif sid != self._stream_sid:
                self.capture.other_streams += 1
                return
        match message["event"]:
            case "start":
                self._start(_part(message, "start"))
            case "media":
                self._media(_part(message, "media"))
            case "dtmf":
                digit = _part(message, "dtmf").get("digit")
                if not isinstance(digit, str) or not digit:
                    raise _NotAMessageError("expected a `digit` in `dtmf`, got none")
                self.capture.digits.append((self.capture.seconds, digit))
            case "stop":
                self.capture.has_stop = True
            case _:
                pass

    def _start(self, start: dict[str, Any]) -> None:
        given = start.get("mediaFormat") or {}
        encoding = given.get("encoding", "audio/x-mulaw") if isinstance(given, dict) else ""
        rate = given.get("sampleRate", SAMPLE_RATE) if isinstance(given, dict) else 0
        if "mulaw" not in str(encoding) or str(rate) != str(SAMPLE_RATE):
            raise ConfigurationError(
                f"expected audio/x-mulaw at {SAMPLE_RATE} Hz in `start`, got {encoding} at {rate} "
                f"Hz at {self._path}: only what a telephone sends can be replayed"
            )
        parameters = start.get("customParameters") or {}
        if isinstance(parameters, dict):
            self.capture.parameters = {str(key): str(parameters[key]) for key in parameters}

    def _media(self, media: dict[str, Any]) -> None:
        if media.get("track", "inbound") not in ("inbound", "inbound_track"):
            self.capture.from_bot += 1
            return
        audio = _decoded(media.get("payload"))
        timestamp = _number(media.get("timestamp"))
        if timestamp is not None:
            self._fill_up_to(timestamp)
        self.capture.audio += audio

    def _fill_up_to(self, timestamp: int) -> None:
        if self._first_timestamp is None:
            self._first_timestamp = timestamp
        hole = (timestamp - self._first_timestamp) / 1000 - self.capture.seconds
        if 0 < hole < 4 * 3600:
            self.capture.missing_secs += hole
            self.capture.audio += mulaw_silence(hole)


class _NotAMessageError(ValueError):
    """A line is no message."""


def _parsed(line: str) -> dict[str, Any]:
    """The message in a line; of several objects the one that is a message."""
    begin = line.find("{")
    if begin < 0:
        raise _NotAMessageError("expected a message in JSON, got none")
    try:
        objects = _objects(line, begin)
    except BrokenObjectError as error:
        raise _NotAMessageError("expected a message in JSON, got a broken one") from error
    return next((value for value in objects if _may_hold_message(value)), objects[0])


def _may_hold_message(value: dict[str, Any]) -> bool:
    return str(value.get("event")) in _EVENTS or any(name in value for name in _WRAPPED_IN)


def _unwrapped(value: object) -> tuple[dict[str, Any], bool]:
    """The message in whatever is around it, and whether the bot is said to have sent it."""
    is_from_bot = False
    for _ in range(_MOST_WRAPPINGS):
        if not isinstance(value, dict):
            break
        direction = value.get("direction", value.get("dir", value.get("source")))
        is_from_bot = is_from_bot or str(direction).lower() in _FROM_BOT
        if str(value.get("event")) in _EVENTS:
            return value, is_from_bot
        value = next((value[name] for name in _WRAPPED_IN if name in value), None)
        if isinstance(value, str) and "{" in value:
            value = _parsed(value)
    raise _NotAMessageError(f"expected one of the events {', '.join(sorted(_EVENTS))}, got none")


def _is_bots(message: dict[str, Any]) -> bool:
    """Whether only a bot says such a thing: its media say nothing but the audio."""
    if message["event"] == "clear":
        return True
    media = message.get("media")
    is_bare = isinstance(media, dict) and not media.keys() & {"track", "chunk", "timestamp"}
    return message["event"] == "media" and is_bare and "sequenceNumber" not in message


def _part(message: dict[str, Any], name: str) -> dict[str, Any]:
    part = message.get(name)
    if not isinstance(part, dict):
        raise _NotAMessageError(f"expected a `{name}` object in the message, got none")
    return part


def _decoded(payload: object) -> bytes:
    if not isinstance(payload, str) or not payload:
        raise _NotAMessageError("expected a `payload` in `media`, got none")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _NotAMessageError(
            "expected a `payload` in base64, got one that is broken or cut off"
        ) from error


def _number(value: object) -> int | None:
    try:
        return int(str(value)) if value is not None else None
    except ValueError:
        raise _NotAMessageError("expected milliseconds for `timestamp`, got other text") from None
