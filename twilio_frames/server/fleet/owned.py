"""A call of this worker's, as registers are told of it."""

from dataclasses import dataclass, field

from twilio_frames.fleet.sealing import Seal
from twilio_frames.server.fleet.reach import Reach

__all__ = ["Owned"]

_SAVES_BITS = 24
"""Of a save's number, for the owner's own count; above them stands its fence."""


@dataclass(slots=True, kw_only=True)
class Owned:
    """A call of this worker's.

    Parameters:
        call_sid: The call.
        seal: Encrypts what is kept of it.
        fence: What proves it to a register.
        snapshot: What was kept last.
        progress: Likewise.
        count: How many saves there were.
        ended: Why it has ended, whether it goes on, whether its bot has failed.
    """

    call_sid: str
    seal: Seal
    fence: int
    snapshot: bytes | None = field(default=None, repr=False)
    progress: bytes = field(default=b"", repr=False)
    count: int = 0
    ended: tuple[str, bool, bool] = "", True, False

    async def save(
        self,
        reach: Reach,
        snapshot: bytes | None,
        progress: bytes,
        count: int,
        *,
        is_probe: bool = False,
    ) -> bool | None:
        """Keeps how it stands in one register; None where that does not answer."""
        self.snapshot = self.snapshot if snapshot is None else snapshot
        self.progress, self.count = progress, max(self.count, count)
        return await self._send(reach, snapshot, count, is_probe=is_probe)

    async def tell_of_end(self, reach: Reach) -> bool:
        """Tells how it has ended, and what was kept last; False where nobody answers."""
        reason, goes_on, has_failed = self.ended
        if goes_on and await self.tell_all(reach) is None:
            return False
        sid, fence = self.call_sid, self.fence
        told = await reach.ask(
            lambda r: r.end(sid, fence, reason, goes_on=goes_on, has_failed=has_failed), None
        )
        return told is not None

    async def tell_all(self, reach: Reach) -> bool | None:
        """Keeps in a register what was kept last, should that not have it."""
        if not self.count:
            return True
        # It changes nothing where that is there.
        return await self._send(reach, self.snapshot, self.count)

    async def _send(
        self, reach: Reach, snapshot: bytes | None, count: int, *, is_probe: bool = False
    ) -> bool | None:
        sid, fence, close = self.call_sid, self.fence, self.seal.close
        kept = close(snapshot, f"snapshot {sid}") if snapshot is not None else None
        told = close(self.progress, f"progress {sid}") if self.progress else b""
        number = (fence << _SAVES_BITS) + count
        return await reach.ask(
            lambda r: r.save(sid, fence, kept, told, number), None, is_probe=is_probe
        )
