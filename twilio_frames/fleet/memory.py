"""A register in the memory of one process, for a fleet of one; or of several in a test."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from twilio_frames.fleet.register import (
    KEEP_SECS,
    LARGEST_NOTE,
    MOST_CALLS,
    MOST_NOTES,
    QUICK_SECS,
    Claim,
    Lease,
    Renewal,
    Standing,
    StreamKind,
    Ticket,
    digest,
    fits,
)

__all__ = ["MemoryRegister"]


@dataclass(slots=True, kw_only=True)
class _Call:
    owner: str = ""
    named: str = ""
    fence: int = 0
    ended: str = ""
    failures: int = 0
    quick_losses: int = 0
    taken_at: float = 0.0
    snapshot: bytes | None = None
    progress: bytes = b""
    saved: int = 0
    notes: dict[str, bytes] = field(default_factory=dict[str, bytes])
    until: float = 0.0


class _Ticket(NamedTuple):
    ticket: Ticket
    fence: int
    until: float


class MemoryRegister:
    """See :class:`~twilio_frames.fleet.register.Register`.

    Args:
        capacity: Streams that may be on their way, and calls remembered, at most; the oldest are
            forgotten.
        clock: Seconds, never running backwards.
    """

    def __init__(
        self, *, capacity: int = MOST_CALLS, clock: Callable[[], float] = lambda: time.monotonic()
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    async def renew(self, lease: Lease, calls: Mapping[str, int], secs: float) -> Renewal:
        """A worker lives, and has these calls."""
        self._leases[lease.name] = lease, self._clock() + secs
        self._forget_old()
        lost, notes = set[str](), dict[str, tuple[bytes, ...]]()
        for call_sid, fence in calls.items():
            call = self._open(call_sid)
            if call.fence > fence:
                lost.add(call_sid)
                continue
            call.owner, call.fence = lease.name, fence
            self._keep(call_sid, call)
            if call.notes:
                notes[call_sid] = tuple(call.notes.values())
        return Renewal(lost=frozenset(lost), notes=notes)

    async def leave(self, worker: str) -> None:
        """A worker is gone."""
        self._leases.pop(worker, None)

    async def workers(self) -> Sequence[Lease]:
        """Those whose lease runs."""
        now = self._clock()
        self._leases = {name: held for name, held in self._leases.items() if held[1] > now}
        return [lease for lease, _ in self._leases.values()]

    async def issue(self, ticket: Ticket, secs: float, room: int | None = None) -> bool:
        """Let a stream come."""
        # What was on its way for this call makes room for it.
        self._tickets.pop(ticket.call_sid, None)
        if not _fits(ticket, room, await self.reserved(ticket.worker)):
            return False
        while len(self._tickets) >= self._capacity:
            self._tickets.popitem(last=False)
        kept = replace(ticket, token=digest(ticket.token))
        call = self._open(ticket.call_sid)
        call.named = ticket.worker
        self._tickets[ticket.call_sid] = _Ticket(kept, call.fence, self._clock() + secs)
        return True

    async def reserved(self, worker: str) -> int:
        """How many streams are on their way."""
        now = self._clock()
        for call_sid in [sid for sid, held in self._tickets.items() if held.until <= now]:
            del self._tickets[call_sid]
        return sum(
            held.ticket.worker == worker and held.ticket.kind is not StreamKind.BACK
            for held in self._tickets.values()
        )

    async def redeem(self, token: str, call_sid: str, worker: str) -> Claim | None:
        """Use a token up, and take its call."""
        held = self._tickets.get(call_sid)
        if held is None or held.until <= self._clock() or held.ticket.token != digest(token):
            return None
        ticket, call = held.ticket, self._open(call_sid)
        if held.fence != call.fence:
            return None
        if ticket.kind is StreamKind.BACK and call.owner != worker:
            return None
        del self._tickets[call_sid]
        if ticket.kind is StreamKind.BACK:
            return Claim(kind=ticket.kind, base_url=ticket.base_url, fence=call.fence)
        return self._taken(call, ticket, worker)

    def _taken(self, call: _Call, ticket: Ticket, worker: str) -> Claim:
        now = self._clock()
        silent_secs = KEEP_SECS - (call.until - now) if call.fence else 0.0
        self._keep(ticket.call_sid, call)
        call.quick_losses = call.quick_losses + 1 if self._is_quick(call) else 0
        call.owner, call.ended, call.taken_at = worker, "", now
        call.fence += 1
        notes, call.notes = tuple(call.notes.values()), {}
        return Claim(
            kind=ticket.kind,
            base_url=ticket.base_url,
            fence=call.fence,
            snapshot=call.snapshot,
            progress=call.progress,
            saved=call.saved,
            notes=notes,
            silent_secs=silent_secs,
        )

    def _is_quick(self, call: _Call) -> bool:
        return call.fence > 0 and self._clock() - call.taken_at < QUICK_SECS

    async def void(self, call_sid: str) -> None:
        """No stream of this call is to come."""
        self._tickets.pop(call_sid, None)

    async def save(
        self, call_sid: str, fence: int, snapshot: bytes | None, progress: bytes, number: int
    ) -> bool:
        """Keep a snapshot."""
        if (call := self._owned(call_sid, fence)) is None:
            return False
        if fits(snapshot, progress) and number > call.saved:
            call.snapshot = call.snapshot if snapshot is None else snapshot
            call.progress, call.saved = progress, number
        return True

    async def end(
        self, call_sid: str, fence: int, reason: str, *, goes_on: bool, has_failed: bool
    ) -> bool:
        """A call's bot has ended."""
        if (call := self._owned(call_sid, fence)) is None:
            return False
        # It may be told again by whoever has got no answer.
        call.failures += has_failed and not call.ended
        call.ended = reason
        if not goes_on:
            call.snapshot, call.progress = None, b""
        return True

    async def forget(self, call_sid: str) -> None:
        """A call is over."""
        self._tickets.pop(call_sid, None)
        self._calls.pop(call_sid, None)

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands."""
        call = self._calls.get(call_sid)
        if call is None or call.fence == 0 or call.until <= self._clock():
            return None
        return Standing(
            owner=call.owner,
            fence=call.fence,
            ended=call.ended,
            failures=call.failures,
            quick_losses=call.quick_losses if self._is_quick(call) else 0,
            has_snapshot=call.snapshot is not None,
            named=call.named,
        )

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keep a callback."""
        notes = self._open(call_sid).notes
        if key in notes or len(notes) >= MOST_NOTES or len(body) > LARGEST_NOTE:
            return False
        notes[key] = body
        return True

    async def strike(self, call_sid: str, notes: Sequence[bytes]) -> None:
        """Keep these callbacks no longer."""
        if (call := self._calls.get(call_sid)) is not None:
            call.notes = {key: body for key, body in call.notes.items() if body not in notes}

    async def close(self) -> None:
        """Nothing is held."""

    def _owned(self, call_sid: str, fence: int) -> _Call | None:
        call = self._calls.get(call_sid)
        if call is None or call.fence != fence:
            return None
        self._keep(call_sid, call)
        return call

    def _open(self, call_sid: str) -> _Call:
        self._forget_old()
        if call_sid not in self._calls:
            self._keep(call_sid, _Call())
        while len(self._calls) > self._capacity:
            self._calls.popitem(last=False)
        return self._calls[call_sid]

    def _keep(self, call_sid: str, call: _Call) -> None:
        call.until = self._clock() + KEEP_SECS
        self._calls[call_sid] = call
        self._calls.move_to_end(call_sid)

    def _forget_old(self) -> None:
        # All are kept equally long, so the oldest stand first.
        now = self._clock()
        while self._calls and (oldest := next(iter(self._calls.items())))[1].until <= now:
            del self._calls[oldest[0]]


def _fits(ticket: Ticket, room: int | None, reserved: int) -> bool:
    return room is None or ticket.kind is StreamKind.BACK or reserved < room
