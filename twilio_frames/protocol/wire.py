"""Text to message and message to text. Reading is tolerant, writing is exact.

Numbers may arrive as strings or as numbers, unknown fields are passed over, optional ones may be
missing: Twilio's own captures differ in all of these. What Twilio would warn a bot of (31951:
an unknown or extra field, an unknown event) is a violation when a *bot's* message is read.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, assert_never, cast

import msgspec

from twilio_frames.errors import LocalProtocolError
from twilio_frames.protocol.messages import (
    INBOUND,
    BotMessage,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    MediaFormat,
    Message,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    TwilioMessage,
    Unknown,
)
from twilio_frames.protocol.violations import Violation, ViolationKind

MAX_MESSAGE = 1 << 20
"""Longest message that is read, in characters: over two minutes of audio (Twilio sends 20 ms)."""

_MAX_EVENT_NAME = 40

MAX_NUMBER = 1 << 53
"""Largest number that is read: up to here a JSON number is exact wherever it is read.

A call's last millisecond is 10^8, but an emulator's clock may count from 1970.
"""

MAX_SID = 100
"""Longest sid that is read, in characters; Twilio's have 34."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
_Milliseconds = _Count | Annotated[float, msgspec.Meta(ge=0, le=float(MAX_NUMBER))]


class _Wire(msgspec.Struct, rename="camel", tag_field="event"):
    """What Twilio's messages have in common. Numbers are read from numbers or strings."""

    stream_sid: str = ""
    sequence_number: _Count | None = None


class _MediaFields(msgspec.Struct):
    payload: bytes
    track: str = INBOUND
    chunk: _Count | None = None
    # Twilio's are whole; an emulator's clock may not be.
    timestamp: _Milliseconds | None = None


class _Media(_Wire, tag="media", kw_only=True):
    media: _MediaFields


class _Connected(_Wire, tag="connected"):
    protocol: str = "Call"
    version: str | int | float = "1.0.0"


class _FormatFields(msgspec.Struct, rename="camel"):
    encoding: str = "audio/x-mulaw"
    sample_rate: _Count = 8000
    channels: _Count = 1


class _StartFields(msgspec.Struct, rename="camel"):
    account_sid: str = ""
    call_sid: str = ""
    stream_sid: str = ""
    tracks: tuple[str, ...] | None = None
    media_format: _FormatFields | None = None
    custom_parameters: dict[str, str | int | float | bool | None] | None = None


class _Start(_Wire, tag="start", kw_only=True):
    start: _StartFields


class _DtmfFields(msgspec.Struct):
    digit: Literal[
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#",
        "A", "B", "C", "D", "a", "b", "c", "d", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]  # fmt: skip
    track: str = "inbound_track"


class _Dtmf(_Wire, tag="dtmf", kw_only=True):
    dtmf: _DtmfFields


class _MarkFields(msgspec.Struct):
    name: str


class _Mark(_Wire, tag="mark", kw_only=True):
    mark: _MarkFields


class _StopFields(msgspec.Struct, rename="camel"):
    account_sid: str = ""
    call_sid: str = ""


class _Stop(_Wire, tag="stop"):
    stop: _StopFields | None = None


class _BotWire(msgspec.Struct, rename="camel", tag_field="event", forbid_unknown_fields=True):
    """What a bot's messages have in common: every field is due, and no other may be there."""

    stream_sid: str


class _SendMediaFields(msgspec.Struct, forbid_unknown_fields=True):
    payload: bytes


class _SendMedia(_BotWire, tag="media"):
    media: _SendMediaFields


