"""What Cartesia says. Pure.

https://docs.cartesia.ai/api-reference/tts/websocket
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST_SECS = 3600.0
_NONSENSE = (TypeError, LookupError, AttributeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message of Cartesia's.

    Parameters:
        ask_id: The context it belongs to; None for the whole connection.
    """

    ask_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(Event):
    """Audio, mu-law."""

    mulaw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Event):
    """Words with the seconds at which each begins and ends, from the beginning of the context."""

    words: list[tuple[str, float, float]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDone(Event):
    """One of the transcripts has been spoken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDone(Event):
    """The context has come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """Something went wrong.

    Parameters:
        status: As of HTTP.
        is_unknown: Whether Cartesia does not know the voice or model that was asked for.
    """

    status: int
    is_unknown: bool = False


def read_event(message: str | bytes) -> Event:
    """Reads a message.

    Raises:
        ValueError: If it makes no sense.
    """
    try:
        event = json.loads(message)
        ask_id = event.get("context_id")
        if not isinstance(ask_id, str | None):
            raise ValueError("expected text at `context_id`")
        return _read(event, ask_id)
    except _NONSENSE as error:
        raise ValueError(f"expected an event of Cartesia's, got {type(error).__name__}") from None


def _read(event: Mapping[str, Any], ask_id: str | None) -> Event:
    match event["type"]:
        case "chunk":
            return Audio(ask_id=ask_id, mulaw=base64.b64decode(event["data"], validate=True))
        case "timestamps":
            told = event["word_timestamps"]
            timed = zip(told["words"], told["start"], told["end"], strict=True)
            words = [(str(word), _seconds(begin), _seconds(end)) for word, begin, end in timed]
            return Words(ask_id=ask_id, words=words)
        case "flush_done":
            return TextDone(ask_id=ask_id)
        case "done":
            return AskDone(ask_id=ask_id)
        case "error":
            code = str(event.get("error_code") or "")
            status = _status(event.get("status_code"))
            is_unknown = status == 404 or code.endswith("_not_found")
            return Refused(ask_id=ask_id, status=status, is_unknown=is_unknown)
        case _:
            raise ValueError("expected a type of event that is known")


def _seconds(value: object) -> float:
    # Python's JSON knows NaN, and numbers beyond a float's; neither lies between these.
    if not isinstance(value, int | float) or not 0 <= value <= _LONGEST_SECS:
        raise ValueError("expected seconds at `word_timestamps`")
    return float(value)


def _status(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or not 0 <= value <= 999:
        raise ValueError("expected a status of HTTP at `status_code`")
    return value
