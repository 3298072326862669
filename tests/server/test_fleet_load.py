"""Many calls that come to workers at once: of one that was killed, or that is to stop."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from aiohttp import web

from tests.server.fleet_of_sites import carriers, killed, path_of, token_of, up
from tests.server.site import FORM, Open, Site
from tests.waiting import time_passes
from twilio_frames.call import Call
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Lease
from twilio_frames.frames import CallEndReason
from twilio_frames.server import FleetSettings
from twilio_frames.server.fleet.joining import own_lease
from twilio_frames.server.fleet.winding_down import wind_down
from twilio_frames.transport import TwilioParams

HAND_OVER_SECS = 8.0
More = Callable[[int], Awaitable[list[Site]]]


@pytest.fixture
def open_more(open_site: Open) -> Callable[[int], Awaitable[list[Site]]]:
    """Opens so many workers of one fleet, whose callers say nothing."""
    fleet = FleetSettings(register=MemoryRegister(), hand_over_secs=HAND_OVER_SECS)
    quiet = TwilioParams(close_timeout_secs=0.1, media_timeout_secs=600.0)

    async def open_some(number: int) -> list[Site]:
        sites = [await open_site(fleet=fleet, transport=quiet, max_calls=40) for _ in range(number)]
        await time_passes(1.5)
        return sites

    return open_some


async def one_with_calls(open_more: More, calls: int) -> Site:
    """A worker that has so many calls, and is alone."""
    (owner,) = await open_more(1)
    for place in range(calls):
        await up([owner, owner], f"CA{place}")
    return owner


async def resumed_by(asked: Site, sites: list[Site], number: int) -> list[int]:
    """How many calls each is to go on with, if one of them is asked for all at once."""
    forms = [FORM | {"CallSid": f"CA{n}", "CallStatus": "in-progress"} for n in range(number)]
    answers = await asyncio.gather(*(asked.ask("/after-stream", form) for form in forms))
    taken = Counter(carriers(sites, twiml)[0].state.fleet.name for twiml in answers)
    return [taken[site.state.fleet.name] for site in sites]


async def test_no_call_is_led_to_a_worker_before_it_is_warm(open_site: Open):
    register, is_warm = MemoryRegister(), asyncio.Event()
    fleet = FleetSettings(register=register)
    opening = asyncio.ensure_future(open_site(fleet=fleet, warm_up=is_warm.wait))
    await time_passes(1.0)
    assert not await register.workers()
    is_warm.set()
    await opening
    assert len(await register.workers()) == 1


async def test_the_calls_of_a_worker_that_was_killed_go_to_all_others(open_more: More):
    owner = await one_with_calls(open_more, 8)
    others = await open_more(2)
    await killed(owner)
    assert sorted(await resumed_by(others[0], others, 8)) in ([4, 4], [3, 5])


async def test_a_new_call_goes_to_who_came_while_another_was_asked_in_vain(
    open_more: More, monkeypatch: pytest.MonkeyPatch
):
    asked = await one_with_calls(open_more, 1)
    (halted,) = await open_more(1)
    passing, came = asked.state.workers, list[Site]()
    pass_on = passing.pass_on

    async def pass_on_late(request: web.Request, to: Lease, why: str = "") -> web.Response | None:
        if to.name != halted.state.fleet.name:
            return await pass_on(request, to, why)
        came.extend(await open_more(1))
        asked.state.switchboard.draining = True
        return None

    monkeypatch.setattr(passing, "pass_on", pass_on_late)
    twiml = await asked.ask("/twiml", FORM | {"CallSid": "CA9"})
    assert carriers([asked, halted, *came], twiml)[0] is came[0]


async def test_a_call_does_not_wait_for_a_worker_that_has_too_much_to_do(
    open_more: More, monkeypatch: pytest.MonkeyPatch
):
    owner = await one_with_calls(open_more, 6)
    asked, hung = others = await open_more(2)
    await killed(owner)
    forever = asyncio.Event()
    monkeypatch.setattr(hung.state.fleet, "standing", lambda *_: forever.wait())
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await resumed_by(asked, others, 6) == [6, 0]
    assert 0.5 < loop.time() - began < 1.5


async def test_of_many_at_once_an_idle_worker_does_not_get_all(open_more: More):
    owner = await one_with_calls(open_more, 12)
    (busy, idle) = others = await open_more(2)
    for place in range(8):
        twiml = await busy.ask(
            f"/w/{busy.state.fleet.name}/twiml", FORM | {"CallSid": f"CB{place}"}
        )
        await busy.start(token_of(twiml), f"CB{place}", path=path_of(twiml))
    await killed(owner)
    taken = await resumed_by(idle, others, 12)
    assert taken in ([4, 8], [5, 7])


async def test_how_many_begin_is_told_and_is_no_news_in_a_moment(open_more: More):
    owner = await one_with_calls(open_more, 2)
    await owner.ask("/twiml", FORM | {"CallSid": "CA9"})
    lease = await own_lease(owner.state)
    assert (lease.calls, lease.beginning) == (3, 3)
    await time_passes(1.5)
    lease = await own_lease(owner.state)
    assert (lease.calls, lease.beginning) == (3, 1)


async def test_others_hear_soon_and_once_of_calls_that_begin_together(
    open_more: More, monkeypatch: pytest.MonkeyPatch
):
    told: list[int] = []
    renew = MemoryRegister.renew

    async def counted(self: MemoryRegister, lease: object, calls: object, secs: float) -> object:
        told.append(len(calls))  # type: ignore[arg-type]
        return await renew(self, lease, calls, secs)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryRegister, "renew", counted)
    await one_with_calls(open_more, 6)
    before = len(told)
    await time_passes(0.2)
    # In the near register and in the far one.
    assert told[before:] in ([6, 6], [6] * 4)


async def left_at(owner: Site) -> list[float]:
    """When each call has left a worker that is to stop, in seconds from then."""
    loop, left = asyncio.get_running_loop(), list[float]()

    async def follow(call: Call) -> None:
        await call.line_ended()
        left.append(loop.time() - began)

    following = [asyncio.create_task(follow(call)) for call in owner.bot.calls]
    began = loop.time()
    assert await wind_down(owner.state, HAND_OVER_SECS) == 0
    await asyncio.wait(following)
    assert {call.end_reason for call in owner.bot.calls} == {CallEndReason.HANDED_OVER}
    return left


@pytest.mark.parametrize(("lag_secs", "least", "most"), [(0.0, 0.2, 0.3), (0.2, 0.999, 1.5)])
async def test_calls_are_handed_over_one_after_another_as_those_who_take_them_bear(
    open_more: More, lag_secs: float, least: float, most: float
):
    owner = await one_with_calls(open_more, 3)
    for taker in await open_more(2):
        taker.state.lag = Late(lag_secs)  # type: ignore[assignment]
    await time_passes(1.5)
    left = await left_at(owner)
    pauses = [later - before for before, later in pairwise(left)]
    assert least < min(pauses) <= max(pauses) < most, left


async def test_all_are_handed_over_in_time_however_many_they_are(open_more: More):
    owner = await one_with_calls(open_more, 30)
    await open_more(1)
    left = await left_at(owner)
    assert left[-1] < HAND_OVER_SECS - 2.0
    assert max(later - before for before, later in pairwise(left)) < 0.2


@dataclass
class Late:
    """An event loop that has no time."""

    p95_secs: float
    follow: object = None

    def start(self) -> None:
        """It is measured already."""

    def stop(self) -> None:
        """It stays so."""


async def test_a_call_that_comes_while_others_are_handed_over_is_handed_over_too(open_more: More):
    owner = await one_with_calls(open_more, 1)
    twiml = await owner.ask("/twiml", FORM | {"CallSid": "CA9"})
    await open_more(1)
    stopping = asyncio.create_task(wind_down(owner.state, HAND_OVER_SECS))
    await owner.bot.calls[0].line_ended()
    await owner.start(token_of(twiml), "CA9", path=path_of(twiml))
    assert await stopping == 0
    reasons = [call.end_reason for call in owner.bot.calls]
    assert reasons == [CallEndReason.HANDED_OVER] * 2
