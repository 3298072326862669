"""Calls that the REST API has made, begun at the rate the account may.

"Calls are queued, not refused" beyond that rate. Source: https://help.twilio.com/articles/223180028
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import CallStatus
from twilio_frames.testing.calls.instructions import Answered
from twilio_frames.testing.calls.ringing import RingingCall
from twilio_frames.testing.calls.switch import Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCall:
    """A call that is to ring.

    Parameters:
        instructions: What it does when it is answered.
        ring_secs: How long it rings.
        since: When it was made, on the event loop's clock.
    """

    call: SimulatedCall
    instructions: Answered
    ring_secs: float
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Dialer:
    """Begins one call after another.

    Args:
        switch: Says how fast, and where they ring.
    """

    def __init__(self, switch: Switch):
        self._switch = switch
        self._waiting: deque[PlacedCall] = deque()
        self._ringing: dict[str, RingingCall] = {}
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def place(self, placed: PlacedCall) -> None:
        """Begins a call soon: in its turn, after those that were made before."""
        self._waiting.append(placed)
        if self._timer is None:
            delay = self._next_at - asyncio.get_running_loop().time()
            self._wait(max(0.0, delay))

    def cancel(self, call: SimulatedCall) -> bool:
        """Calls a call off; False if it was answered, or is over."""
        for placed in self._waiting:
            if placed.call is call:
                self._waiting.remove(placed)
                call.refuse(CallStatus.CANCELED)
                return True
        ringing = self._ringing.pop(call.sid, None)
        if ringing is None or not ringing.is_ringing:
            return False
        ringing.cancel()
        return True

    async def close(self) -> None:
        """Begins no more calls."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin_next)

    def _begin_next(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        self._begin(self._waiting.popleft())
        rate = self._switch.exchange.rules.calls_per_second
        interval = 1 / rate if rate else 0.0
        self._next_at = asyncio.get_running_loop().time() + interval
        if self._waiting:
            self._wait(interval)

    def _begin(self, placed: PlacedCall) -> None:
        call = placed.call
        call.queue_secs = asyncio.get_running_loop().time() - placed.since
        call.initiate()
        call.ring()
        ringing = RingingCall(
            call,
            placed.instructions,
            seconds=placed.ring_secs,
            send_digits=placed.instructions.send_digits,
        )
        self._ringing[call.sid] = ringing
        if not self._switch.ring(ringing):
            ringing.cancel()
