"""What of the bot's audio Twilio has played, told by marks.

Twilio plays what it is sent at 8000 bytes a second, one piece behind the other, and sends a mark
back when the audio before it has been played, at once if there is none. A ``clear`` empties the
buffer and sends every mark back at once, see
https://www.twilio.com/docs/voice/media-streams/websocket-messages. Those echoes say that audio was
thrown away, not that it was heard. So each mark is remembered with the position it stands at and
with whether a ``clear`` has passed it.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque
from dataclasses import dataclass

_BYTES_PER_SECOND = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkEcho:
    """A mark that came back.

    Parameters:
        name: The mark's name.
        position: Bytes of audio that had been sent before it since the stream began.
        flushed: Whether a ``clear`` sent it back, so that the audio before it may not have been
            heard.
        sent_at: When it was sent.
    """

    name: str
    position: int
    flushed: bool
    sent_at: float


@dataclass(slots=True)
class _Mark:
    name: str
    position: int
    sent_at: float
    due_at: float
    flushed: bool = False


class Playback:
    """The bot's side of Twilio's play-out buffer."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes of audio sent since the stream began."""
        self.heard = 0
        """Bytes up to which audio is known to have been played (or thrown away)."""
        self.ends_at = 0.0
        """When the audio sent so far will have been played."""
        self.echoed = 0
        """How many marks have come back."""
        self._outstanding: deque[_Mark] = deque()

    def audio_sent(self, length: int, now: float) -> None:
        """Notes audio that has been sent."""
        self.sent += length
        self.ends_at = max(self.ends_at, now) + length / _BYTES_PER_SECOND

    def mark_sent(self, name: str, now: float) -> None:
        """Notes a mark that has been sent."""
        due_at = max(self.ends_at, now)
        self._outstanding.append(_Mark(name, self.sent, now, due_at))

    def clear_sent(self, now: float) -> None:
        """Notes a ``clear``: nothing plays any more, and every mark out will come back flushed."""
        self.ends_at = now
        for mark in self._outstanding:
            mark.flushed = True

    def mark_echoed(self, name: str) -> MarkEcho | None:
        """What the echo of a mark says; None if no such mark is out."""
        for mark in self._outstanding:
            if mark.name == name:
                break
        else:
            return None
        self._outstanding.remove(mark)
        self.echoed += 1
        self.heard = max(self.heard, mark.position)
        return MarkEcho(
            name=name, position=mark.position, flushed=mark.flushed, sent_at=mark.sent_at
        )

    def is_playing(self, now: float) -> bool:
        """Whether audio is still to be played, as far as is known."""
        return self.ends_at > now or self.heard < self.sent

    def overdue(self, now: float) -> float:
        """Seconds by which the oldest mark out is late; 0.0 if none is.

        A peer that never sent a mark back does not owe any.
        """
        if not self._outstanding or not self.echoed:
            return 0.0
        return max(0.0, now - self._outstanding[0].due_at)
