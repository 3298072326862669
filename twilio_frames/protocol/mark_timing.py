"""When things happened at Twilio's end, told by what their echoes came between.

Theory of operation
-------------------
Arrival times tell little on an uneven line: what happened at one instant may arrive 100 ms apart.
But one ordered stream carries both the marks that come back and the caller's audio, a message every
20 ms with a time on it. So the echo that came between two of them happened within the 20 ms that
lie between their times, on Twilio's own clock, however late it arrived.

Two of these windows narrow each other where it is known by how much audio their marks lie apart:
Twilio plays 8000 bytes a second, neither more nor less, as long as it has some.

No I/O happens here, and no clock is read. Times are in samples, 8000 a second.
"""

from dataclasses import dataclass

_SAMPLES_PER_MILLISECOND = 8
_FRAME_SAMPLES = 160


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time within which something happened.

    Parameters:
        begin: Its first sample.
        end: Its last.
    """

    begin: int
    end: int

    @property
    def length(self) -> int:
        """Samples from its begin to its end."""
        return self.end - self.begin

    def moved(self, samples: int) -> "Interval":
        """The same, so much later."""
        return Interval(self.begin + samples, self.end + samples)

    def intersect(self, other: "Interval") -> "Interval | None":
        """What it has in common with another; None if that is nothing."""
        both = Interval(max(self.begin, other.begin), min(self.end, other.end))
        return both if both.length >= 0 else None


class CallerClock:
    """Twilio's clock, as the caller's audio shows it."""

    def __init__(self) -> None:
        self._latest: int | None = None

    def media_received(self, timestamp: int) -> None:
        """Notes a piece of the caller's audio.

        Args:
            timestamp: When it began, milliseconds.
        """
        self._latest = timestamp * _SAMPLES_PER_MILLISECOND + _FRAME_SAMPLES

    def window(self) -> Interval | None:
        """When what arrives now happened: behind the latest audio, before the next."""
        if self._latest is None:
            return None
        return Interval(self._latest, self._latest + _FRAME_SAMPLES)