class _SendMarkFields(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _SendMark(_BotWire, tag="mark"):
    mark: _SendMarkFields


class _Clear(_BotWire, tag="clear"):
    pass


_TwilioWire = _Media | _Mark | _Dtmf | _Start | _Stop | _Connected
_BotWires = _SendMedia | _SendMark | _Clear
_EVENTS = {
    Role.TWILIO: frozenset({"connected", "start", "media", "dtmf", "mark", "stop"}),
    Role.BOT: frozenset({"media", "mark", "clear"}),
}
# Python 3.11 takes as long to look a member of an enum up as to make a message.
_TWILIO = Role.TWILIO
_twilio = msgspec.json.Decoder(_TwilioWire, strict=False)
_bot = msgspec.json.Decoder(_BotWires)
_anything = msgspec.json.Decoder()
_encode_json = msgspec.json.Encoder().encode


def decode(data: str | bytes, sender: Role) -> Message | Unknown | Violation:
    """The message a text holds, or what is wrong with it. Never raises.

    Args:
        data: What arrived. Bytes stand for a binary frame, which Media Streams do not have.
        sender: Who sent it.
    """
    if not isinstance(data, str):
        return _violation(ViolationKind.BINARY, "expected a text frame, got a binary one", data)
    if len(data) > MAX_MESSAGE:
        return _violation(
            ViolationKind.TOO_LARGE, f"expected at most {MAX_MESSAGE} characters", data
        )
    try:
        if sender is _TWILIO:
            wire = _twilio.decode(data)
            if isinstance(wire, _Mark):
                name, number = wire.mark.name, wire.sequence_number
                return Mark(name=name, sequence_number=number, stream_sid=wire.stream_sid)
            if not isinstance(wire, _Media):
                return _from_twilio(wire)
            # Fifty a second.
            media, timestamp = wire.media, wire.media.timestamp
            return Media(
                payload=media.payload,
                track=media.track,
                timestamp=int(timestamp) if isinstance(timestamp, float) else timestamp,
                chunk=media.chunk,
                sequence_number=wire.sequence_number,
                stream_sid=wire.stream_sid,
            )
        return _from_bot(_bot.decode(data))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        return _diagnose(data, sender, error)


def _from_twilio(wire: _Start | _Dtmf | _Stop | _Connected) -> Message:
    number, stream_sid = wire.sequence_number, wire.stream_sid
    match wire:
        case _Dtmf():
            return Dtmf(
                digit=str(wire.dtmf.digit).upper(),
                track=wire.dtmf.track,
                sequence_number=number,
                stream_sid=stream_sid,
            )
        case _Start():
            return _start(wire)
        case _Stop():
            stop = wire.stop or _StopFields()
            return Stop(
                call_sid=stop.call_sid,
                account_sid=stop.account_sid,
                sequence_number=number,
                stream_sid=stream_sid,
            )
        case _Connected():
            return Connected(protocol=wire.protocol, version=str(wire.version))


def _start(wire: _Start) -> Start:
    start = wire.start
    stream_sid = start.stream_sid or wire.stream_sid
    if not stream_sid:
        raise msgspec.ValidationError("Object missing required field `streamSid` - at `$.start`")
    for sid in (stream_sid, start.call_sid, start.account_sid):
        if len(sid) > MAX_SID or not sid.isprintable():
            raise msgspec.ValidationError("Expected a sid - at `$.start`")
    form = start.media_format or _FormatFields()
    parameters = {
        name: value if isinstance(value, str) else _encode_json(value).decode()
        for name, value in (start.custom_parameters or {}).items()
    }
    return Start(
        stream_sid=stream_sid,
        call_sid=start.call_sid,
        account_sid=start.account_sid,
        tracks=(INBOUND,) if start.tracks is None else start.tracks,
        media_format=MediaFormat(
            encoding=form.encoding, sample_rate=form.sample_rate, channels=form.channels
        ),
        custom_parameters=MappingProxyType(parameters),
        sequence_number=wire.sequence_number,
    )


def _from_bot(wire: _BotWires) -> Message:
    match wire:
        case _SendMedia():
            return SendMedia(payload=wire.media.payload, stream_sid=wire.stream_sid)
        case _SendMark():
            return SendMark(name=wire.mark.name, stream_sid=wire.stream_sid)
        case _Clear():
            return Clear(stream_sid=wire.stream_sid)


def _violation(kind: ViolationKind, detail: str, data: str | bytes) -> Violation:
    return Violation(kind=kind, detail=f"{detail}, got {len(data)} characters", size=len(data))


def _diagnose(data: str, sender: Role, error: Exception) -> Unknown | Violation:
    """Why a text is no message. Slow, and only for texts that are none."""
    try:
        value = _anything.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _violation(ViolationKind.NOT_JSON, "expected JSON, got other text", data)
    if not isinstance(value, dict):
        return _violation(
            ViolationKind.NOT_AN_OBJECT, "expected a JSON object, got another value", data
        )
    event = cast("dict[str, object]", value).get("event")
    if not isinstance(event, str):
        return _violation(ViolationKind.INVALID_FIELD, "expected a string at `$.event`", data)
    if event not in _EVENTS[sender]:
        if sender is Role.TWILIO:
            return Unknown(event=event[:_MAX_EVENT_NAME])
        return _violation(
            ViolationKind.UNKNOWN_EVENT, "expected media, mark or clear at `$.event`", data
        )
    if "base64" in str(error):
        return _violation(ViolationKind.BAD_PAYLOAD, "expected base64 at `$.media.payload`", data)
    return _violation(ViolationKind.INVALID_FIELD, _without_values(error), data)


def _without_values(error: Exception) -> str:
    """What the decoder says of types and places; values (digits, say) are left out."""
    found = re.fullmatch(r"(.*?)(?: - at `([^`]*)`)?", str(error), re.DOTALL)
    reason, place = found.groups() if found else ("", None)
    if missing := re.fullmatch(r"Object missing required field (`\w+`)", reason):
        reason = f"Expected the field {missing[1]}, got none,"
    elif not re.fullmatch(r"Expected [^'\"]*", reason):
        reason = "Expected a documented value, got another"
    return f"{reason} at `{place or '$'}`"


def encode(message: Message) -> str:
    """The text of a message: the documented fields and no others, numbers as Twilio writes them.

    Raises:
        LocalProtocolError: If a number that Twilio always gives is missing.
    """
    if isinstance(message, SendMedia | SendMark | Clear):
        return encode_from_bot(message, message.stream_sid)
    return _encode_json(_as_object(message)).decode()


def encode_audio(mulaw: bytes, mark: str, stream_sid: str) -> tuple[str, str]:
    """The texts of a bot's audio for a stream, and of the mark behind it."""
    media = _SendMedia(stream_sid, _SendMediaFields(mulaw))
    behind = _SendMark(stream_sid, _SendMarkFields(mark))
    return _encode_json(media).decode(), _encode_json(behind).decode()


def encode_from_bot(message: BotMessage, stream_sid: str) -> str:
    """The text of a bot's message for a stream."""
    if isinstance(message, SendMedia):
        fields = _SendMediaFields(message.payload)
        return _encode_json(_SendMedia(stream_sid, fields)).decode()
    if isinstance(message, SendMark):
        return _encode_json(_SendMark(stream_sid, _SendMarkFields(message.name))).decode()
    return _encode_json(_Clear(stream_sid)).decode()


def _as_object(message: TwilioMessage) -> dict[str, object]:
    match message:
        case Connected():
            return {
                "event": "connected",
                "protocol": message.protocol,
                "version": message.version,
            }
        case Media():
            fields = {
                "track": message.track,
                "chunk": _number(message.chunk, "chunk"),
                "timestamp": _number(message.timestamp, "timestamp"),
                "payload": message.payload,
            }
            return _numbered("media", message, fields)
        case Dtmf():
            return _numbered("dtmf", message, {"track": message.track, "digit": message.digit})
        case Mark():
            return _numbered("mark", message, {"name": message.name})
        case Start():
            return _numbered("start", message, _start_object(message))
        case Stop():
            ids = {"accountSid": message.account_sid, "callSid": message.call_sid}
            return _numbered("stop", message, ids)
    assert_never(message)


def _numbered(
    event: str, message: Start | Media | Dtmf | Mark | Stop, fields: Mapping[str, object]
) -> dict[str, object]:
    return {
        "event": event,
        "sequenceNumber": _number(message.sequence_number, "sequence_number"),
        event: fields,
        "streamSid": message.stream_sid,
    }


def _number(value: int | None, name: str) -> str:
    if value is None:
        raise LocalProtocolError(
            f"expected a number as {name}, got none: Stream.send() fills it in"
        )
    return str(value)


def _start_object(message: Start) -> dict[str, object]:
    return {
        "accountSid": message.account_sid,
        "streamSid": message.stream_sid,
        "callSid": message.call_sid,
        "tracks": list(message.tracks),
        "mediaFormat": {
            "encoding": message.media_format.encoding,
            "sampleRate": message.media_format.sample_rate,
            "channels": message.media_format.channels,
        },
        "customParameters": dict(message.custom_parameters),
    }
