"""The page of whoever listens in on calls."""

from aiohttp import web

from twilio_frames.server.dialing.placing import needs_key
from twilio_frames.server.page_parts import PageParts

__all__ = ["SOFTPHONE", "page", "part"]

SOFTPHONE = "softphone"
"""The name of the route of a page where one speaks to the bot, where there is one."""

_PARTS = PageParts()


async def page(request: web.Request) -> web.Response:
    """``GET /listen``: the listening room; what it shows, it is told for the dial key."""
    has_softphone = SOFTPHONE in request.app.router.named_resources()
    return _PARTS.page(
        "listen.html",
        needs_key=_in_script(needs_key(request)),
        has_softphone=_in_script(has_softphone),
    )


def _in_script(is_so: bool) -> str:
    return "true" if is_so else "false"


async def part(request: web.Request) -> web.Response:
    """``GET /listen/{name}``: a part of the page."""
    return _PARTS.part(request.match_info["name"])
