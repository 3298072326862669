"""What must be true of a stream whatever arrives on it."""

from collections.abc import Sequence
from typing import get_args

from twilio_frames.protocol import Event, Stream, StreamState, Violation

_ORDER = list(StreamState)
_EVENTS: tuple[type, ...] = get_args(Event)
_LONGEST_DETAIL = 400


class InsaneStreamError(AssertionError):
    """A stream did what it must never do."""


def require_sanity(stream: Stream, before: StreamState, events: Sequence[Event]) -> None:
    """Checks a stream after a message.

    Args:
        stream: The stream.
        before: Its state before the message.
        events: What ``receive`` gave for it.

    Raises:
        InsaneStreamError: If anything is wrong.
    """
    _require(bool(events), "a message amounts to nothing")
    _require(all(type(event) in _EVENTS for event in events), "an event is of no known type")
    _require(_ORDER.index(stream.state) >= _ORDER.index(before), "a stream goes back")
    is_under_way = stream.state in (StreamState.STARTED, StreamState.STOPPED)
    _require(is_under_way == (stream.start is not None), "state and start disagree")
    _require(is_under_way == bool(stream.stream_sid), "state and sid disagree")
    for event in events:
        if isinstance(event, Violation):
            _require(len(events) == 1, "a violation does not stand alone")
            _require(stream.state is before, "a violation moves a stream on")
            _require(len(event.detail) < _LONGEST_DETAIL, "a detail repeats the message")
        _require(len(repr(event)) < 1 << 21, "an event cannot be written down")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InsaneStreamError(what)
