"""Several servers that carry calls together, in one process: what Twilio asks of them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from xml.etree import ElementTree

from tests.server.site import FORM, Site
from tests.waiting import time_passes
from twilio_frames.call import Call
from twilio_frames.fleet.register import RegisterError
from twilio_frames.server.fleet.reach import Reach

__all__ = [
    "Broken",
    "Fleet",
    "Silent",
    "carriers",
    "far_of",
    "killed",
    "path_of",
    "put_far",
    "resumed_at",
    "token_of",
    "up",
]

Fleet = Callable[..., Awaitable[list[Site]]]


def token_of(twiml: ElementTree.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in twiml[0][0]}


def path_of(twiml: ElementTree.Element) -> str:
    return urlsplit(twiml[0][0].attrib["url"]).path


def carriers(sites: list[Site], twiml: ElementTree.Element) -> tuple[Site, Site]:
    """Who is to carry a call by its TwiML, and one who is not, if there is one."""
    name = path_of(twiml).split("/")[2]
    named = next(site for site in sites if site.state.fleet.name == name)
    return named, next((site for site in sites if site is not named), named)


async def up(sites: list[Site], call_sid: str = "CA1") -> tuple[Site, Site]:
    """Brings a call up; gives who has it, and another worker."""
    twiml = await sites[0].ask("/twiml", FORM | {"CallSid": call_sid})
    owner, other = carriers(sites, twiml)
    await owner.start(token_of(twiml), call_sid, path=path_of(twiml))
    await owner.bot.arrived.wait()
    return owner, other


class Broken:
    """A register that nobody reaches."""

    def __getattr__(self, name: str) -> object:
        raise RegisterError(name)


class Silent:
    """A register that never answers; it counts who waits."""

    def __init__(self) -> None:
        self.waits = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def wait(*_: object) -> None:
            self.waits += 1
            await asyncio.Event().wait()

        return wait


def far_of(site: Site) -> Reach:
    far = site.state.fleet._far  # type: ignore[reportPrivateUsage]
    assert far is not None
    return far


def put_far(sites: list[Site], register: object) -> None:
    """Has another register stand where many machines share one."""
    for site in sites:
        far_of(site).register = register  # type: ignore[assignment]


async def killed(owner: Site) -> None:
    """A worker is gone without a word, its lease has run out, and the others have seen it."""
    fleet = owner.state.fleet
    for reach in (fleet._near, far_of(owner)):  # type: ignore[reportPrivateUsage]
        with contextlib.suppress(RegisterError):
            await reach.register.leave(fleet.name)
        reach.register = Broken()  # type: ignore[assignment]
    await time_passes(1.5)


async def resumed_at(
    asked: Site, before: Site, call_sid: str = "CA1"
) -> tuple[ElementTree.Element, Call | None]:
    """What Twilio is answered by one worker when another one's stream has ended, and the call."""
    form = FORM | {"CallSid": call_sid, "CallStatus": "in-progress"}
    twiml = await asked.ask(f"/w/{before.state.fleet.name}/after-stream", form)
    if twiml[0].tag != "Connect":
        return twiml, None
    asked.bot.arrived.clear()
    await asked.start(token_of(twiml), call_sid, path=path_of(twiml))
    await asked.bot.arrived.wait()
    return twiml, asked.bot.calls[-1]
