"""Twilio's Media Streams protocol without I/O: its messages, and one stream seen from either end.

Five calls make an integration, for a bot or for a Twilio::

    stream = Stream(Role.BOT)
    for event in stream.receive(text): ...      # whatever arrived; never raises
    text = stream.send(SendMedia(payload=...))  # put it on the wire
    stream.state, stream.start                  # where the stream stands
"""

from twilio_frames.protocol.messages import (
    INBOUND,
    OUTBOUND,
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
from twilio_frames.protocol.playback import MarkEcho, Playback
from twilio_frames.protocol.stream import Event, Stream, StreamState
from twilio_frames.protocol.violations import (
    BreakKind,
    SequenceBreak,
    TimestampBreak,
    Violation,
    ViolationKind,
)
from twilio_frames.protocol.wire import MAX_MESSAGE, MAX_SID, decode, encode

__all__ = [
    "INBOUND",
    "MAX_MESSAGE",
    "MAX_SID",
    "OUTBOUND",
    "BotMessage",
    "BreakKind",
    "Clear",
    "Connected",
    "Dtmf",
    "Event",
    "Mark",
    "MarkEcho",
    "Media",
    "MediaFormat",
    "Message",
    "Playback",
    "Role",
    "SendMark",
    "SendMedia",
    "SequenceBreak",
    "Start",
    "Stop",
    "Stream",
    "StreamState",
    "TimestampBreak",
    "TwilioMessage",
    "Unknown",
    "Violation",
    "ViolationKind",
    "decode",
    "encode",
]
