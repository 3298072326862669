"""Streams of new calls that come when the register is gone, or the server about to stop."""

from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from tests.fleet.lossy import LossyRegister
from tests.server.site import FORM, Open, Site
from tests.waiting import time_passes
from twilio_frames.fleet.register import StreamKind
from twilio_frames.server import FleetSettings
from twilio_frames.server.fleet.membership import Membership

UP = FORM | {"CallStatus": "in-progress"}


async def opened(site: Site, twiml: ElementTree.Element) -> bool:
    """Opens the stream that TwiML asks for; gives whether it is refused."""
    noun = twiml[0][0]
    parameters = {one.attrib["name"]: one.attrib["value"] for one in noun}
    websocket = await site.start(parameters, path=urlsplit(noun.attrib["url"]).path)
    if site.bot.arrived.is_set():
        return True
    return (await websocket.receive()).type.name != "CLOSE"


async def test_it_is_asked_to_come_again_with_what_the_call_was_told(open_site: Open):
    register = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))  # type: ignore[arg-type]
    first = await site.ask("/twiml?lang=de")
    register.is_gone = True
    assert not await opened(site, first)
    second = await site.ask(urlsplit(first[0].attrib["action"]).path, UP)
    await opened(site, second)
    await site.bot.arrived.wait()
    (call,) = site.bot.calls
    assert call.parameters["lang"] == "de"
    assert call.resumed is None


async def test_it_is_not_asked_for_ever(open_site: Open):
    register = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))  # type: ignore[arg-type]
    twiml, streams = await site.ask(), 0
    while twiml[0].tag == "Connect":
        streams += 1
        path = f"{urlsplit(twiml[0][0].attrib['url']).path}"
        websocket = await site.start({"token": "another one"}, path=path)
        assert (await websocket.receive()).type.name == "CLOSE"
        twiml = await site.ask("/after-stream", UP)
    assert streams == 4
    assert [verb.tag for verb in twiml] == ["Say", "Hangup"]


async def test_a_stream_that_was_asked_for_is_taken_by_a_server_that_is_about_to_stop(
    open_site: Open,
):
    site = await open_site()
    twiml = await site.ask()
    await site.state.switchboard.drain(0.0)
    await opened(site, twiml)
    await site.bot.arrived.wait()


async def test_a_call_that_another_worker_has_begun_is_not_begun_anew(open_site: Open):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))
    other = Membership(FleetSettings(register=register, worker="w2"), token_secs=60.0)
    first = await site.ask()
    token = {one.attrib["name"]: one.attrib["value"] for one in first[0][0]}["token"]
    assert await other.redeem(token, "CA1", site.state.fleet.name) is not None
    for place in other.places("CA1"):
        await place.save(b"kept", b"", 1)
    goes_on = await site.ask(f"/w/{site.state.fleet.name}/after-stream", UP)
    register.is_gone = True
    assert not await opened(site, goes_on)
    waits = await site.ask(f"/w/{site.state.fleet.name}/after-stream", UP)
    assert [verb.tag for verb in waits] == ["Pause", "Redirect"]


async def test_one_that_came_to_nobody_is_asked_for_again_as_soon_as_that_is_known(
    open_site: Open,
):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))
    register.is_gone = True
    first = await site.ask()
    assert first[0].tag == "Connect"
    path = f"/w/{site.state.fleet.name}/after-stream"
    waits = await site.ask(path, UP)
    assert [verb.tag for verb in waits] == ["Pause", "Redirect"]
    register.is_gone = False
    await time_passes(2.0)
    # Whoever else may have it has not told the register yet.
    assert [verb.tag for verb in await site.ask(path, UP)] == ["Pause", "Redirect"]
    await time_passes(5.0)
    await opened(site, await site.ask(path, UP))
    await site.bot.arrived.wait()
    assert site.bot.calls[0].resumed is None


@pytest.mark.parametrize(
    ("code", "status", "tag"),
    [("11200", "ringing", "Connect"), ("12100", "ringing", "Say"), ("11205", "in-progress", "Say")],
)
async def test_a_call_whose_first_question_nobody_has_answered_is_taken(
    open_site: Open, code: str, status: str, tag: str
):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register))
    register.is_gone = code == "11200"
    told = await site.ask("/fallback", FORM | {"ErrorCode": code, "CallStatus": status})
    assert told[0].tag == tag


async def test_a_call_of_which_nothing_is_left_is_apologised_for_by_whoever_is_asked(
    open_site: Open,
):
    register: Any = LossyRegister()
    site = await open_site(fleet=FleetSettings(register=register, resumes=False))
    other = Membership(FleetSettings(register=register, worker="w2"), token_secs=60.0)
    token = await other.issue("CA1", StreamKind.NEW, "", room=None)
    assert await other.redeem(token or "", "CA1") is not None
    assert [verb.tag for verb in await site.ask("/after-stream", UP)] == ["Say", "Hangup"]
    await other.end("CA1", "bot hung up", goes_on=False, has_failed=False)
    assert [verb.tag for verb in await site.ask("/after-stream", UP)] == ["Hangup"]
