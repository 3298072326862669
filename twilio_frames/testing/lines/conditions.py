"""What a line does to a call: the network between, and the telephone at its end.

Everything is seeded, so that a run can be repeated: the same network (``route.py``), the same
noise, the same sound (``telephone.py``), whatever else differs.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from twilio_frames.errors.settings import check_settings
from twilio_frames.testing.lines.route import Route, Stall

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineConditions:
    """How good a line is. By default it is perfect. Times are seconds, from the answer.

    Delay, jitter and stalls lie between Twilio and the bot. What the caller hears is dated where it
    is heard, behind them. Messages keep their order, as over TCP: one that is held up holds up
    those behind it. What Twilio sends over connections of its own can overtake: status callbacks
    (see ``SimulatedTwilio``), not the messages of a stream.

    Parameters:
        delay_to_bot: How long each message to the bot is under way.
        delay_from_bot: How long a message from the bot takes.
        jitter_to_bot: By how much longer a message may take. What leaves within 5 ms travels
            together: what makes a line uneven lasts longer.
        jitter_from_bot: By how much longer a message from the bot may take.
        stalls: When the network stands still, both ways; what it held back comes in a burst.
        stalls_a_minute: How often it does besides, on average.
        stall_secs: How long it does then, at most.
        lost_at: When the connection breaks, without a word of closing.
        half_open_at: When the bot's peer is gone and nobody tells: nothing arrives any more, either
            way, but the connection stands until the call ends.
        reading_rate: Bytes a second at which what the bot sends is taken off the network; a second
            of audio is about 12,000 of them. None for as fast as it comes.
        echo_level: The bot's voice in what the caller's telephone picks up, dB against what was
            played: -20 for a speakerphone. None for no echo.
        echo_delay: By how much later it comes, at least.
        comfort_noise: Level of the noise that a mobile telephone puts where nobody speaks, dB of
            full scale, -65 say. None for a telephone that sends all it hears.
        is_over_a_law: Whether the call crosses a network of A-law, as from Europe: both voices are
            coded twice.
    """

    delay_to_bot: float = 0.0
    delay_from_bot: float = 0.0
    jitter_to_bot: float = 0.0
    jitter_from_bot: float = 0.0
    stalls: tuple[Stall, ...] = ()
    stalls_a_minute: float = 0.0
    stall_secs: float = 0.5
    lost_at: float | None = None
    half_open_at: float | None = None
    reading_rate: float | None = None
    echo_level: float | None = None
    echo_delay: float = 0.2
    comfort_noise: float | None = None
    is_over_a_law: bool = False

    def __post_init__(self) -> None:
        check_settings(self, above_zero=("reading_rate",), signed=("echo_level", "comfort_noise"))

    @classmethod
    def one_way(cls, delay: float, *, jitter: float = 0.0) -> "LineConditions":
        """A line with the same delay and jitter in both directions, seconds."""
        return cls(
            delay_to_bot=delay,
            delay_from_bot=delay,
            jitter_to_bot=jitter,
            jitter_from_bot=jitter,
        )

    def route_to_bot(self, seed: int) -> Route:
        """The network that messages to the bot cross."""
        return self._route(self.delay_to_bot, self.jitter_to_bot, 2 * seed)

    def route_from_bot(self, seed: int) -> Route:
        """The network that messages from the bot cross."""
        return self._route(self.delay_from_bot, self.jitter_from_bot, 2 * seed + 1)

    def _route(self, delay: float, jitter: float, seed: int) -> Route:
        return Route(
            delay=delay,
            jitter=jitter,
            stalls=self.stalls,
            stalls_a_minute=self.stalls_a_minute,
            stall_secs=self.stall_secs,
            seed=seed,
        )


PERFECT_LINE = LineConditions()


class DelayLine(Generic[T]):
    """Hands things on when they have crossed a network, in the order they came.

    Args:
        deliver: Gets each thing, and the time on the event loop's clock at which it arrived.
        route: The network.
        answered_at: Gives the time on the event loop's clock from which the route's times count.
    """

    def __init__(
        self,
        deliver: Callable[[T, float], None],
        route: Route,
        *,
        answered_at: Callable[[], float],
    ):
        self._deliver = deliver
        self._route = route
        self._answered_at = answered_at
        self._waiting: deque[tuple[float, T]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return not self._waiting

    @property
    def longest(self) -> float:
        """Seconds that a thing can take."""
        return self._route.longest

    def put(self, thing: T, at: float) -> None:
        """Sends a thing off.

        Args:
            thing: It.
            at: When it leaves, on the event loop's clock.
        """
        if self._route.is_direct:
            self._deliver(thing, at)
            return
        began = self._answered_at()
        self._waiting.append((began + self._route.arrival(at - began), thing))
        self._set_timer()

    def deliver_due(self, now: float) -> None:
        """Hands on what has arrived by now."""
        while self._waiting and self._waiting[0][0] <= now:
            due, thing = self._waiting.popleft()
            self._deliver(thing, due)

    def close(self) -> None:
        """Loses what is still under way."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._waiting[0][0], self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        # A timer may fire a little early, by the clock's resolution.
        due = self._waiting[0][0] if self._waiting else 0.0
        self.deliver_due(max(due, asyncio.get_running_loop().time()))
        self._set_timer()
