"""Twilio's messages of one stream, quickly: audio is encoded once for all calls that say it. Pure.

Only the numbers and the stream's sid differ between two calls that send the same audio, and they
are put around what was encoded before. The text is byte for byte that of :mod:`protocol`.
"""

import base64
from collections.abc import Mapping

from twilio_frames.protocol import Connected, Dtmf, Mark, Media, Start, Stop, encode
from twilio_frames.testing.stream import FRAME_MILLISECONDS

_MEDIA = (
    b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d",'
    b'"timestamp":"%d","payload":"%b"},"streamSid":"%b"}'
)


def encoded_frame(mulaw: bytes) -> bytes:
    """20 ms of audio as :meth:`StreamMessages.media` wants it."""
    return base64.b64encode(mulaw)


class StreamMessages:
    """Writes the messages of one stream, and numbers them.

    Args:
        stream_sid: Twilio's name of the stream.
        first_timestamp: Milliseconds; where the first frame lies.
    """

    def __init__(self, stream_sid: str, *, first_timestamp: int):
        self._stream_sid = stream_sid
        self._sid = stream_sid.encode()
        self._timestamp = first_timestamp
        self._sequence = 0
        self._chunk = 0

    def connected(self) -> bytes:
        """The first message."""
        return encode(Connected()).encode()

    def start(self, call_sid: str, account_sid: str, parameters: Mapping[str, str]) -> bytes:
        """The second message."""
        self._sequence += 1
        start = Start(
            stream_sid=self._stream_sid,
            call_sid=call_sid,
            account_sid=account_sid,
            custom_parameters=parameters,
            sequence_number=self._sequence,
        )
        return encode(start).encode()

    def media(self, frame: bytes) -> bytes:
        """20 ms of audio, from :func:`encoded_frame`."""
        self._sequence += 1
        self._chunk += 1
        timestamp = self._timestamp
        self._timestamp = timestamp + FRAME_MILLISECONDS
        return _MEDIA % (self._sequence, self._chunk, timestamp, frame, self._sid)

    def skip_media(self) -> None:
        """Passes over 20 ms that were lost."""
        self._timestamp += FRAME_MILLISECONDS

    def mark(self, name: str) -> bytes:
        """A mark that was reached."""
        return self._encoded(
            Mark(name=name, sequence_number=self._next(), stream_sid=self._stream_sid)
        )

    def stop(self, call_sid: str, account_sid: str) -> bytes:
        """The last message."""
        return self._encoded(
            Stop(
                call_sid=call_sid,
                account_sid=account_sid,
                sequence_number=self._next(),
                stream_sid=self._stream_sid,
            )
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _encoded(self, message: Mark | Dtmf | Media | Stop) -> bytes:
        return encode(message).encode()
