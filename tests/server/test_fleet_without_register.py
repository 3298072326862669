"""Workers whose register is gone for a while, and what they know without it."""

from dataclasses import replace
from urllib.parse import urlsplit

from tests.server.fleet_of_sites import (
    Broken,
    Fleet,
    Silent,
    carriers,
    far_of,
    killed,
    path_of,
    put_far,
    resumed_at,
    token_of,
    up,
)
from tests.server.site import FORM, Open
from tests.waiting import time_passes
from twilio_frames.call import TOKEN_PARAMETER
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import StreamKind
from twilio_frames.frames import CallEndReason
from twilio_frames.server.fleet.winding_down import wind_down

UP = FORM | {"CallStatus": "in-progress"}


async def test_without_the_register_each_worker_goes_on_alone(open_fleet: Fleet):
    sites = await open_fleet()
    owner, _ = await up(sites)
    put_far(sites, Broken())
    twiml = await sites[0].ask("/twiml", FORM | {"CallSid": "CA2"})
    named, other = carriers(sites, twiml)
    named.bot.arrived.clear()
    await other.start(token_of(twiml), "CA2", path=path_of(twiml))
    await named.bot.arrived.wait()
    assert owner.bot.calls[0].end_reason is None


async def test_a_call_that_is_lost_while_the_register_is_gone_waits_for_it(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    await time_passes(0.5)
    register = far_of(other).register
    await killed(owner)
    put_far([other], Broken())
    await time_passes(1.5)
    waiting, _ = await resumed_at(other, owner)
    assert [verb.tag for verb in waiting] == ["Pause", "Redirect"]
    again = urlsplit(waiting[-1].text or "")
    put_far([other], register)
    await time_passes(1.5)
    goes_on = await other.ask(f"{again.path}?{again.query}", FORM | {"CallStatus": "in-progress"})
    assert goes_on[0].tag == "Connect"


async def test_a_call_waits_for_the_register_for_some_seconds_and_hears_why(
    open_fleet: Fleet, log_lines: list[str]
):
    sites = await open_fleet(doubt_secs=3.0)
    owner, other = await up(sites)
    await time_passes(0.5)
    await killed(owner)
    put_far([other], Broken())
    await time_passes(1.5)
    path = f"/w/{owner.state.fleet.name}/after-stream"
    asked = [await other.ask(f"{path}?waited={secs}", UP) for secs in (2, 3)]
    assert [[verb.tag for verb in twiml] for twiml in asked] == [
        ["Pause", "Redirect"],
        ["Say", "Hangup"],
    ]
    assert any("TWILIO_FRAMES_NEAR_REGISTER" in line and "CA1" in line for line in log_lines)


async def test_no_call_is_handed_over_while_the_register_is_gone(open_fleet: Fleet):
    sites = await open_fleet(hand_over_secs=3.0)
    owner, _ = await up(sites)
    put_far(sites, Broken())
    assert await wind_down(owner.state, 3.0) == 1
    assert owner.bot.calls[0].end_reason is None


async def test_a_call_that_was_taken_while_the_register_was_gone_is_told_to_it(open_fleet: Fleet):
    sites = await open_fleet()
    shared = far_of(sites[0]).register
    put_far(sites, Broken())
    owner, other = await up(sites)
    owner.bot.calls[0].state["order"] = "tea"
    await time_passes(0.5)
    put_far(sites, shared)
    # Nothing more need happen on it.
    await time_passes(2.5)
    standing = await other.state.fleet.standing("CA1")
    assert standing is not None
    assert (standing.owner, standing.has_snapshot) == (owner.state.fleet.name, True)
    assert owner.bot.calls[0].end_reason is None


async def test_no_call_is_resumed_by_whoever_cannot_ask_the_register(open_fleet: Fleet):
    sites = await open_fleet()
    fleet = sites[0].state.fleet
    put_far(sites, Broken())
    assert await fleet.issue("CA1", StreamKind.RESUME, "", room=None) is None
    assert await fleet.issue("CA1", StreamKind.NEW, "", room=None) is not None


async def test_only_those_who_renew_wait_for_a_register_that_says_nothing(open_fleet: Fleet):
    sites = await open_fleet()
    silent = Silent()
    put_far(sites, silent)
    await time_passes(5.0)
    waited = silent.waits
    fleet = sites[0].state.fleet
    assert await fleet.standing("CA1") is None
    assert await fleet.issue("CA1", StreamKind.NEW, "", room=None) is not None
    assert silent.waits == waited


async def test_workers_of_one_machine_go_on_while_the_register_is_gone(open_fleet: Fleet):
    sites = await open_fleet(3, near_register=MemoryRegister())
    owner, _ = await up(sites)
    far = far_of(owner).register
    owner.bot.calls[0].state["cups"] = 1
    await time_passes(0.5)
    put_far(sites, Broken())
    owner.bot.calls[0].state["cups"] = 2
    await time_passes(0.5)
    await killed(owner)
    left = [site for site in sites if site is not owner]
    twiml = await left[0].ask(f"/w/{owner.state.fleet.name}/after-stream", UP)
    second, third = carriers(left, twiml)
    await second.start(token_of(twiml), path=path_of(twiml))
    await second.bot.arrived.wait()
    assert dict(second.bot.calls[-1].state) == {"cups": 2}
    # It is known there who has it now, when the next one is asked; and afterwards everywhere.
    await killed(second)
    put_far([third], far)
    _, call = await resumed_at(third, second)
    assert call is not None
    assert dict(call.state) == {"cups": 2}
    await time_passes(2.5)
    standing = await far.standing("CA1")
    assert standing is not None
    assert (standing.owner, standing.fence) == (third.state.fleet.name, 3)
    assert call.end_reason is None


async def test_calls_are_handed_over_on_one_machine_while_the_register_is_gone(
    open_fleet: Fleet, open_site: Open
):
    sites = await open_fleet(1, hand_over_secs=3.0, near_register=MemoryRegister())
    owner, _ = await up([*sites, *sites])
    put_far(sites, Broken())
    # One that has never reached the register knows its neighbours all the same.
    fleet = replace(owner.state.settings.fleet, register=Broken())
    new = await open_site(fleet=fleet, max_calls=10)
    await time_passes(1.5)
    assert await wind_down(owner.state, 3.0) == 0
    assert owner.bot.calls[0].end_reason is CallEndReason.HANDED_OVER
    _, call = await resumed_at(new, owner)
    assert call is not None


async def test_what_another_machine_may_have_gone_on_with_is_not_believed(open_fleet: Fleet):
    sites = await open_fleet(2, near_register=MemoryRegister())
    owner, other = await up(sites)
    await time_passes(0.5)
    await killed(owner)
    put_far([other], Broken())
    await time_passes(1.5)
    twiml = await other.ask("/w/elsewhere-1/after-stream", FORM | {"CallStatus": "in-progress"})
    assert [verb.tag for verb in twiml] == ["Pause", "Redirect"]


async def test_whoever_takes_a_stream_that_names_another_is_known_by_that_name(open_fleet: Fleet):
    sites = await open_fleet(3, near_register=MemoryRegister())
    twiml = await sites[0].ask()
    named, other = carriers(sites, twiml)
    # It does not know the one that is named: that has just come up.
    other.state.fleet._others.clear()  # type: ignore[reportPrivateUsage]
    await other.start(token_of(twiml), path=path_of(twiml))
    await other.bot.arrived.wait()
    await time_passes(0.5)
    await killed(other)
    left = [site for site in sites if site is not other]
    put_far(left, Broken())
    await time_passes(1.5)
    twiml = await left[0].ask(f"/w/{named.state.fleet.name}/after-stream", UP)
    # The stream that is promised now may not come either, since its worker is gone.
    promised, last = carriers(left, twiml)
    await killed(promised)
    _, call = await resumed_at(last, promised)
    assert call is not None


async def test_a_call_goes_on_though_the_register_is_gone_since_its_twiml(open_fleet: Fleet):
    sites = await open_fleet(2, near_register=MemoryRegister())
    owner, other = await up(sites)
    await time_passes(0.5)
    await killed(owner)
    twiml = await other.ask(f"/w/{owner.state.fleet.name}/after-stream", UP)
    put_far([other], Broken())
    refused = await other.start(token_of(twiml), path=path_of(twiml))
    assert (await refused.receive()).type.name == "CLOSE"
    _, call = await resumed_at(other, other)
    assert call is not None


async def test_a_new_call_whose_token_was_used_up_for_nobody_is_connected_anew(open_fleet: Fleet):
    """The register was gone as its stream came, and takes it for whoever has given up since."""
    sites = await open_fleet()
    twiml = await sites[0].ask("/twiml", FORM)
    named, other = carriers(sites, twiml)
    register = far_of(named).register
    put_far(sites, Broken())
    await time_passes(1.5)
    token = token_of(twiml)[TOKEN_PARAMETER]
    assert await register.redeem(token, "CA1", other.state.fleet.name) is not None
    put_far(sites, register)
    await time_passes(1.5)
    path, tags = f"/w/{named.state.fleet.name}/after-stream", list[list[str]]()
    for _ in range(2):
        tags.append([verb.tag for verb in await named.ask(path, UP)])
        await time_passes(6.0)
    assert tags == [["Pause", "Redirect"], ["Connect", "Hangup"]]


async def test_a_call_whose_connection_is_given_up_has_not_been_hung_up(open_fleet: Fleet):
    sites = await open_fleet()
    owner, other = await up(sites)
    await time_passes(0.5)
    no_callback = b'["status", [["StreamEvent", 5]], "key"]'
    await far_of(other).register.note("CA1", "key", no_callback)
    await killed(owner)
    _, call = await resumed_at(other, owner)
    assert call is not None
    await time_passes(0.5)
    assert call.end_reason is CallEndReason.LINE_LOST
