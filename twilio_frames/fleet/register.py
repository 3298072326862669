"""What the workers of a fleet know in common: who is there, and whose call is whose.

A register is asked by coroutines, each of which is one atomic step. It holds nothing for longer
than :data:`KEEP_SECS` beyond the last sign of life of whom it belongs to, and nothing larger than
:data:`LARGEST_SNAPSHOT`.

Each time a call is taken, its *fence* grows: whoever took it before may neither write its snapshot
nor end it any more, so that no two workers ever own a call. Of a token a digest is kept alone, by
which nobody can open a stream.

A step that nobody waits for any more, since it was late, may be carried out all the same, behind
later ones. So a token is good for the fence alone that its call had when it was issued, and saves
are numbered: what is late changes nothing.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = [
    "KEEP_SECS",
    "LARGEST_NOTE",
    "LARGEST_SNAPSHOT",
    "MOST_CALLS",
    "MOST_NOTES",
    "Claim",
    "Lease",
    "Register",
    "RegisterError",
    "Renewal",
    "Standing",
    "StreamKind",
    "Ticket",
    "digest",
    "fits",
]

KEEP_SECS = 300.0
"""How long a call is remembered behind the last sign of life of its owner. Twilio asks what to do
with a call whose stream is lost within seconds; a caller who rings again has another call."""
LARGEST_SNAPSHOT = 256 * 1024
"""Bytes of one call's snapshot: the memory of some hours of talk."""
LARGEST_NOTE = 16 * 1024
"""Bytes of a callback that waits, of which Twilio's have a thousand or two, or of progress."""
MOST_NOTES = 32
"""Callbacks that wait for one call's next owner."""
MOST_CALLS = 10_000
"""Calls that a register in memory or a file knows; the oldest are forgotten."""


class RegisterError(Exception):
    """The register could not be asked, or did not answer in time."""


