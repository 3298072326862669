"""Recorded Media Streams, as people post them: JSON lines of a socket's messages.

What is understood: Twilio's messages, one a line or in one JSON array; with words of a log in front
of them; wrapped in an object with a time or a direction (``{"direction": "in", "message": {...}}``,
the message as an object or as text); printed by Python. What the bot sent is passed over.
"""

import ast
import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twilio_frames.audio import SAMPLE_RATE, mulaw_silence
from twilio_frames.errors import ConfigurationError

_MAX_BYTES = 500_000_000
_MAX_SECONDS = 4 * 3600
_WRAPPED_IN = ("message", "data", "msg", "payload", "body", "text", "frame", "raw")
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
        missing_seconds: How much of the audio is missing.
        from_bot: How many messages were the bot's, and passed over.
        other_streams: How many messages were those of other streams, and passed over.
        has_stop: Whether the stream's end is in it.
    """

    audio: bytearray = field(default_factory=bytearray, repr=False)
    digits: list[tuple[float, str]] = field(default_factory=list, repr=False)
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    malformed: list[Malformed] = field(default_factory=list)
    missing_seconds: float = 0.0
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
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(
                f"expected at most {_MAX_BYTES} bytes, got more at {path}: cut the file"
            )
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(
            f"expected a recorded stream, got {error.strerror} at {path}: check the path"
        ) from error
    reader = _Reader(path)
    for number, message in _messages(text):
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
    """Line numbers, and what stands there; a file that is one array counts by its items."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list):
            yield from enumerate(items, start=1)
            return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith(("#", "//")):
            yield number, line


class _Reader:
    def __init__(self, path: Path):
        self.capture = Capture()
        self._path = path
        self._stream_sid: str | None = None
        self._first_timestamp: int | None = None

    def take(self, number: int, item: object) -> None:
        """Takes what stands on a line."""
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
        if 0 < hole < _MAX_SECONDS:
            self.capture.missing_seconds += hole
            self.capture.audio += mulaw_silence(hole)


class _NotAMessageError(ValueError):
    """A line is no message."""


def _parsed(line: str) -> dict[str, Any]:
    begin = line.find("{")
    if begin < 0:
        raise _NotAMessageError("expected a message in JSON, got none")
    text = line[begin:].strip().rstrip(",;")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        value = _printed_by_python(text)
        if value is None:
            raise _NotAMessageError("expected a message in JSON, got a broken one") from error
    if not isinstance(value, dict):
        raise _NotAMessageError("expected a message, got another value")
    return value


def _printed_by_python(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _unwrapped(value: object) -> tuple[dict[str, Any], bool]:
    """The message in whatever is around it, and whether the bot is said to have sent it."""
    is_from_bot = False
    for _ in range(3):
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
