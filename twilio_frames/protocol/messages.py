"""The nouns of Media Streams: every message of both directions, as a frozen dataclass.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages

A field that only the stream can know (``stream_sid``, ``sequence_number``, ``chunk``) may be left
out of a message that is to be sent: :meth:`twilio_frames.protocol.Stream.send` fills it in.
Audio, digits and custom parameters stay out of ``repr()``, so that no log line can hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

import msgspec

BYTES_PER_SECOND = 8000
"""Of the mu-law that a stream carries."""
INBOUND = "inbound"
"""The caller's track: what the other party says."""
OUTBOUND = "outbound"
"""The track of what is played to the caller; only one-way streams carry it."""


class Role(Enum):
    """The two ends of a media stream."""

    BOT = "bot"
    """Answers: the WebSocket server a ``<Stream>`` points to."""
    TWILIO = "twilio"
    """Calls: the WebSocket client."""

    @property
    def other(self) -> "Role":
        """The end this one talks to."""
        return Role.TWILIO if self is Role.BOT else Role.BOT


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFormat:
    """How the audio of a stream is encoded; Twilio documents these three values and no others."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000
    channels: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Twilio: the WebSocket is up. Always the first message; carries no stream sid."""

    protocol: str = "Call"
    version: str = "1.0.0"


def _no_parameters() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Twilio: the stream begins; sent once, right after :class:`Connected`.

    Parameters:
        tracks: Which tracks the stream carries.
        custom_parameters: The ``<Parameter>`` elements of the TwiML. Caller and called number are
            among them only if the TwiML put them there.
    """

    stream_sid: str
    call_sid: str = ""
    account_sid: str = ""
    tracks: tuple[str, ...] = (INBOUND,)
    media_format: MediaFormat = MediaFormat()
    custom_parameters: Mapping[str, str] = field(default_factory=_no_parameters, repr=False)
    sequence_number: int | None = None


# A msgspec Struct, since 50 of them a second and call are made: a frozen dataclass takes ten times
# as long to make. `gc=False`: it holds nothing that could hold it.
class Media(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Twilio: a piece of audio of one track, 20 ms as a rule.

    Parameters:
        payload: Mu-law audio, 8000 bytes a second.
        timestamp: Where the piece begins, milliseconds from the start of the stream. The first
            is not 0.
        chunk: Number of the piece within the stream, from 1.
    """

    payload: bytes
    track: str = INBOUND
    timestamp: int | None = None
    chunk: int | None = None
    sequence_number: int | None = None
    stream_sid: str = ""

    def __repr__(self) -> str:
        return (
            f"Media(track={self.track!r}, timestamp={self.timestamp}, chunk={self.chunk}, "
            f"sequence_number={self.sequence_number}, stream_sid={self.stream_sid!r})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtmf:
    """Twilio: the caller pressed a key.

    Parameters:
        digit: One of ``0123456789*#`` (and A-D, which few telephones have).
        track: ``inbound_track``; unlike in :class:`Media`, with the suffix.
    """

    digit: str = field(repr=False)
    track: str = "inbound_track"
    sequence_number: int | None = None
    stream_sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Twilio: a mark the bot set has been reached, or was flushed by a ``clear``."""

    name: str
    sequence_number: int | None = None
    stream_sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Twilio: the stream has ended, or the call has. No reason is given."""

    call_sid: str = ""
    account_sid: str = ""
    sequence_number: int | None = None
    stream_sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Twilio: a message with an event this package does not know. It is no violation.

    Parameters:
        event: The event's name, cut to 40 characters.
    """

    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMedia:
    """Bot: audio to be played behind what is buffered already.

    Parameters:
        payload: Mu-law audio, 8000 bytes a second, of any length; no file header.
    """

    payload: bytes = field(repr=False)
    stream_sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMark:
    """Bot: asks for a :class:`Mark` when all audio sent before this has been played."""

    name: str
    stream_sid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """Bot: throws away the buffered audio. Every outstanding mark is sent back at once."""

    stream_sid: str = ""


TwilioMessage = Connected | Start | Media | Dtmf | Mark | Stop
"""What Twilio sends."""
BotMessage = SendMedia | SendMark | Clear
"""What a bot sends."""
Message = TwilioMessage | BotMessage