class StreamKind(StrEnum):
    """What a stream that is to come is for."""

    NEW = "new"
    BACK = "back"
    """The bot lives, and waits for its call to be back from a detour: it holds its slot."""
    RESUME = "resume"
    """The bot, or its worker, is gone; another one goes on from the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A worker, as it last said how it is.

    Parameters:
        name: The worker; no two that ever lived have the same.
        address: Where other workers reach it, such as ``http://127.0.0.1:41273``; empty: nowhere.
        handover: The socket on which it takes connections over from others of its machine; empty
            if it does not.
        calls: How many calls it has, those that are about to come among them.
        beginning: How many of them are about to come, or came a moment ago.
        call_sids: Those that are up.
        base_url: Where Twilio reaches it for them.
        most_calls: How many it may have.
        lag_secs: How late its event loop is, p95 of the last seconds.
        is_draining: Whether it takes no more.
        waiting: How many calls it has told to wait for a line.
    """

    name: str
    address: str = ""
    handover: str = ""
    calls: int = 0
    beginning: int = 0
    call_sids: tuple[str, ...] = ()
    base_url: str = ""
    most_calls: int = 1
    lag_secs: float = 0.0
    is_draining: bool = False
    waiting: int = 0

    def encoded(self) -> bytes:
        """As a register keeps it."""
        return msgspec.json.encode(asdict(self))

    @classmethod
    def decoded(cls, texts: Iterable[bytes]) -> "list[Lease]":
        """What :meth:`encoded` made; what something else has written is left out."""
        leases: list[Lease] = []
        for text in texts:
            with contextlib.suppress(msgspec.DecodeError):
                leases.append(msgspec.json.decode(text, type=cls))
        return leases


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The right of a call to one stream.

    Parameters:
        call_sid: The call.
        token: What proves it, see :func:`digest`.
        worker: Whose slot is reserved for it.
        kind: What the stream is for.
        base_url: Where Twilio reached the worker.
    """

    call_sid: str
    token: str = field(repr=False)
    worker: str
    kind: StreamKind = StreamKind.NEW
    base_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A call that a worker has taken, by a token.

    Parameters:
        kind: What its stream is for.
        base_url: Where Twilio reached the worker that wrote its TwiML.
        fence: What the owner shows with each change; greater each time a call is taken.
        snapshot: What the owner before has written; None if nothing.
        progress: How far that one had come since.
        saved: The number of the save by which these were kept; 0 for none.
        notes: The callbacks that came while it had no owner, in order.
        silent_secs: For how long nobody has heard of the owner before; infinite where nobody knows.
    """

    kind: StreamKind
    base_url: str = ""
    fence: int = 1
    snapshot: bytes | None = field(default=None, repr=False)
    progress: bytes = field(default=b"", repr=False)
    saved: int = 0
    notes: tuple[bytes, ...] = field(default=(), repr=False)
    silent_secs: float = 0.0

    def beside(self, other: "Claim") -> "Claim":
        """The same call, taken in another register too: with what either knew last."""
        newer = max(self, other, key=lambda claim: claim.saved)
        silences = [one.silent_secs for one in (self, other) if one.fence > 1]
        return replace(
            newer,
            kind=self.kind,
            base_url=self.base_url,
            fence=max(self.fence, other.fence),
            notes=(*self.notes, *other.notes),
            silent_secs=min(silences, default=0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a worker is told when it says that it lives.

    Parameters:
        lost: Those of its calls that others have taken since.
        notes: The callbacks that came for others of its calls while it was not found, in order.
            They stay until :meth:`Register.strike`: this answer may come too late.
    """

    lost: frozenset[str] = frozenset()
    notes: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict[str, tuple[bytes, ...]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a call stands.

    Parameters:
        owner: The worker that has it, or had it.
        fence: How often it was taken.
        ended: Why its bot ended, in words of the owner's; empty while it has not.
        failures: How often a bot of it has failed.
        quick_losses: How often in a row it was lost within seconds of having been taken.
        has_snapshot: Whether another worker can go on with it.
        named: Whom its latest ticket named, which need not be who has taken it.
    """

    owner: str
    fence: int
    ended: str = ""
    failures: int = 0
    quick_losses: int = 0
    has_snapshot: bool = False
    named: str = ""

    @property
    def has_begun(self) -> bool:
        """Whether a bot has talked to the caller."""
        return self.has_snapshot or self.ended != ""

    @property
    def recency(self) -> tuple[int, bool, bool]:
        """Greater in the register that knows more of the call."""
        return self.fence, bool(self.ended), self.has_snapshot

    def may_be_at(self, named: str | None) -> bool:
        """Whether nobody has had the call since, by whom the address names that Twilio has.

        Its latest ticket may have been told to nobody: then that is who has it, or had it.

        Args:
            named: Whom that address names; None where that does not matter.
        """
        return named in (None, self.named, self.owner)

    def is_ahead_of(self, other: "Standing | None") -> bool:
        """Whether this register knows of a bot of the call's of which the other does not."""
        is_newer = other is None or (other.fence, other.has_begun) < (self.fence, True)
        return self.has_begun and is_newer


class Register(Protocol):
    """What a fleet knows in common.

    Each method raises a :class:`RegisterError` if the register cannot be asked.
    """

    async def renew(self, lease: Lease, calls: Mapping[str, int], secs: float) -> Renewal:
        """A worker lives, and has these calls, by their fences; for so many seconds."""
        ...

    async def leave(self, worker: str) -> None:
        """A worker is gone, and knows it."""
        ...

    async def workers(self) -> Sequence[Lease]:
        """Those whose lease runs."""
        ...

    async def issue(self, ticket: Ticket, secs: float, room: int | None = None) -> bool:
        """Let a stream come; an earlier ticket of the call is void.

        Args:
            ticket: For which stream.
            secs: How long it may take.
            room: How many streams may be on their way to that worker at once; None for any number.

        Returns:
            Whether there was room.
        """
        ...

    async def reserved(self, worker: str) -> int:
        """How many streams are on their way to a worker."""
        ...

    async def redeem(self, token: str, call_sid: str, worker: str) -> Claim | None:
        """Use a token up, and take its call; None if it is not that call's.

        A call that was taken since its token was issued is not that token's any more. One that
        comes back from a detour can be taken by its owner alone.
        """
        ...

    async def void(self, call_sid: str) -> None:
        """No stream of this call is to come."""
        ...

    async def save(
        self, call_sid: str, fence: int, snapshot: bytes | None, progress: bytes, number: int
    ) -> bool:
        """Keep what another worker needs to go on with a call; False if it is another's now.

        Args:
            call_sid: The call.
            fence: The owner's.
            snapshot: What changes with each turn; None for what was kept before.
            progress: What changes with each word, and is small.
            number: Grows with each save, of this owner and of those before; what comes behind a
                later one changes nothing.
        """
        ...

    async def end(
        self, call_sid: str, fence: int, reason: str, *, goes_on: bool, has_failed: bool
    ) -> bool:
        """A call's bot has ended; False if the call is another's now.

        Args:
            call_sid: The call.
            fence: The owner's.
            reason: Why, for whoever is asked what comes next.
            goes_on: Whether another worker may go on with it; else its snapshot is forgotten.
            has_failed: Whether that was a failure of the bot's.
        """
        ...

    async def forget(self, call_sid: str) -> None:
        """A call is over: no stream, no snapshot, no callback of it is needed."""
        ...

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands; None if it was never taken, or is forgotten."""
        ...

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keep a callback for a call's next owner; False if it was there, or there are too many."""
        ...

    async def strike(self, call_sid: str, notes: Sequence[bytes]) -> None:
        """Keep these callbacks no longer: the call's owner has them."""
        ...

    async def close(self) -> None:
        """Let go of what the register is reached by."""
        ...


QUICK_SECS = 5.0
"""A call that is lost sooner than this after it was taken may be what its workers die of."""


def digest(token: str) -> str:
    """What a register keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def fits(snapshot: bytes | None, progress: bytes) -> bool:
    """Whether a register keeps what is to be saved; if not, it keeps what it has."""
    return len(snapshot or b"") <= LARGEST_SNAPSHOT and len(progress) <= LARGEST_NOTE
