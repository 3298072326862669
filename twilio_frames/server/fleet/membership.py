"""One worker's part in its fleet: its name, its calls' fences, and what it asks of registers.

Theory of operation
-------------------
What all workers have in common stands in the *far* register, which may be slow, or gone. Beside it
there is a *near* one: of the workers of this machine where they share a file, else of this worker
alone. Whoever asks here gets an answer in bounded time, and nothing that a call does waits for it.

What a call's owner keeps is kept in both, each with a number that grows; so is who owns it. A
stream's ticket stands in one: in the far register, or in the near one while that is gone. Whoever
takes a call takes it in both, and goes on with what was kept last. While the far register is gone,
the near one knows alone whether a call may go on here. It may know of less than has happened, where
another machine has had the call since; so it is believed if it knows of the call's last stream, by
the worker whom that one's TwiML named, and whom Twilio's address for what comes next still names.
Nothing more is needed for a call to have one owner: Twilio has one stream of it at a time, and asks
what comes next when that has ended; a fence keeps an owner before, which does not know yet that its
stream is gone, from writing on.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from twilio_frames.call.keeping import Place
from twilio_frames.fleet.register import (
    Claim,
    Lease,
    Register,
    RegisterError,
    Renewal,
    Standing,
    StreamKind,
    Ticket,
)
from twilio_frames.fleet.sealing import Seal
from twilio_frames.server.fleet.owned import Owned
from twilio_frames.server.fleet.reach import Reach
from twilio_frames.server.fleet.settings import FleetSettings

__all__ = ["Membership", "renewals_between"]

_Value = TypeVar("_Value")
TakeNote = Callable[[str, bytes], Awaitable[None]]

_NEAR_SECS = 2.0
"""How long the near register may take: it is slow where the whole machine is, and nobody else has
what it holds."""
_READ_EACH_TIME = 100
"""Other workers' leases: some 30 kB."""
_MOST_UNTOLD = 1000
"""Calls of which it is to be told, when it is back, how they have ended."""


def renewals_between(workers: int) -> int:
    """How often a worker renews its lease without asking for those of all others.

    Each reads as much in a second, however many they are.
    """
    return workers // _READ_EACH_TIME


