"""What a worker knows by itself while the register is gone, and tells it then."""

import asyncio
import time
from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.fleet.lossy import LossyRegister
from tests.waiting import time_passes
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Claim, Lease, Standing, StreamKind
from twilio_frames.server import FleetSettings
from twilio_frames.server.fleet.membership import Membership
from twilio_frames.server.fleet.reach import Reach

GONE_SECS = 3.5
"""Until a register that has failed is asked again."""


_numbers = count(1)


@pytest.fixture
def register() -> LossyRegister:
    return LossyRegister()


def member(register: Any, name: str = "w1", near: Any = None) -> Membership:
    settings = FleetSettings(register=register, near_register=near, worker=name)
    return Membership(settings, token_secs=60.0)


async def taken(worker: Membership, kind: StreamKind = StreamKind.NEW) -> Claim:
    token = await worker.issue("CA1", kind, "http://x", room=None)
    assert token is not None
    claim = await worker.redeem(token, "CA1")
    assert claim is not None
    return claim


async def saved(worker: Membership, snapshot: bytes | None, progress: bytes = b"") -> bool:
    """Keeps what another worker would need; gives whether one finds it."""
    number = next(_numbers)
    kept = [
        await place.save(snapshot, progress, number) and place.is_found()
        for place in worker.places("CA1")
    ]
    return any(kept)


async def is_back(register: LossyRegister) -> None:
    register.is_gone = register.loses_answers = False
    await time_passes(GONE_SECS)


async def test_a_token_opens_one_stream_though_the_register_has_heard_of_it_late(
    register: LossyRegister,
):
    worker, other = member(register), member(register, "w2")
    register.loses_answers = True
    token = await worker.issue("CA1", StreamKind.NEW, "http://x", room=None)
    assert token is not None
    await is_back(register)
    assert await worker.redeem(token, "CA1") is not None
    assert await other.redeem(token, "CA1") is None


@pytest.mark.parametrize("is_there_again", [False, True])
async def test_a_call_that_is_known_to_one_worker_alone_goes_on_there(
    register: LossyRegister, *, is_there_again: bool
):
    worker = member(register)
    register.is_gone = True
    await taken(worker)
    assert not await saved(worker, b"kept", b"a word")
    await worker.end("CA1", "line lost", goes_on=True, has_failed=False)
    if is_there_again:
        await is_back(register)
    standing = await worker.standing("CA1")
    assert standing is not None
    assert (standing.ended, standing.has_snapshot) == ("line lost", True)
    claim = await taken(worker, StreamKind.RESUME)
    assert (claim.snapshot, claim.progress) == (b"kept", b"a word")


async def test_what_a_worker_knows_alone_others_know_as_soon_as_the_register_is_back(
    register: LossyRegister,
):
    worker, other = member(register), member(register, "w2")
    register.is_gone = True
    await taken(worker)
    await saved(worker, b"kept", b"a word")
    await is_back(register)
    await worker.renew(Lease(name=worker.name))
    assert not await worker.has_alone("CA1")
    assert await saved(worker, None, b"two words")
    claim = await taken(other, StreamKind.RESUME)
    assert (claim.snapshot, claim.progress) == (b"kept", b"two words")
    assert await worker.renew(Lease(name=worker.name)) == {"CA1"}


async def test_a_call_goes_on_though_the_register_comes_back_while_it_is_asked(
    register: LossyRegister,
):
    class NearRegister(MemoryRegister):
        """Another step of the same worker finds the far register back behind the first question."""

        questions = 0

        async def standing(self, call_sid: str) -> Standing | None:
            self.questions += register.is_gone
            if self.questions == 2:
                register.is_gone = False
                await worker.renew(Lease(name=worker.name))
            return await super().standing(call_sid)

    far: Any = register
    settings = FleetSettings(register=far, near_register=NearRegister(), worker="w1")
    worker = Membership(settings, token_secs=60.0)
    await taken(worker)
    assert await saved(worker, b"kept")
    register.is_gone = True
    await worker.end("CA1", "line lost", goes_on=True, has_failed=False)
    assert (await taken(worker, StreamKind.RESUME)).snapshot == b"kept"
    assert not register.is_gone


