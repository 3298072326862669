"""A stream whose ``start`` somebody else has read: where its name is to be had all the same.

Pipecat's ``parse_telephony_websocket()`` reads ``connected`` and ``start`` to get at the custom
parameters, and keeps what it read on the socket. Whoever reads them by hand leaves at least the
messages that follow, each of which names its stream.

This module is the one that knows where Pipecat keeps what it read.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from loguru import logger

from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.protocol import MAX_SID, OUTBOUND, Dtmf, Mark, Media, Role, Start, Stop, decode

__all__ = [
    "READ_BY_PIPECAT",
    "fault_of_format",
    "is_audible",
    "start_kept_on",
    "start_of_later_message",
]

READ_BY_PIPECAT = "_pipecat_parsed_telephony"
"""The attribute of a WebSocket on which Pipecat keeps the kind of a stream, and its data."""


def start_kept_on(websocket: object) -> Start | None:
    """The ``start`` that Pipecat has read from a socket; None if it has read none.

    Raises:
        ConfigurationError: If it was another vendor's.
    """
    kept = getattr(websocket, READ_BY_PIPECAT, None)
    if not isinstance(kept, tuple) or len(cast("tuple[Any, ...]", kept)) != 2:
        return None
    vendor, data = cast("tuple[str, Any]", kept)
    if vendor != "twilio" or not data.get("stream_id"):
        raise ConfigurationError(
            "expected a Twilio media stream, got a socket from which parse_telephony_websocket() "
            f"has read a start of the kind {vendor!r}: use the transport of that vendor"
        )
    body = data.get("body")
    parameters = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}
    return Start(
        stream_sid=data.get("stream_id"),
        call_sid=data.get("call_id") or "",
        custom_parameters=MappingProxyType({str(k): str(v) for k, v in parameters.items()}),
    )


def start_of_later_message(data: str | bytes) -> Start | None:
    """A ``start`` with the stream that a message names which only comes behind it; else None."""
    message = decode(data, Role.TWILIO)
    if not isinstance(message, Media | Dtmf | Mark | Stop):
        return None
    sid = message.stream_sid
    if not (0 < len(sid) <= MAX_SID and sid.isprintable()):
        return None
    logger.warning(
        f"stream {sid}: `connected` and `start` have been read before: the call's sid and "
        "parameters are not known here. Let TwilioTransport read them "
        "(`await transport.wait_for_start()`), or pass `start=...` to it"
    )
    return Start(stream_sid=sid)


def is_audible(start: Start) -> bool:
    """Whether a stream plays what is sent; that one does not is said."""
    if OUTBOUND not in start.tracks:
        return True
    logger.error(
        f"call {start.call_sid}: nothing the bot says can be heard: `start.tracks` names "
        "`outbound`, so this is a one-way stream (<Start><Stream>); use <Connect><Stream>"
    )
    return False


def fault_of_format(start: Start) -> CallFailedError | None:
    """Why a stream's audio cannot be read; None if it can."""
    form = start.media_format
    if (form.encoding, form.sample_rate, form.channels) == ("audio/x-mulaw", 8000, 1):
        return None
    return CallFailedError(
        f"expected audio/x-mulaw, 8000 Hz, 1 channel at `start.mediaFormat`, got "
        f"{form.encoding[:40]}, {form.sample_rate} Hz, {form.channels}: leave the audio "
        "format attributes of <Stream> out"
    )
