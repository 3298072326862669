"""When the caller's audio would have arrived if the line were even."""

_SAMPLE_RATE = 8000
# Clocks of computers differ by less than one in ten thousand.
_DRIFT = 2e-4
# What is further off is no lateness, but another clock: a timestamp beyond reason, say.
_ANOTHER_CLOCK = 10.0


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
        passed = max(0.0, begin - self._position) + samples / _SAMPLE_RATE
        self._position = begin + samples / _SAMPLE_RATE
        offset = now - self._position
        if self._offset is None or abs(offset - self._offset) > _ANOTHER_CLOCK:
            self._offset = offset
        self._offset = min(offset, self._offset + passed * _DRIFT)
        return self._position + self._offset