class Membership:
    """See the top of the module.

    Args:
        settings: The fleet's.
        token_secs: How long a stream may take to come.
    """

    def __init__(self, settings: FleetSettings, *, token_secs: float):
        self.settings = settings
        self.name = f"{settings.slot}-{secrets.token_hex(4)}"
        self.address = settings.worker_url or ""
        self.handover = ""
        self.lag_secs = 0.0
        self.taking = 0
        self.news = asyncio.Event()
        """Set when the others are to hear soon of a call that began here."""
        self.take_note: TakeNote | None = None
        """Told of a call's callbacks that came while this worker was not found."""
        self._token_secs = token_secs
        self._seal = Seal(settings.register_key)
        self._near = Reach(settings.open_near_register(_NEAR_SECS), _NEAR_SECS)
        self._far: Reach | None = None
        if settings.is_shared:
            self._far = Reach(settings.open_register(), settings.register_secs)
        self._lease = Lease(name=self.name)
        self._owned: dict[str, Owned] = {}
        self._untold: OrderedDict[str, Owned] = OrderedDict()
        self._others: dict[str, Lease] = {}
        self._asks_in = 0
        # The workers that this machine has had.
        self._seen_here = set[str]()

    @property
    def is_alone(self) -> bool:
        """Whether there are no other workers, and never will be."""
        return self._far is None

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the far register has not answered lately."""
        return self._far is not None and self._far.is_gone

    @property
    def is_in_doubt(self) -> bool:
        """Whether what the far register does not know may be so all the same.

        So it is while it is gone, and while it is just back, before each worker has told it what
        it has.
        """
        return self.is_out_of_reach or not self._is_whole

    @property
    def _is_whole(self) -> bool:
        back_at = self._far.back_at if self._far is not None else -math.inf
        return time.monotonic() >= back_at + self.settings.lease_secs

    @property
    def others(self) -> Sequence[Lease]:
        """The other workers that live, as they said lately."""
        return list(self._others.values())

    async def living(self) -> Sequence[Lease] | None:
        """All workers that live, as the register says; None while it knows of too few.

        That is while it is gone, while it is just back, before each has told it that it lives, and
        while it knows nothing of this one, since somebody has emptied it.
        """
        if self._far is None:
            return None
        known = await self._far.ask(lambda r: r.workers(), None)
        is_whole = known is not None and any(one.name == self.name for one in known)
        return known if is_whole and self._is_whole else None

    def find(self, worker: str) -> Lease | None:
        """Another worker that lives; None if it is gone, or this one."""
        return self._others.get(worker)

    def gave_call_to(self, worker: str) -> None:
        """Counts a call that a worker is to take, until that is known of it otherwise."""
        self.taking += worker == self.name
        if (lease := self._others.get(worker)) is not None:
            self._others[worker] = replace(
                lease, calls=lease.calls + 1, beginning=lease.beginning + 1
            )

    def named(self, base_url: str) -> str:
        """The address at which Twilio is to ask this worker, without a slash at the end."""
        return base_url if self.is_alone else f"{base_url}/w/{self.name}"

    async def issue(
        self,
        call_sid: str,
        kind: StreamKind,
        base_url: str,
        *,
        room: int | None,
        named: str | None = None,
    ) -> str | None:
        """The token of a call's next stream; None if there is no room for it.

        Args:
            call_sid: The call.
            kind: What the stream is for.
            base_url: Where Twilio reaches this server.
            room: How many streams may be on their way here; None for any number.
            named: Whom the address of what Twilio asks names; None where that does not matter.
        """
        ticket = Ticket(
            call_sid=call_sid,
            token=secrets.token_urlsafe(32),
            worker=self.name,
            kind=kind,
            base_url=base_url,
        )
        # Whoever has not answered may know its ticket all the same: the other one gets its own.
        near = replace(ticket, token=secrets.token_urlsafe(32))
        try:
            token = await self._issue(ticket, near, room, named)
            if token is None and kind is StreamKind.RESUME and not self.is_out_of_reach:
                # The far register was gone at the first question, and answered the second.
                token = await self._issue(ticket, near, room, named)
            return token
        finally:
            self.taking = max(0, self.taking - 1)

    async def _issue(
        self, ticket: Ticket, near: Ticket, room: int | None, named: str | None
    ) -> str | None:
        call_sid, kind = ticket.call_sid, ticket.kind
        issued, (here, there) = None, await self._standings(call_sid)
        if here is None or not here.is_ahead_of(there):
            issued = await self._ask_far(lambda r: r.issue(ticket, self._token_secs, room), None)
        if issued is not None:
            if issued and here is not None and there is not None and here.fence == there.fence:
                # Nobody has this token, and it holds no slot: it tells whom the TwiML names.
                near = replace(near, kind=StreamKind.BACK)
                await self._near.ask(lambda r: r.issue(near, self._token_secs), False)
            return ticket.token if issued else None
        if not self.is_alone and not await self._may_issue_alone(call_sid, kind, named):
            return None
        issued = await self._near.ask(lambda r: r.issue(near, self._token_secs, room), False)
        return near.token if issued else None

    async def _may_issue_alone(self, call_sid: str, kind: StreamKind, named: str | None) -> bool:
        if kind is StreamKind.RESUME:
            # Who has any other call, and by which fence, the far register alone knows.
            here, there = await self._standings(call_sid)
            is_last = here is not None and (there is not None or here.may_be_at(named))
            return here is not None and is_last and here.is_ahead_of(there)
        return kind is not StreamKind.NEW or self.settings.without_register != "busy"

    async def has_alone(self, call_sid: str) -> bool:
        """Whether all that another bot would need is kept here, and not where all workers find it.

        So it is with a call that was taken while the far register was gone, until that is told of
        it; and as far as anybody here can tell with all calls while it is.
        """
        here, there = await self._standings(call_sid)
        return here is not None and here.is_ahead_of(there)

    async def _standings(self, call_sid: str) -> tuple[Standing | None, Standing | None]:
        """How a call stands in the near register and in the far one; nothing without that."""
        if self._far is None:
            return None, None
        near = await self._near.ask(lambda r: r.standing(call_sid), None)
        return near, await self._ask_far(lambda r: r.standing(call_sid), None)

    async def redeem(self, token: str, call_sid: str, named: str = "") -> Claim | None:
        """Takes a call by its token; None if it is not that call's, or was used.

        Args:
            token: The token.
            call_sid: The call.
            named: Whom the stream's address names; empty: this worker.
        """
        claim, beside = await self._redeem_in(self._near, token, call_sid), self._far
        if claim is None and self._far is not None:
            claim, beside = await self._redeem_in(self._far, token, call_sid), self._near
        if claim is None:
            return None
        if claim.kind is not StreamKind.BACK:
            if beside is not None:
                claim = await self._take_beside(claim, beside, call_sid, named or self.name)
            self._owned[call_sid] = Owned(call_sid=call_sid, seal=self._seal, fence=claim.fence)
            self._untold.pop(call_sid, None)
        return self._seal.open_claim(claim, call_sid)

    async def _redeem_in(self, reach: Reach, token: str, call_sid: str) -> Claim | None:
        claim = await reach.ask(lambda r: r.redeem(token, call_sid, self.name), None)
        if claim is not None and reach is self._far and not self._is_whole:
            # Late steps of the owner before may have been its last signs of life.
            claim = replace(claim, silent_secs=math.inf)
        return claim

    async def _take_beside(self, claim: Claim, reach: Reach, call_sid: str, named: str) -> Claim:
        """Takes a call that was taken in one register in the other one as well."""
        token = secrets.token_urlsafe(16)
        ticket = Ticket(call_sid=call_sid, token=token, worker=named, kind=StreamKind.RESUME)
        await reach.ask(lambda r: r.issue(ticket, self._token_secs), False)
        taken = await self._redeem_in(reach, token, call_sid)
        merged = claim.beside(taken) if taken is not None else claim
        first = self._near if reach is self._far else self._far
        for known, where in ((claim, first), (taken, reach)):
            if known is not None and where is not None and known.fence < merged.fence:
                await self._tell(where, call_sid, merged.fence)
        return merged

    async def _tell(self, reach: Reach, call_sid: str, fence: int) -> None:
        """Tells a register that a call is this worker's, by a fence that another one gave."""
        calls, secs = {call_sid: fence}, self.settings.lease_secs
        await reach.ask(lambda r: r.renew(self._lease, calls, secs), None)

    async def reserved(self) -> int:
        """How many streams are on their way here."""
        near = await self._near.ask(lambda r: r.reserved(self.name), 0)
        return near + await self._ask_far(lambda r: r.reserved(self.name), 0)

    async def void(self, call_sid: str) -> None:
        """No stream of a call is to come."""
        await self._near.ask(lambda r: r.void(call_sid), None)
        await self._ask_far(lambda r: r.void(call_sid), None)

    async def standing(self, call_sid: str, named: str | None = None) -> Standing | None:
        """How a call stands; None if nobody knows.

        Args:
            call_sid: The call.
            named: Whom the address of what Twilio asks names; None where that does not matter.
        """
        await self._tell_of_ends(call_sid)
        far = await self._ask_far(lambda r: r.standing(call_sid), None)
        near = await self._near.ask(lambda r: r.standing(call_sid), None)
        if self.is_out_of_reach and near is not None and not near.may_be_at(named):
            near = None
        known = [one for one in (far, near) if one is not None]
        # What has happened while the far one was gone, the near one may know alone.
        return max(known, key=lambda one: one.recency, default=None)

    async def has_begun(self, call_sid: str) -> bool:
        """Whether a call has had a bot, as far as anybody knows."""
        standing = await self.standing(call_sid)
        return standing is not None and standing.has_begun

    def places(self, call_sid: str) -> Sequence[Place]:
        """Where what another worker needs to go on with a call of this one's is kept."""
        # Whoever had it before, here too, may not write for whoever has it now.
        owned = self._owned.get(call_sid)
        near = Place(
            save=partial(self._save, self._near, owned),
            is_found=lambda: self.is_alone or self._has_sibling,
        )
        if self._far is None:
            return [near]
        return [near, Place(save=partial(self._save, self._far, owned), is_found=lambda: True)]

    @property
    def _has_sibling(self) -> bool:
        """Whether another worker of this machine would go on with a call."""
        return any(self.is_near(one.name) and not one.is_draining for one in self.others)

    def is_near(self, worker: str) -> bool:
        """Whether a worker knows what this one keeps near by."""
        return worker in self._seen_here

    async def _save(
        self, reach: Reach, owned: Owned | None, snapshot: bytes | None, progress: bytes, count: int
    ) -> bool:
        if owned is None or self._owned.get(owned.call_sid) is not owned:
            return False
        # What is near by nobody else has, and only this waits for it.
        is_near = reach is self._near
        return bool(await owned.save(reach, snapshot, progress, count, is_probe=is_near))

    async def end(
        self, call_sid: str, reason: str, *, goes_on: bool, has_failed: bool, fence: int = 0
    ) -> None:
        """A bot of this worker's has ended, whose call may go on elsewhere, or may not.

        Nothing is told where the next bot has the call by now, by another fence, here too.
        """
        owned = self._owned.get(call_sid)
        if owned is None or fence not in (0, owned.fence):
            return
        del self._owned[call_sid]
        owned.ended = reason, goes_on, has_failed
        await owned.tell_of_end(self._near)
        if self._far is not None and not await owned.tell_of_end(self._far):
            self._untold[call_sid] = owned
            while len(self._untold) > _MOST_UNTOLD:
                self._untold.popitem(last=False)

    async def _tell_of_ends(self, *call_sids: str) -> None:
        """The far register may be back, and not know how calls have ended meanwhile."""
        for call_sid in call_sids:
            owned = self._untold.get(call_sid)
            if owned is None or self._far is None:
                continue
            if await owned.tell_of_end(self._far):
                self._untold.pop(call_sid, None)

    async def forget(self, call_sid: str) -> None:
        """A call is over."""
        self._untold.pop(call_sid, None)
        await self._near.ask(lambda r: r.forget(call_sid), None)
        await self._ask_far(lambda r: r.forget(call_sid), None)

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keeps a callback for a call's next owner."""
        sealed = self._seal.close(body, f"note {call_sid}")
        noted = await self._ask_far(lambda r: r.note(call_sid, key, sealed), None)
        if noted is None:
            noted = await self._near.ask(lambda r: r.note(call_sid, key, sealed), False)
        return noted

    async def renew(self, lease: Lease) -> frozenset[str]:
        """Says that this worker lives, and learns who else does.

        Returns:
            Its calls that others have taken meanwhile: they are no longer its own.
        """
        self._lease, self.taking, nothing = lease, 0, (Renewal(), None)

        async def renew(register: Register) -> "tuple[Renewal, Sequence[Lease] | None]":
            calls = {sid: owned.fence for sid, owned in self._owned.items()}
            told = await register.renew(lease, calls, self.settings.lease_secs)
            return told, None if asks_later else await register.workers()

        asks_later = False
        here, near = await self._near.ask(renew, nothing, is_probe=True)
        there, far = nothing
        asks_later = self._asks_in > 0
        if self._far is not None:
            was_gone = self._far.is_gone
            there, far = await self._far.ask(renew, nothing, is_probe=True)
            self._asks_in = self._asks_in - 1 if far is None else renewals_between(len(far))
            if not self._far.is_gone:
                await self._tell_of_ends(*self._untold)
            if was_gone and not self._far.is_gone:
                for owned in list(self._owned.values()):
                    await owned.tell_all(self._far)
        self._note_others(near, far)
        lost = here.lost | there.lost
        for call_sid in lost:
            self._owned.pop(call_sid, None)
        for call_sid, notes in (*here.notes.items(), *there.notes.items()):
            if call_sid in self._owned and self.take_note is not None:
                await self._take_notes(call_sid, notes, self.take_note)
        return lost

    async def _take_notes(self, call_sid: str, notes: Sequence[bytes], take: TakeNote) -> None:
        try:
            for note in filter(None, (self._seal.open(n, f"note {call_sid}") for n in notes)):
                await take(call_sid, note)
        finally:
            await self._near.ask(lambda r: r.strike(call_sid, notes), None)
            await self._ask_far(lambda r: r.strike(call_sid, notes), None)

    def _note_others(self, near: Sequence[Lease] | None, far: Sequence[Lease] | None) -> None:
        others = self._others if far is None else {one.name: one for one in far}
        if near is not None:
            # Of those of this machine the near register alone knows when they are gone.
            elsewhere = {n: one for n, one in others.items() if n not in self._seen_here}
            others = elsewhere | {one.name: one for one in near}
            self._seen_here.update(one.name for one in near)
        self._others = {name: one for name, one in others.items() if name != self.name}

    async def leave(self) -> None:
        """Says that this worker is gone."""
        for reach in filter(None, (self._near, self._far)):
            await reach.ask(lambda r: r.leave(self.name), None)
            with contextlib.suppress(RegisterError):
                await reach.register.close()

    async def _ask_far(
        self, step: "Callable[[Register], Awaitable[_Value]]", otherwise: _Value
    ) -> _Value:
        return await self._far.ask(step, otherwise) if self._far is not None else otherwise
