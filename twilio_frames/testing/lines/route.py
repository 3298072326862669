"""When what leaves at a time arrives: one direction of a network connection. Pure.

All is drawn from a seed and from the time of leaving, not from the messages: each 20 ms have their
own jitter. So the network is the same in each run with that seed, whatever it carries.

TCP keeps what it carries in order: what is held up holds up all behind it, and what stood still
arrives in one burst. So nothing is lost here, and nothing overtakes.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

_STEP_SECS = 0.02
_PACKET_SECS = 0.005
_SLACK = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The network stands still, and what it has held back then comes in a burst.

    Parameters:
        at: Seconds from the answer at which it begins.
        seconds: How long it lasts.
    """

    at: float
    seconds: float

    @property
    def end(self) -> float:
        """Seconds from the answer at which it is over."""
        return self.at + self.seconds


class Route:
    """One direction. Times are seconds from the answer.

    Args:
        delay: Seconds that all takes.
        jitter: Seconds by which it may take longer; what leaves within 5 ms travels together.
        stalls: When the network stands still.
        stalls_a_minute: How often it does besides, on average.
        stall_secs: How long it does then, at most.
        seed: Draws the jitter, and those stalls.
    """

    def __init__(
        self,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        stalls: Iterable[Stall] = (),
        stalls_a_minute: float = 0.0,
        stall_secs: float = 0.0,
        seed: int = 0,
    ):
        self._delay = delay
        self._jitter = jitter
        self._seed = seed
        self._stalls = sorted(stalls, key=lambda stall: stall.at)
        self._rate = stalls_a_minute / 60
        self._stall_secs = stall_secs
        self._chance = random.Random(seed)  # noqa: S311  # protects nothing
        self._drawn_until = 0.0 if self._rate else float("inf")
        self._latest = 0.0
        self._packet_left = -math.inf
        self._packet_uneven = 0.0

    @property
    def is_direct(self) -> bool:
        """Whether all arrives at once."""
        return not (self._delay or self._jitter or self._stalls or self._rate)

    @property
    def longest(self) -> float:
        """Seconds that anything can take."""
        longest = max((stall.seconds for stall in self._stalls), default=0.0)
        if self._rate:
            longest = max(longest, self._stall_secs)
        return self._delay + self._jitter + longest

    def arrival(self, left: float) -> float:
        """When something arrives that leaves now; asked for in the order of leaving."""
        due = left + self._delay + self._uneven(left)
        self._draw_stalls(due)
        for stall in self._stalls:
            if stall.at <= due < stall.end:
                due = stall.end
        self._latest = max(self._latest, due)
        return self._latest

    def _uneven(self, left: float) -> float:
        """The jitter of the packet that leaves at this time."""
        if self._jitter and left - self._packet_left >= _PACKET_SECS:
            step = int(left / _STEP_SECS + _SLACK)
            source = random.Random(self._seed * 1_000_003 + step)  # noqa: S311
            self._packet_left = left
            self._packet_uneven = self._jitter * source.random()
        return self._packet_uneven

    def _draw_stalls(self, until: float) -> None:
        while self._drawn_until <= until:
            self._drawn_until += self._chance.expovariate(self._rate)
            seconds = self._chance.uniform(0.0, self._stall_secs)
            self._stalls.append(Stall(at=self._drawn_until, seconds=seconds))
            self._drawn_until += seconds
            # What is over for good need not be looked at again.
            self._stalls = [stall for stall in self._stalls if stall.end >= self._latest]
