"""One worker's part in its fleet: its name, its calls' fences, and what it asks of the register.

The register may be slow, or gone. Whoever asks it here gets an answer in bounded time: where there
is none, what this worker knows by itself. Nothing that a call does waits for it.
"""

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from loguru import logger

from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import (
    Claim,
    Lease,
    Register,
    RegisterError,
    Standing,
    StreamKind,
    Ticket,
)
from twilio_frames.fleet.sealing import Seal
from twilio_frames.server.fleet.settings import FleetSettings

__all__ = ["Membership"]

_Value = TypeVar("_Value")

_GONE_SECS = 1.0
"""How long nobody asks a register that has failed."""
_MOST_UNTOLD = 1000
"""Calls of which it is to be told, when it is back, how they have ended."""


@dataclass(slots=True, kw_only=True)
class Owned:
    """A call of this worker's.

    Parameters:
        fence: What proves it to the register.
        register: The one that gave it.
        snapshot: What was saved last, sealed.
        progress: Likewise.
        is_behind: Whether the register does not have that.
        ended: Why it has ended, whether it goes on, whether its bot has failed.
    """

    fence: int
    register: Register = field(repr=False)
    snapshot: bytes | None = field(default=None, repr=False)
    progress: bytes = field(default=b"", repr=False)
    is_behind: bool = False
    ended: tuple[str, bool, bool] = "", True, False


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
        self._token_secs = token_secs
        self._seal = Seal(settings.register_key)
        # What this worker alone knows, where the register is gone, or there is none.
        self._own = MemoryRegister()
        self._shared = settings.open_register() if settings.is_shared else None
        self._gone_until = 0.0
        self._whole_from = 0.0
        self._owned: dict[str, Owned] = {}
        self._untold: OrderedDict[str, Owned] = OrderedDict()
        self._others: dict[str, Lease] = {}

    @property
    def is_alone(self) -> bool:
        """Whether there are no other workers, and never will be."""
        return self._shared is None

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the register has not answered lately."""
        return self._gone_until > 0.0

    @property
    def others(self) -> Sequence[Lease]:
        """The other workers that live, as they said lately."""
        return list(self._others.values())

    async def living(self) -> Sequence[Lease] | None:
        """All workers that live, as the register says; None while it knows of too few.

        That is while it is gone, while it is just back, before each has told it that it lives, and
        while it knows nothing of this one, since somebody has emptied it.
        """
        known = await self._ask(lambda r: r.workers(), None)
        is_whole = known is not None and any(one.name == self.name for one in known)
        return known if is_whole and time.monotonic() >= self._whole_from else None

    def find(self, worker: str) -> Lease | None:
        """Another worker that lives; None if it is gone, or this one."""
        return self._others.get(worker)

    def gave_call_to(self, worker: str) -> None:
        """Counts a call that another worker has taken, until that one says itself how it is."""
        if (lease := self._others.get(worker)) is not None:
            self._others[worker] = replace(lease, calls=lease.calls + 1)

    def named(self, base_url: str) -> str:
        """The address at which Twilio is to ask this worker, without a slash at the end."""
        return base_url if self.is_alone else f"{base_url}/w/{self.name}"

    async def issue(
        self, call_sid: str, kind: StreamKind, base_url: str, *, room: int | None
    ) -> str | None:
        """The token of a call's next stream; None if there is no room for it.

        Args:
            call_sid: The call.
            kind: What the stream is for.
            base_url: Where Twilio reaches this server.
            room: How many streams may be on their way here; None for any number.
        """
        ticket = Ticket(
            call_sid=call_sid,
            token=secrets.token_urlsafe(32),
            worker=self.name,
            kind=kind,
            base_url=base_url,
        )
        issued = None
        if not await self.has_alone(call_sid):
            issued = await self._ask(lambda r: r.issue(ticket, self._token_secs, room), None)
        if issued is None:
            if not self.is_alone and not await self._may_issue_alone(call_sid, kind):
                return None
            await self._tell_own(call_sid)
            # Whoever has not answered may know the other one all the same.
            ticket = replace(ticket, token=secrets.token_urlsafe(32))
            issued = await self._own.issue(ticket, self._token_secs, room)
        return ticket.token if issued else None

    async def _may_issue_alone(self, call_sid: str, kind: StreamKind) -> bool:
        if kind is StreamKind.RESUME:
            # Who has any other call, and by which fence, the register alone knows.
            return await self.has_alone(call_sid)
        return kind is not StreamKind.NEW or self.settings.without_register != "busy"

    async def has_alone(self, call_sid: str) -> bool:
        """Whether all that another bot would need is kept here alone.

        So it is with a call that was taken while the register was gone, until that is told of it.
        """
        own = None if self.is_alone else await self._own.standing(call_sid)
        return own is not None and own.has_begun

    async def _tell_own(self, call_sid: str) -> None:
        """What comes back comes back to its owner alone, as the fleet's register knows."""
        if (owned := self._owned.get(call_sid)) is not None:
            lease = Lease(name=self.name)
            await self._own.renew(lease, {call_sid: owned.fence}, self.settings.lease_secs)

    async def redeem(self, token: str, call_sid: str) -> Claim | None:
        """Takes a call by its token; None if it is not that call's, or was used."""
        register: Register = self._own
        claim = await self._own.redeem(token, call_sid, self.name)
        if claim is None and self._shared is not None:
            register = self._shared
            claim = await self._ask(lambda r: r.redeem(token, call_sid, self.name), None)
        if claim is None:
            return None
        if claim.kind is not StreamKind.BACK:
            self._owned[call_sid] = Owned(fence=claim.fence, register=register)
        return self._opened(claim, call_sid)

    def _opened(self, claim: Claim, call_sid: str) -> Claim:
        def opened(sealed: bytes | None, kind: str) -> bytes | None:
            return self._seal.open(sealed, f"{kind} {call_sid}") if sealed else None

        snapshot, progress = opened(claim.snapshot, "snapshot"), opened(claim.progress, "progress")
        notes = [opened(note, "note") for note in claim.notes]
        return replace(
            claim,
            snapshot=snapshot,
            progress=progress or b"",
            notes=tuple(note for note in notes if note is not None),
        )

    async def reserved(self) -> int:
        """How many streams are on their way here."""
        shared = await self._ask(lambda r: r.reserved(self.name), 0)
        return shared + await self._own.reserved(self.name)

    async def void(self, call_sid: str) -> None:
        """No stream of a call is to come."""
        await self._own.void(call_sid)
        await self._ask(lambda r: r.void(call_sid), None)

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands; None if nobody knows."""
        known = None
        await self._tell_of_ends(call_sid)
        if not await self.has_alone(call_sid):
            known = await self._ask(lambda r: r.standing(call_sid), None)
        return known or await self._own.standing(call_sid)

    async def has_begun(self, call_sid: str) -> bool:
        """Whether a call has had a bot, as far as anybody knows."""
        standing = await self.standing(call_sid)
        return standing is not None and standing.has_begun

    async def save(self, call_sid: str, snapshot: bytes | None, progress: bytes = b"") -> bool:
        """Keeps what another worker needs to go on with a call of this one's.

        Returns:
            Whether it is kept where others find it.
        """
        if (owned := self._owned.get(call_sid)) is None:
            return False
        if snapshot is not None:
            sealed = self._seal.close(snapshot, f"snapshot {call_sid}")
            owned.snapshot, owned.is_behind = sealed, True
        kept = owned.snapshot if owned.is_behind else None
        far = self._seal.close(progress, f"progress {call_sid}") if progress else b""
        owned.progress = far
        is_kept = await self._tell(owned, lambda r: r.save(call_sid, owned.fence, kept, far))
        owned.is_behind &= not is_kept
        return bool(is_kept) and (self.is_alone or owned.register is not self._own)

    async def end(self, call_sid: str, reason: str, *, goes_on: bool, has_failed: bool) -> None:
        """A call of this worker's has ended, and may go on elsewhere, or may not."""
        if (owned := self._owned.pop(call_sid, None)) is None:
            return
        owned.ended = reason, goes_on, has_failed
        if not await self._is_told_of_end(call_sid, owned):
            self._untold[call_sid] = owned
            while len(self._untold) > _MOST_UNTOLD:
                self._untold.popitem(last=False)

    async def _is_told_of_end(self, call_sid: str, owned: Owned) -> bool:
        """Tells how a call has ended, and what was said last; False where nobody answers."""
        fence, (reason, goes_on, has_failed) = owned.fence, owned.ended
        last = owned.snapshot if owned.is_behind else None, owned.progress
        if goes_on and await self._tell(owned, lambda r: r.save(call_sid, fence, *last)) is None:
            return False
        told = await self._tell(
            owned,
            lambda r: r.end(call_sid, fence, reason, goes_on=goes_on, has_failed=has_failed),
        )
        return told is not None

    async def _tell_of_ends(self, *call_sids: str) -> None:
        """The register is there, and may not know how calls have ended while it was gone."""
        for call_sid in call_sids:
            owned = self._untold.get(call_sid)
            if owned is not None and await self._is_told_of_end(call_sid, owned):
                self._untold.pop(call_sid, None)

    async def forget(self, call_sid: str) -> None:
        """A call is over."""
        self._untold.pop(call_sid, None)
        await self._own.forget(call_sid)
        await self._ask(lambda r: r.forget(call_sid), None)

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keeps a callback for a call's next owner."""
        sealed = self._seal.close(body, f"note {call_sid}")
        return await self._ask(lambda r: r.note(call_sid, key, sealed), False)

    async def renew(self, lease: Lease) -> frozenset[str]:
        """Says that this worker lives, and learns who else does.

        Returns:
            Its calls that others have taken meanwhile: they are no longer its own.
        """
        calls = {sid: owned.fence for sid, owned in self._owned.items()}
        secs = self.settings.lease_secs
        lost = await self._ask(lambda r: r.renew(lease, calls, secs), frozenset[str]())
        living = await self._ask(lambda r: r.workers(), None)
        if living is not None:
            await self._tell_of_own()
            await self._tell_of_ends(*self._untold)
            self._others = {one.name: one for one in living if one.name != self.name}
        for call_sid in lost:
            self._owned.pop(call_sid, None)
        return lost

    async def _tell_of_own(self) -> None:
        """The register is there, and knows of the calls that were taken while it was gone."""
        assert self._shared is not None  # noqa: S101 - it has answered
        alone = [(sid, one) for sid, one in self._owned.items() if one.register is self._own]
        for call_sid, owned in alone:
            if await self._is_told(call_sid, owned):
                owned.register = self._shared
                await self._own.forget(call_sid)

    async def _is_told(self, call_sid: str, owned: Owned) -> bool:
        snapshot = owned.snapshot
        if not await self._ask(
            lambda r: r.save(call_sid, owned.fence, snapshot, owned.progress), False
        ):
            return False
        owned.is_behind = owned.snapshot is not snapshot
        return True

    async def leave(self) -> None:
        """Says that this worker is gone."""
        await self._ask(lambda r: r.leave(self.name), None)
        if self._shared is not None:
            with contextlib.suppress(RegisterError):
                await self._shared.close()

    async def _tell(self, owned: Owned, step: Callable[[Register], Awaitable[bool]]) -> bool | None:
        if owned.register is self._own:
            return await step(self._own)
        return await self._ask(step, None)

    async def _ask(
        self, step: "Callable[[Register], Awaitable[_Value]]", otherwise: _Value
    ) -> _Value:
        """What the register says; or something else where it says nothing in time."""
        register = self._shared
        if register is None or time.monotonic() < self._gone_until:
            return otherwise
        try:
            async with asyncio.timeout(self.settings.register_secs):
                value = await step(register)
        except (RegisterError, TimeoutError) as error:
            if self._gone_until == 0.0:
                logger.error(f"the register is gone, and this worker goes on alone: {error}")
            self._gone_until = time.monotonic() + _GONE_SECS
            return otherwise
        if self._gone_until:
            logger.info("the register is back")
            self._gone_until = 0.0
            self._whole_from = time.monotonic() + self.settings.lease_secs
        return value
