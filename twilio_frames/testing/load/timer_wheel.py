"""The clock that all calls of a load share: it turns once in 20 ms, and each call has its place.

Theory of operation
-------------------
A task and a timer for each call would wake the event loop 50 times a second and call. So the 20 ms
are cut into 20 slots; a call lies in one of them and is served when it comes up, together with the
others that lie there. Calls that are spread over the slots keep different phases, as real ones do.

The clock is absolute: turn *n* of slot *s* is due ``20 * n + s`` ms after the wheel began to turn.
A slot that comes late is made up for at once, and how late each call was served is counted.
"""

import asyncio
import random
from typing import Protocol

from twilio_frames.testing.callers.voice import FRAME_SECS
from twilio_frames.testing.lines.timekeeping import Lateness

SLOTS = 20
_SLOT_SECS = FRAME_SECS / SLOTS


class TimerClient(Protocol):
    """Something that is served once in 20 ms."""

    def take_turn(self, due: float) -> None:
        """Does what is due at this time of the event loop's clock."""
        ...


class TimerWheel:
    """The shared clock.

    Args:
        seed: Draws in which order the slots are taken.
    """

    def __init__(self, *, seed: int = 0):
        self.lateness = Lateness()
        """How late each call was served, over all calls."""
        self._slots: list[list[TimerClient]] = [[] for _ in range(SLOTS)]
        self._order = list(range(SLOTS))
        random.Random(seed).shuffle(self._order)  # noqa: S311  # protects nothing

    def join(self, client: TimerClient) -> None:
        """Serves a client from its next turn on, in a slot that few others share."""
        min((self._slots[index] for index in self._order), key=len).append(client)

    def leave(self, client: TimerClient) -> None:
        """Serves it no more; does nothing if it is not served."""
        for slot in self._slots:
            if client in slot:
                slot.remove(client)

    def start_counting(self) -> Lateness:
        """Counts lateness anew; gives what was counted so far."""
        before, self.lateness = self.lateness, Lateness()
        return before

    async def run(self) -> None:
        """Turns until cancelled."""
        now = asyncio.get_running_loop().time
        began, ticks = now(), 0
        while True:
            slot = self._slots[ticks % SLOTS]
            if slot:
                due = began + ticks * _SLOT_SECS
                # Even when late: what the bots have sent wants to be read in between.
                await asyncio.sleep(max(0.0, due - now()))
                self._serve(slot, due)
            elif ticks % SLOTS == 0:
                await asyncio.sleep(max(0.0, began + ticks * _SLOT_SECS - now()))
            ticks += 1

    def _serve(self, slot: list[TimerClient], due: float) -> None:
        now = asyncio.get_running_loop().time
        # A client may leave while it is being served.
        for client in tuple(slot):
            self.lateness.count(max(0.0, now() - due))
            client.take_turn(due)