@pytest.mark.parametrize("is_asked_first", [False, True])
async def test_how_a_call_ended_while_the_register_was_gone_it_is_told_then(
    register: LossyRegister, *, is_asked_first: bool
):
    worker, other = member(register), member(register, "w2")
    await taken(worker)
    await saved(worker, b"kept")
    register.is_gone = True
    await saved(worker, b"kept later")
    await worker.end("CA1", "line lost", goes_on=True, has_failed=False)
    await is_back(register)
    if is_asked_first:
        await worker.standing("CA1")
    else:
        await worker.renew(Lease(name=worker.name))
    standing = await other.standing("CA1")
    assert standing is not None
    assert standing.ended == "line lost"
    assert (await taken(other, StreamKind.RESUME)).snapshot == b"kept later"


async def test_whether_more_was_said_while_the_register_was_gone_nobody_knows(
    register: LossyRegister,
):
    worker, other = member(register), member(register, "w2")
    await taken(worker)
    await saved(worker, b"kept")
    assert (await taken(worker, StreamKind.RESUME)).silent_secs < 1.0
    register.is_gone = True
    assert await other.standing("CA1") is None
    await is_back(register)
    await other.renew(Lease(name=other.name))
    assert (await taken(other, StreamKind.RESUME)).silent_secs > 4.0


async def test_the_bot_before_writes_nothing_for_the_next_one_of_the_same_worker(
    register: LossyRegister,
):
    worker = member(register)
    await taken(worker)
    before = worker.places("CA1")
    await worker.end("CA1", "error", goes_on=True, has_failed=True)
    await taken(worker, StreamKind.RESUME)
    assert await saved(worker, b"later")
    # Whoever was to hand the call over has waited for a pause meanwhile.
    assert not any([await place.save(b"earlier", b"", 1000) for place in before])
    assert (await taken(worker, StreamKind.RESUME)).snapshot == b"later"


@pytest.mark.parametrize(("workers", "asks"), [(50, 12), (250, 4)])
async def test_many_workers_ask_less_often_for_all_others(
    register: LossyRegister, workers: int, asks: int
):
    for number in range(workers):
        await register.kept.renew(Lease(name=f"other-{number}"), {}, 60.0)
    asked = 0
    whole = register.kept.workers

    async def counted() -> Any:
        nonlocal asked
        asked += 1
        return await whole()

    register.kept.workers = counted
    worker = member(register)
    for _ in range(12):
        await worker.renew(Lease(name=worker.name))
        assert len(worker.others) == workers
    assert asked == asks


async def test_whoever_lost_a_call_does_not_end_it_when_the_register_is_back(
    register: LossyRegister,
):
    worker, other = member(register), member(register, "w2")
    await taken(worker)
    await saved(worker, b"kept")
    register.is_gone = True
    await worker.end("CA1", "bot hung up", goes_on=False, has_failed=False)
    await is_back(register)
    await taken(other, StreamKind.RESUME)
    await worker.renew(Lease(name=worker.name))
    standing = await other.standing("CA1")
    assert standing is not None
    assert (standing.owner, standing.ended) == (other.name, "")


async def test_a_call_that_is_taken_near_by_is_taken_far_away_as_well(register: LossyRegister):
    """So what came for its next owner there is heard of, and nobody else has it by that fence."""
    worker, other = member(register), member(register, "w2")
    await taken(worker)
    await saved(worker, b"kept")
    await worker.end("CA1", "line lost", goes_on=True, has_failed=False)
    register.is_gone = True
    token = await worker.issue("CA1", StreamKind.RESUME, "http://x", room=None)
    await is_back(register)
    await other.note("CA1", "key", b"the stream has ended")
    assert token is not None
    claim = await worker.redeem(token, "CA1")
    assert claim is not None
    assert (claim.notes, claim.snapshot) == ((b"the stream has ended",), b"kept")
    standing = await register.standing("CA1")
    assert standing is not None
    assert (standing.owner, standing.fence) == (worker.name, claim.fence)


