"""What a telephone line does to a call: delay, jitter, echo. Seeded, so that it can be repeated."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw, mulaw_silence

T = TypeVar("T")

_PACKET_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class LineConditions:
    """How good a line is. By default it is perfect.

    Delay and jitter lie between Twilio and the bot. What the caller hears is dated where it is
    heard, behind them. Messages keep their order, as over TCP: one that is held up holds up those
    behind it. Those sent within 5 ms travel together: what makes a line uneven lasts longer.

    Parameters:
        delay_to_bot: Seconds each message to the bot is under way.
        delay_from_bot: The same for messages from the bot.
        jitter_to_bot: Seconds a message may take longer; each packet draws its share of them.
        jitter_from_bot: The same for messages from the bot.
        echo_level: The bot's voice in what the caller's telephone picks up, dB against what was
            played: -20 for a speakerphone. None for no echo.
        echo_delay: Seconds by which it comes later, at least.
    """

    delay_to_bot: float = 0.0
    delay_from_bot: float = 0.0
    jitter_to_bot: float = 0.0
    jitter_from_bot: float = 0.0
    echo_level: float | None = None
    echo_delay: float = 0.2

    @classmethod
    def one_way(cls, delay: float, *, jitter: float = 0.0) -> "LineConditions":
        """A line with the same delay and jitter in both directions, seconds."""
        return cls(
            delay_to_bot=delay,
            delay_from_bot=delay,
            jitter_to_bot=jitter,
            jitter_from_bot=jitter,
        )


PERFECT_LINE = LineConditions()


class DelayLine(Generic[T]):
    """Hands things on after a time, in the order they came.

    Args:
        deliver: Gets each thing, and the time on the event loop's clock at which it arrived.
        delay: Seconds each takes.
        jitter: Seconds by which it may take longer.
        source: Draws the jitter.
    """

    def __init__(
        self,
        deliver: Callable[[T, float], None],
        *,
        delay: float,
        jitter: float,
        source: random.Random,
    ):
        self._deliver = deliver
        self._delay = delay
        self._jitter = jitter
        self._random = source
        self._waiting: deque[tuple[float, T]] = deque()
        self._latest = 0.0
        self._packet_at = -math.inf
        self._uneven = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return not self._waiting

    @property
    def longest(self) -> float:
        """Seconds that a thing can take."""
        return self._delay + self._jitter

    def put(self, thing: T, at: float) -> None:
        """Sends a thing off.

        Args:
            thing: It.
            at: When it leaves, on the event loop's clock.
        """
        if not self._delay and not self._jitter:
            self._deliver(thing, at)
            return
        if at - self._packet_at >= _PACKET_SECONDS:
            self._packet_at, self._uneven = at, self._jitter * self._random.random()
        due = at + self._delay + self._uneven
        self._latest = max(self._latest, due)
        self._waiting.append((self._latest, thing))
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


class Echo:
    """What of the bot's voice comes back into the caller's microphone.

    Args:
        level: dB against what was played.
        delay: Seconds by which it comes later.
    """

    def __init__(self, level: float, delay: float):
        self._gain = 10 ** (level / 20)
        self._under_way = bytearray(mulaw_silence(round(delay * SAMPLE_RATE) / SAMPLE_RATE))

    def mix(self, said: bytes, heard: bytes) -> bytes:
        """The caller's audio with the echo in it.

        Args:
            said: What the caller said, mu-law.
            heard: What was played to the caller in the same time, mu-law.
        """
        self._under_way += heard
        echo = bytes(self._under_way[: len(heard)])
        del self._under_way[: len(heard)]
        played = self._gain * np.frombuffer(decode_mulaw(echo), dtype=np.int16)
        if not played.any():
            return said
        speech = np.frombuffer(decode_mulaw(said), dtype=np.int16) + played
        return encode_mulaw(speech.clip(-32768, 32767).astype(np.int16).tobytes())
