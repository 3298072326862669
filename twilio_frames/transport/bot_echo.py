"""Where the bot's echo would be in what the caller says."""

import time
from collections import deque

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.audio.echo import BotAtEar, EchoReference
from twilio_frames.protocol import Playback

__all__ = ["BotEcho", "EvenArrival"]

# Clocks of computers differ by less than one in ten thousand.
_DRIFT = 2e-4
# What is further off is no lateness, but another clock: a timestamp beyond reason, say.
_ANOTHER_CLOCK = 10.0
# More than a minute of messages: no echo is older, and nobody may be listening.
_MOST_SENT = 1000


class BotEcho:
    """Follows what the bot sends, and says what of it may come back along with the caller.

    Args:
        playback: Where the bot's audio stands.
    """

    LATEST_SECS = 0.9
    """How late an echo may be: telephones and networks take up to 0.6 s, the rest is the way."""
    LONGEST_WAY_SECS = 1.0
    """What of the way to Twilio and back is counted, at most."""

    def __init__(self, playback: Playback):
        self._playback = playback
        self.reference = EchoReference()
        """What was sent, and when it is played, but for the line's delay."""
        self._sent = deque[tuple[bytes, float]](maxlen=_MOST_SENT)
        self.note_sent = self._sent.append
        """Notes audio that is sent, and when it begins to play but for the line's delay.

        It is looked at when the caller's audio comes, in which its echo may be.
        """
        self._evenly = EvenArrival()

    def _look_at_sent(self) -> None:
        while self._sent:
            self.reference.note(*self._sent.popleft())

    def clear_sent(self, now: float) -> None:
        """Takes note of a ``clear``: what is on its way is played until that is there."""
        self._look_at_sent()
        self.reference.cut(now + self._playback.round_trip)

    def begin_anew(self) -> None:
        """Goes on with a new stream, whose clock is another."""
        self._evenly = EvenArrival()

    def at_ear(self, timestamp: int | None, length: int) -> BotAtEar | None:
        """What the bot was saying where its echo would be in what is heard from the caller now.

        Args:
            timestamp: Where the caller's audio begins, milliseconds.
            length: Its samples.

        Returns:
            None if it was silent.
        """
        until = self._evenly.arrived(timestamp, length, time.monotonic())
        if self._sent:
            self._look_at_sent()
        if not self.reference.audible:
            return None
        way = min(self._playback.round_trip, self.LONGEST_WAY_SECS)
        return self.reference.heard(until, way + self.LATEST_SECS)


class EvenArrival:
    """Dates the caller's audio by its own times, which lateness does not change.

    An echo's delay is steady only on a clock that does not waver: pieces that a network or a busy
    event loop held up are as old as their timestamps say. The least lateness seen is the way.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._position = 0.0

    def arrived(self, timestamp: int | None, samples: int, now: float) -> float:
        """When a piece would have arrived, seconds of the clock of ``now``.

        Args:
            timestamp: Where it begins on the stream's clock, milliseconds; None to count.
            samples: How long it is.
            now: When it did.
        """
        begin = self._position if timestamp is None else timestamp / 1000
        passed = max(0.0, begin - self._position) + samples / SAMPLE_RATE
        self._position = begin + samples / SAMPLE_RATE
        offset = now - self._position
        if self._offset is None or abs(offset - self._offset) > _ANOTHER_CLOCK:
            self._offset = offset
        self._offset = min(offset, self._offset + passed * _DRIFT)
        return self._position + self._offset
