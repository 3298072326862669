"""What each register has to do, whatever keeps it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from twilio_frames.fleet.register import (
    LARGEST_NOTE,
    LARGEST_SNAPSHOT,
    MOST_NOTES,
    Lease,
    Register,
    Renewal,
    StreamKind,
    Ticket,
)

__all__ = ["FIRST", "SECOND", "RegisterSuite", "taken", "ticket"]

FIRST, SECOND = Lease(name="w1-a", calls=3, most_calls=10), Lease(name="w2-b")


def ticket(call_sid: str = "CA1", **changes: object) -> Ticket:
    return replace(
        Ticket(
            call_sid=call_sid, token=f"token-of-{call_sid}", worker=FIRST.name, base_url="http://x"
        ),
        **changes,
    )


async def comes_true(asked: Callable[[], Awaitable[bool]]) -> None:
    """Time passes, of whatever clock, until something is so."""
    async with asyncio.timeout(10):
        while not await asked():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.01)


async def taken(register: Register, call_sid: str = "CA1", worker: str = FIRST.name) -> int:
    assert await register.issue(ticket(call_sid, worker=worker), 60)
    claim = await register.redeem(f"token-of-{call_sid}", call_sid, worker)
    assert claim is not None
    return claim.fence


async def taken_again(register: Register) -> None:
    await register.issue(ticket(), 60)
    claim = await register.redeem("token-of-CA1", "CA1", FIRST.name)
    assert claim is not None
    assert claim.notes == ()


class RegisterSuite:
    """Its heirs have a fixture `register`."""

    async def test_a_worker_is_there_while_its_lease_runs(self, register: Register):
        await register.renew(FIRST, {}, 60)
        await register.renew(SECOND, {}, 0.05)
        assert set(await register.workers()) >= {FIRST}

        async def second_is_gone() -> bool:
            return list(await register.workers()) == [FIRST]

        await comes_true(second_is_gone)
        changed = replace(FIRST, calls=4, is_draining=True)
        await register.renew(changed, {}, 60)
        assert list(await register.workers()) == [changed]
        await register.leave(FIRST.name)
        assert list(await register.workers()) == []

    async def test_a_token_lets_one_stream_of_its_call_in_once(self, register: Register):
        assert await register.issue(ticket(), 60)
        assert await register.redeem("token-of-CA2", "CA1", FIRST.name) is None
        assert await register.redeem("", "CA1", FIRST.name) is None
        assert await register.redeem("token-of-CA1", "CA2", FIRST.name) is None
        claim = await register.redeem("token-of-CA1", "CA1", SECOND.name)
        assert claim is not None
        assert (claim.kind, claim.base_url, claim.fence) == (StreamKind.NEW, "http://x", 1)
        assert (claim.snapshot, claim.notes) == (None, ())
        assert await register.redeem("token-of-CA1", "CA1", SECOND.name) is None

    async def test_of_many_who_show_a_token_at_once_one_gets_the_call(self, register: Register):
        await register.issue(ticket(), 60)
        names = [f"w{number}" for number in range(8)]
        claims = await asyncio.gather(
            *(register.redeem("token-of-CA1", "CA1", name) for name in names)
        )
        winners = [name for name, claim in zip(names, claims, strict=True) if claim is not None]
        standing = await register.standing("CA1")
        assert standing is not None
        assert winners == [standing.owner]

    async def test_a_token_is_void_when_another_is_issued_or_the_call_is_over(
        self, register: Register
    ):
        await register.issue(ticket(), 60)
        await register.issue(ticket(token="other"), 60)
        assert await register.redeem("token-of-CA1", "CA1", FIRST.name) is None
        assert await register.reserved(FIRST.name) == 1
        await register.void("CA1")
        assert await register.redeem("other", "CA1", FIRST.name) is None
        assert await register.reserved(FIRST.name) == 0

    async def test_a_token_lives_for_its_time_alone(self, register: Register):
        await register.issue(ticket(), 0.05)

        async def no_stream_is_awaited() -> bool:
            return await register.reserved(FIRST.name) == 0

        await comes_true(no_stream_is_awaited)
        # A register of another process has a clock of its own.
        await asyncio.sleep(0.2)
        assert await register.redeem("token-of-CA1", "CA1", FIRST.name) is None

    async def test_slots_are_reserved_by_as_many_as_there_is_room_for(self, register: Register):
        asked = [register.issue(ticket(f"CA{number}"), 60, room=3) for number in range(8)]
        assert sum(await asyncio.gather(*asked)) == 3
        assert await register.reserved(FIRST.name) == 3
        assert await register.issue(ticket("CA8", kind=StreamKind.BACK), 60, room=3)
        assert await register.reserved(FIRST.name) == 3
        assert await register.issue(ticket("CA9", worker=SECOND.name), 60, room=1)
        assert await register.issue(ticket("CA10"), 60, room=None)

    async def test_a_call_whose_stream_comes_again_keeps_its_slot(self, register: Register):
        assert await register.issue(ticket(), 60, room=1)
        assert await register.issue(ticket(token="again"), 60, room=1)
        assert await register.reserved(FIRST.name) == 1

    async def test_a_slot_moves_with_its_call_to_another_worker(self, register: Register):
        await register.issue(ticket(), 60)
        await register.issue(ticket(worker=SECOND.name), 60)
        assert await register.reserved(FIRST.name) == 0
        assert await register.reserved(SECOND.name) == 1

    async def test_whoever_lost_a_call_may_neither_write_nor_end_it(self, register: Register):
        first = await taken(register)
        assert await register.save("CA1", first, b"first", b"", 1)
        second = await taken(register, worker=SECOND.name)
        assert second > first
        assert not await register.save("CA1", first, b"late", b"", 2)
        assert not await register.end("CA1", first, "late", goes_on=False, has_failed=True)
        standing = await register.standing("CA1")
        assert standing is not None
        assert (standing.owner, standing.ended, standing.failures) == (SECOND.name, "", 0)
        await register.issue(ticket(kind=StreamKind.RESUME), 60)
        standing = await register.standing("CA1")
        assert standing is not None
        assert (standing.owner, standing.named) == (SECOND.name, FIRST.name)
        assert standing.has_snapshot
        assert (await register.renew(FIRST, {"CA1": first}, 60)).lost == {"CA1"}
        assert await register.renew(SECOND, {"CA1": second}, 60) == Renewal()
        assert not await register.save("CA-unknown", 1, b"", b"", 1)

    async def test_the_next_owner_gets_what_the_one_before_wrote(self, register: Register):
        fence = await taken(register)
        snapshot = bytes(range(256))
        assert await register.save("CA1", fence, b"older", b"", 1)
        assert await register.save("CA1", fence, snapshot, b"one word", 2)
        assert await register.save("CA1", fence, None, b"two words", 4)
        # One that was late, and is carried out behind it.
        assert await register.save("CA1", fence, b"older", b"one word", 3)
        await register.issue(ticket(kind=StreamKind.RESUME, worker=SECOND.name), 60)
        claim = await register.redeem("token-of-CA1", "CA1", SECOND.name)
        assert claim is not None
        assert (claim.kind, claim.snapshot, claim.fence) == (StreamKind.RESUME, snapshot, fence + 1)
        assert (claim.progress, claim.saved) == (b"two words", 4)

    async def test_a_token_is_good_for_the_fence_at_which_it_was_issued(self, register: Register):
        fence = await taken(register)
        await register.issue(ticket(kind=StreamKind.RESUME, worker=SECOND.name), 60)
        # The call goes on without it, as where the register was gone.
        await register.renew(FIRST, {"CA1": fence + 1}, 60)
        assert await register.redeem("token-of-CA1", "CA1", SECOND.name) is None
        assert await register.renew(FIRST, {"CA1": fence + 1}, 60) == Renewal()

    async def test_the_next_owner_knows_how_long_nobody_has_heard_of_the_one_before(
        self, register: Register
    ):
        await taken(register)
        await asyncio.sleep(0.3)
        await register.note("CA1", "key", b"of somebody else")
        await register.issue(ticket(), 60)
        claim = await register.redeem("token-of-CA1", "CA1", SECOND.name)
        assert claim is not None
        assert 0.25 < claim.silent_secs < 5

    async def test_only_its_owner_takes_a_call_that_comes_back(self, register: Register):
        fence = await taken(register)
        await register.issue(ticket(kind=StreamKind.BACK), 60)
        assert await register.redeem("token-of-CA1", "CA1", SECOND.name) is None
        claim = await register.redeem("token-of-CA1", "CA1", FIRST.name)
        assert claim is not None
        assert (claim.kind, claim.fence) == (StreamKind.BACK, fence)
        assert await register.redeem("token-of-CA1", "CA1", FIRST.name) is None

    async def test_how_a_call_ended_is_known_until_it_is_forgotten(self, register: Register):
        fence = await taken(register)
        await register.save("CA1", fence, b"kept", b"", 1)
        for _ in ("told", "told again"):
            assert await register.end("CA1", fence, "error", goes_on=True, has_failed=True)
        standing = await register.standing("CA1")
        assert standing is not None
        assert (standing.ended, standing.failures, standing.has_snapshot) == ("error", 1, True)
        fence = await taken(register)
        assert await register.end("CA1", fence, "bot hung up", goes_on=False, has_failed=False)
        standing = await register.standing("CA1")
        assert standing is not None
        assert (standing.ended, standing.failures) == ("bot hung up", 1)
        assert not standing.has_snapshot
        await register.forget("CA1")
        assert await register.standing("CA1") is None

    async def test_a_call_that_is_lost_again_and_again_at_once_is_counted(self, register: Register):
        for losses in range(4):
            await taken(register)
            standing = await register.standing("CA1")
            assert standing is not None
            assert standing.quick_losses == losses

    async def test_quick_losses_are_no_news_of_a_call_that_has_lasted_since(
        self, register: Register, monkeypatch: pytest.MonkeyPatch
    ):
        for name in ("memory", "sqlite", "redis"):
            monkeypatch.setattr(f"twilio_frames.fleet.{name}.QUICK_SECS", 0.2)
        await taken(register)
        await taken(register)

        async def has_lasted() -> bool:
            standing = await register.standing("CA1")
            assert standing is not None
            return standing.quick_losses == 0

        assert not await has_lasted()
        await comes_true(has_lasted)

    async def test_callbacks_wait_for_the_next_owner_in_order_and_once(self, register: Register):
        assert await register.note("CA1", "a", b"first")
        assert await register.note("CA1", "b", b"second")
        assert not await register.note("CA1", "a", b"first")
        assert await register.standing("CA1") is None
        await register.issue(ticket(), 60)
        claim = await register.redeem("token-of-CA1", "CA1", FIRST.name)
        assert claim is not None
        assert claim.notes == (b"first", b"second")
        await taken_again(register)

    async def test_an_owner_that_was_not_found_gets_callbacks_with_its_renewal_until_struck(
        self, register: Register
    ):
        fence = await taken(register)
        await register.note("CA1", "a", b"first")
        await register.note("CA1", "b", b"second")
        await register.note("CA2", "a", b"of another")
        for _ in ("told", "the answer was lost"):
            told = await register.renew(FIRST, {"CA1": fence}, 60)
            assert told == Renewal(notes={"CA1": (b"first", b"second")})
        await register.strike("CA1", [b"first"])
        await register.strike("CA1", [b"first"])
        told = await register.renew(FIRST, {"CA1": fence}, 60)
        assert told.notes == {"CA1": (b"second",)}
        await register.strike("CA1", [b"second"])
        await register.strike("CA3", [b"of nobody"])
        assert await register.renew(FIRST, {"CA1": fence}, 60) == Renewal()
        # Who has lost the call gets none, and the next owner what is left.
        await register.note("CA1", "c", b"third")
        await register.issue(ticket(worker=SECOND.name), 60)
        claim = await register.redeem("token-of-CA1", "CA1", SECOND.name)
        assert claim is not None
        assert claim.notes == (b"third",)
        await register.note("CA1", "d", b"fourth")
        assert await register.renew(FIRST, {"CA1": fence}, 60) == Renewal(lost=frozenset({"CA1"}))

    async def test_what_is_too_large_or_too_many_is_not_kept(self, register: Register):
        fence = await taken(register)
        await register.save("CA1", fence, b"fits", b"", 1)
        assert await register.save("CA1", fence, bytes(LARGEST_SNAPSHOT + 1), b"", 2)
        assert not await register.note("CA1", "large", bytes(LARGEST_NOTE + 1))
        for number in range(MOST_NOTES):
            assert await register.note("CA1", str(number), b"")
        assert not await register.note("CA1", "more", b"")
        await register.issue(ticket(), 60)
        claim = await register.redeem("token-of-CA1", "CA1", FIRST.name)
        assert claim is not None
        assert claim.snapshot == b"fits"

    async def test_a_register_that_lost_everything_is_told_by_the_owners(self, register: Register):
        assert await register.renew(FIRST, {"CA1": 4}, 60) == Renewal()
        standing = await register.standing("CA1")
        assert standing is not None
        assert (standing.owner, standing.fence) == (FIRST.name, 4)
        assert await register.save("CA1", 4, b"kept", b"", 1)
        assert await taken(register, worker=SECOND.name) == 5