async def test_what_others_have_gone_on_with_is_not_believed_without_the_register(
    register: LossyRegister,
):
    worker, other = member(register), member(register, "w2")
    for owner, kind in ((worker, StreamKind.NEW), (other, StreamKind.RESUME)):
        await taken(owner, kind)
        await saved(owner, b"kept")
        await owner.end("CA1", "line lost", goes_on=True, has_failed=False)
    # It answers until it is known how the call stands, and not when the token is issued.
    register.is_gone = True
    for named, is_issued in ((other.name, False), (worker.name, True)):
        token = await worker.issue("CA1", StreamKind.RESUME, "http://x", room=None, named=named)
        assert (token is not None) is is_issued


async def test_a_ticket_that_twilio_was_not_told_of_leaves_no_doubt_whose_a_call_is(
    register: LossyRegister,
):
    """Who was asked first may have issued it, and have been too slow to answer."""
    near = MemoryRegister()
    worker, slow, asked = (member(register, name, near) for name in ("w1", "w2", "w3"))
    await taken(worker)
    await saved(worker, b"kept")
    await worker.end("CA1", "line lost", goes_on=True, has_failed=False)
    register.is_gone = True
    resume = partial(asked.issue, "CA1", StreamKind.RESUME, "http://x", room=None)
    assert await slow.issue("CA1", StreamKind.RESUME, "http://x", room=None, named=worker.name)
    standing = await asked.standing("CA1", worker.name)
    assert standing is not None
    assert await resume(named=worker.name) is not None
    assert await resume(named="w4 of another machine") is None


async def test_the_bot_before_ends_nothing_of_the_next_one_of_the_same_worker(
    register: LossyRegister,
):
    """It may take some seconds to wind up, and its worker may have gone on with the call."""
    worker = member(register)
    before = await taken(worker)
    await saved(worker, b"kept")
    await taken(worker, StreamKind.RESUME)
    await worker.end("CA1", "hung up", goes_on=True, has_failed=False, fence=before.fence)
    assert await saved(worker, b"kept since")
    standing = await worker.standing("CA1")
    assert standing is not None
    assert (standing.ended, standing.fence) == ("", before.fence + 1)


async def test_what_could_not_be_kept_near_by_once_is_kept_with_the_next_word(
    register: LossyRegister,
):
    far: Any = register
    near: Any = LossyRegister()
    fleet = FleetSettings(register=far, near_register=near, worker="w1")
    worker = Membership(fleet, token_secs=60.0)
    await taken(worker)
    for is_gone in (True, False):
        register.is_gone, near.is_gone = True, is_gone
        await saved(worker, b"kept")
    standing = await near.standing("CA1")
    assert standing is not None
    assert standing.has_snapshot


class _CancelledWithResult(asyncio.CancelledError):
    """As raised by the ``wait_for()`` that Pipecat puts in asyncio's place on Python 3.11."""


async def _cancelled_as_it_answers(_: object) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        raise _CancelledWithResult from error
    return "never"


async def test_whoever_asks_lives_on_if_time_is_up_as_the_answer_comes():
    # A worker's lease is renewed by a task that nobody begins anew.
    reach = Reach(MemoryRegister(), 0.5)
    assert await reach.ask(_cancelled_as_it_answers, "nothing", is_probe=True) == "nothing"
    assert reach.is_gone
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_whoever_asks_is_cancelled_if_that_was_ordered():
    reach = Reach(MemoryRegister(), 0.5)
    asking = asyncio.create_task(reach.ask(_cancelled_as_it_answers, "nothing"))
    await time_passes(0.1)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert not reach.is_gone


@pytest.mark.real_time
async def test_a_register_that_has_answered_while_the_loop_was_late_is_there():
    reach = Reach(MemoryRegister(), 0.1)
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(_: object) -> str:
        return await answered

    asking = asyncio.create_task(reach.ask(ask, "nothing"))
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, answered.set_result, "an answer")
    loop.call_later(0.01, time.sleep, 0.3)
    assert await asking == "an answer"
    assert not reach.is_gone
