"""One media stream, seen from either end: who may say what when, and what the numbers tell.

Theory of operation
-------------------
A stream is a conversation of two roles over one WebSocket. Twilio says ``connected``, then
``start`` once; from then on Twilio sends ``media``, ``dtmf`` and ``mark`` and the bot sends
``media``, ``mark`` and ``clear``, until Twilio says ``stop``. That is all of :data:`_TURNS`, and
both ends run the same table: what one end may send is what the other may receive.

There is one door each way. :meth:`Stream.send` takes a message of our role and gives the text to
put on the wire; it raises when we break a rule, for that is a bug on this side.
:meth:`Stream.receive` takes whatever arrived and gives the events it amounts to; it never raises,
for nothing that a peer sends may end a call. A message that breaks a rule becomes a
:class:`Violation` and is skipped.

Twilio numbers its messages from 1 (``connected`` has no number) and stamps each piece of audio
with the milliseconds since the stream began. The first stamp is not 0: the audio before it never
existed. From then on both should count on without a step; where they do not, a
:class:`SequenceBreak` or a :class:`TimestampBreak` comes before the message itself. Where five
pieces of audio in a row are late and yet count on, the clock was wrong before them, and theirs is
what goes on.

No I/O happens here, and no clock is read.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial

from twilio_frames.errors import LocalProtocolError
from twilio_frames.protocol.messages import (
    BYTES_PER_SECOND,
    INBOUND,
    OUTBOUND,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Role,
    SendMark,
    SendMedia,
    Start,
    Stop,
    TwilioMessage,
    Unknown,
)
from twilio_frames.protocol.violations import (
    BreakKind,
    SequenceBreak,
    TimestampBreak,
    Violation,
    ViolationKind,
)
from twilio_frames.protocol.wire import decode, encode, encode_audio, encode_from_bot

Event = Message | Unknown | Violation | SequenceBreak | TimestampBreak
"""What :meth:`Stream.receive` gives."""

_TIMESTAMP_TOLERANCE = 1
"""Milliseconds: timestamps are whole, audio need not be."""
_NEW_CLOCK_PIECES = 5
"""So many pieces in a row that lie in the past, but count on, are a clock that was set back."""


class StreamState(Enum):
    """How far a stream has come."""

    IDLE = "idle"
    """Nothing has been said."""
    CONNECTED = "connected"
    STARTED = "started"
    STOPPED = "stopped"


# Looked up once: Python 3.11 is slow at it, and audio asks 50 times a second and call.
_STARTED, _BOT = StreamState.STARTED, Role.BOT

_TURNS: dict[StreamState, dict[type[Message], StreamState]] = {
    StreamState.IDLE: {
        Connected: StreamState.CONNECTED,
        # Some emulators leave `connected` out; nothing is lost by it.
        Start: StreamState.STARTED,
    },
    StreamState.CONNECTED: {Start: StreamState.STARTED},
    StreamState.STARTED: {
        Media: StreamState.STARTED,
        Dtmf: StreamState.STARTED,
        Mark: StreamState.STARTED,
        SendMedia: StreamState.STARTED,
        SendMark: StreamState.STARTED,
        Clear: StreamState.STARTED,
        Stop: StreamState.STOPPED,
    },
    StreamState.STOPPED: {},
}
_ROLE_MESSAGES: dict[Role, tuple[type[Message], ...]] = {
    Role.TWILIO: (Connected, Start, Media, Dtmf, Mark, Stop),
    Role.BOT: (SendMedia, SendMark, Clear),
}


class Stream:
    """The state of one media stream, for one of its ends.

    Args:
        our_role: The end this object speaks for.
    """

    def __init__(self, our_role: Role):
        self.our_role = our_role
        self._sender = our_role.other
        self.state = StreamState.IDLE
        """How far the stream has come."""
        self._turns = _TURNS[StreamState.IDLE]
        self._start: Start | None = None
        self._stream_sid = ""
        self._sent_sequence = 0
        self._sent_chunks = 0
        self._next_sequence: int | None = None
        self._next_timestamp: dict[str, int] = {}
        self._pieces_behind: dict[str, tuple[int, int]] = {}
        self.send_audio: Callable[[bytes, str], tuple[str, str]] = self._send_apart
        """Gives the texts of audio and of the mark behind it, by name, as :meth:`send` does.

        Raises:
            LocalProtocolError: If our role may not send this, or not yet, or no longer.
        """

    @property
    def start(self) -> Start | None:
        """The ``start`` message, once it has been sent or received."""
        return self._start

    @property
    def stream_sid(self) -> str:
        """Twilio's name of the stream; empty before ``start``."""
        return self._stream_sid

    def adopt(self, start: Start) -> None:
        """Goes on from a ``start`` that somebody else has read from the socket, or sent on it."""
        self._enter(StreamState.STARTED, start)

    def send(self, message: Message) -> str:
        """The text to put on the wire for a message of our role.

        Fills in the stream sid and, for Twilio, the sequence and chunk numbers.

        Raises:
            LocalProtocolError: If our role may not send this, or not yet, or no longer, or the
                message names another stream.
        """
        if type(message) not in _ROLE_MESSAGES[self.our_role]:
            raise LocalProtocolError(
                f"expected a message of the role {self.our_role.value}, got "
                f"{type(message).__name__}: that is for the other end to send"
            )
        next_state = self._turns.get(type(message))
        if next_state is None:
            raise LocalProtocolError(
                f"expected {self._expected()}, got {type(message).__name__}: the stream is "
                f"{self.state.value}"
            )
        if not isinstance(message, Connected | Start) and message.stream_sid:
            self._check_stream(message.stream_sid)
        if isinstance(message, SendMedia | SendMark | Clear):
            return encode_from_bot(message, self._stream_sid)
        message = self._numbered(message)
        text = encode(message)
        self._enter(next_state, message)
        return text

    def _send_apart(self, mulaw: bytes, mark: str) -> tuple[str, str]:
        return self.send(SendMedia(payload=mulaw)), self.send(SendMark(name=mark))

    def receive(self, data: str | bytes) -> list[Event]:
        """The events something that arrived amounts to, in order; never empty, never raises.

        Args:
            data: The text of a WebSocket message; bytes stand for a binary one.
        """
        message = decode(data, self._sender)
        if isinstance(message, Media) and self.state is _STARTED:
            if message.stream_sid == self._stream_sid:
                # Fifty a second, whose numbers count on as they should.
                number, expected = message.sequence_number, self._next_timestamp.get(message.track)
                is_next = number == self._next_sequence and message.timestamp == expected
                if number is None or expected is None or not is_next:
                    return self._followed(message)
                self._next_sequence = number + 1
                if self._pieces_behind:
                    self._pieces_behind.pop(message.track, None)
                length = len(message.payload) * 1000 // BYTES_PER_SECOND
                self._next_timestamp[message.track] = expected + length
                return [message]
        elif isinstance(message, Mark) and self.state is _STARTED:
            number = message.sequence_number
            is_next = number == self._next_sequence
            if number is not None and is_next and message.stream_sid == self._stream_sid:
                self._next_sequence = number + 1
                return [message]
        elif isinstance(message, Unknown | Violation):
            return [message]
        violation = self._refusal(message, len(data))
        if violation is not None:
            return [violation]
        self._enter(self._turns[type(message)], message)
        if isinstance(message, Connected | SendMedia | SendMark | Clear):
            return [message]
        return self._followed(message)

    def _refusal(self, message: Message, size: int) -> Violation | None:
        if type(message) not in self._turns:
            return Violation(
                kind=ViolationKind.OUT_OF_TURN,
                detail=f"expected {self._expected()}, got {type(message).__name__}: the stream is "
                f"{self.state.value}",
                size=size,
            )
        if isinstance(message, Connected | Start) or message.stream_sid == self._stream_sid:
            return None
        if not message.stream_sid and self.our_role is Role.BOT:
            return None
        return Violation(
            kind=ViolationKind.WRONG_STREAM,
            detail=f"expected this stream's sid, got another in {type(message).__name__}",
            size=size,
        )

    def _expected(self) -> str:
        """Names of the messages that fit the state, for an error's text."""
        return " or ".join(kind.__name__ for kind in self._turns) or "nothing more"

    def _enter(self, state: StreamState, message: Message) -> None:
        self.state = state
        self._turns = _TURNS[state]
        if isinstance(message, Start):
            self._start = message
            self._stream_sid = message.stream_sid
        self.send_audio = self._send_apart
        if state is _STARTED and self.our_role is _BOT:
            # Ten times a second and call, whose turn it is is known.
            self.send_audio = partial(encode_audio, stream_sid=self._stream_sid)

    def _check_stream(self, stream_sid: str) -> None:
        if stream_sid != self._stream_sid:
            raise LocalProtocolError(
                f"expected the stream sid {self._stream_sid}, got {stream_sid}: "
                "leave it out and it is filled in"
            )

    def _numbered(self, message: TwilioMessage) -> TwilioMessage:
        if isinstance(message, Connected):
            return message
        if isinstance(message, Media):
            return self._numbered_audio(message)
        self._sent_sequence += 1
        if isinstance(message, Start):
            return replace(message, sequence_number=self._sent_sequence)
        return replace(message, sequence_number=self._sent_sequence, stream_sid=self._stream_sid)

    def _numbered_audio(self, media: Media) -> Media:
        if media.timestamp is None:
            raise LocalProtocolError("expected a timestamp on Media, got none: say where it lies")
        self._sent_sequence += 1
        self._sent_chunks += 1
        return Media(
            payload=media.payload,
            track=media.track,
            timestamp=media.timestamp,
            chunk=self._sent_chunks,
            sequence_number=self._sent_sequence,
            stream_sid=self._stream_sid,
        )

    def _followed(self, message: Start | Media | Dtmf | Mark | Stop) -> list[Event]:
        """The message, behind what its numbers tell."""
        events: list[Event] = []
        number = message.sequence_number
        if number is not None:
            if self._next_sequence is not None and number != self._next_sequence:
                kind = _break_kind(self._next_sequence, number, step=1)
                events.append(SequenceBreak(kind=kind, expected=self._next_sequence, got=number))
            self._next_sequence = max(number + 1, self._next_sequence or 0)
        if (
            isinstance(message, Media)
            and message.timestamp is not None
            and message.track in (INBOUND, OUTBOUND)
        ):
            self._follow_timestamp(message, message.timestamp, events)
        events.append(message)
        return events

    def _follow_timestamp(self, media: Media, timestamp: int, events: list[Event]) -> None:
        length = len(media.payload) * 1000 // BYTES_PER_SECOND
        expected = self._next_timestamp.get(media.track)
        if expected is None or _counts_on(expected, timestamp):
            self._pieces_behind.pop(media.track, None)
            self._next_timestamp[media.track] = max(timestamp + length, expected or 0)
            return
        is_ahead = timestamp > expected
        is_new_clock = not is_ahead and self._is_new_clock(media.track, timestamp, length)
        if is_ahead or is_new_clock:
            self._pieces_behind.pop(media.track, None)
            self._next_timestamp[media.track] = timestamp + length
        if not is_new_clock:
            kind = _break_kind(expected, timestamp, step=length)
            events.append(
                TimestampBreak(kind=kind, track=media.track, expected=expected, got=timestamp)
            )

    def _is_new_clock(self, track: str, timestamp: int, length: int) -> bool:
        """Whether pieces from further back have counted on for so long that they are right.

        Otherwise a single piece stamped far ahead would make all that follow look late.
        """
        due, pieces = self._pieces_behind.get(track, (timestamp, 0))
        pieces = pieces + 1 if _counts_on(due, timestamp) else 1
        self._pieces_behind[track] = (timestamp + length, pieces)
        return pieces == _NEW_CLOCK_PIECES


def _counts_on(expected: int, got: int) -> bool:
    return abs(got - expected) <= _TIMESTAMP_TOLERANCE


def _break_kind(expected: int, got: int, *, step: int) -> BreakKind:
    if got > expected:
        return BreakKind.GAP
    return BreakKind.REPEAT if got == expected - step else BreakKind.LATE
