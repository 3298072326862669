"""Calls whose line is dead, of which Twilio knows nothing."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.fleet_of_sites import (
    Fleet,
    Silent,
    carriers,
    far_of,
    killed,
    path_of,
    token_of,
    up,
)
from tests.server.site import FORM, Open
from tests.waiting import time_passes
from twilio_frames.call import TOKEN_PARAMETER
from twilio_frames.fleet.register import Lease
from twilio_frames.frames import CallEndReason
from twilio_frames.transport import TwilioParams


class Rest:
    """Takes down which calls are given which webhook."""

    def __init__(self) -> None:
        self.updated: list[tuple[str, str]] = []

    async def update(self, call_sid: str, *, url: str) -> None:
        self.updated.append((call_sid, url))

    async def close(self) -> None:
        return


@pytest.mark.parametrize("owner_is", ["dead", "alive", "handed over"])
async def test_calls_of_a_worker_that_is_gone_without_a_word_are_fetched_back(
    open_fleet: Fleet, owner_is: str
):
    sites = await open_fleet()
    owner, other = await up(sites)
    rest: Any = Rest()
    other.state.rest = rest
    await time_passes(1.5)
    # As a process that stands still, or whose machine has no power.
    register: Any = far_of(other).register
    silent: Any = Silent()
    far_of(owner).register = silent
    if owner_is != "alive":
        other.state.workers.is_silent = silent_for_good  # type: ignore[method-assign]
    if owner_is == "handed over":
        await register.end("CA1", 1, "handed over", goes_on=True, has_failed=False)
    await time_passes(7.0)
    expected = f"{sites[0].url('/w')}/{other.state.fleet.name}/after-stream?fetched=1"
    assert rest.updated == ([("CA1", expected)] if owner_is == "dead" else [])


async def silent_for_good(_: Lease) -> bool:
    return True


async def test_a_new_call_whose_worker_dies_as_it_takes_it_is_connected_anew(open_fleet: Fleet):
    """With the parameters of its webhook, though nothing of it was kept."""
    sites = await open_fleet()
    twiml = await sites[0].ask("/twiml?language=fr&plan=a%26b", FORM)
    owner, other = carriers(sites, twiml)
    action = urlsplit(twiml[0].get("action") or "")
    fleet = owner.state.fleet
    assert await fleet.redeem(token_of(twiml)[TOKEN_PARAMETER], "CA1") is not None
    await killed(owner)
    form = FORM | {"CallStatus": "in-progress"}
    answer = await other.ask(f"{action.path}?{action.query}", form)
    other.bot.arrived.clear()
    await other.start(token_of(answer), path=path_of(answer))
    await other.bot.arrived.wait()
    parameters = other.bot.calls[-1].parameters
    assert (parameters["language"], parameters["plan"]) == ("fr", "a&b")
    assert other.bot.calls[-1].resumed is None


async def test_a_line_that_dies_without_a_word_is_left_by_rest(open_site: Open):
    site = await open_site(transport=TwilioParams(media_timeout_secs=2.0))
    rest: Any = Rest()
    site.state.rest = rest
    await site.start(await site.parameters())
    await site.bot.arrived.wait()
    await time_passes(6.0)
    assert rest.updated == [("CA1", site.url("/after-stream?fetched=1"))]


@pytest.mark.parametrize("asks", ["the rescuer", "the owner"])
@pytest.mark.parametrize("query", ["?fetched=1", ""])
async def test_a_stream_that_twilio_was_asked_to_leave_was_not_hung_up(
    open_fleet: Fleet, asks: str, query: str
):
    """It came up while somebody fetched its caller back from the one before."""
    sites = await open_fleet()
    twiml = await sites[0].ask("/twiml", FORM)
    owner, other = carriers(sites, twiml)
    websocket = await owner.start(token_of(twiml), path=path_of(twiml))
    await owner.bot.arrived.wait()
    await time_passes(0.5)
    await websocket.send_json({"event": "stop", "sequenceNumber": "9", "stop": {}})
    await time_passes(1.0)
    assert owner.bot.calls[0].end_reason is CallEndReason.CALLER_HUNG_UP
    asked = other if asks == "the rescuer" else owner
    form = FORM | {"CallStatus": "in-progress"}
    answer = await asked.ask(f"/w/{other.state.fleet.name}/after-stream{query}", form)
    assert answer[0].tag == ("Connect" if query else "Hangup")
    if query:
        carrier, _ = carriers(sites, answer)
        carrier.bot.arrived.clear()
        await carrier.start(token_of(answer), path=path_of(answer))
        await carrier.bot.arrived.wait()
        assert carrier.bot.calls[-1].resumed is not None


async def test_a_line_whose_loss_twilio_knows_is_not_left_by_rest(open_site: Open):
    site = await open_site()
    rest: Any = Rest()
    site.state.rest = rest
    websocket = await site.start(await site.parameters())
    await site.bot.arrived.wait()
    await websocket.close()
    await site.ask("/after-stream", FORM | {"CallStatus": "in-progress"})
    await time_passes(3.0)
    assert rest.updated == []


async def test_streams_that_do_not_come_any_more_end_in_an_apology(open_fleet: Fleet):
    """The webhooks are reached, and the streams are not."""
    sites = await open_fleet()
    owner, other = await up(sites)
    await time_passes(0.5)
    await killed(owner)
    path, tags = f"/w/{owner.state.fleet.name}/after-stream", list[str]()
    while not tags or tags[-1] != "Say":
        answer = await other.ask(path, FORM | {"CallStatus": "in-progress"})
        tags.append(answer[0].tag)
        target = answer[-1].text if tags[-1] == "Pause" else answer[0].get("action")
        path = "?".join(filter(None, urlsplit(target or "")[2:4]))
        assert len(tags) < 20
    assert tags == ["Connect", "Connect", *["Pause", "Connect"] * 3, "Pause", "Say"]
    assert not await other.state.fleet.reserved()
