"""The page of whoever listens in on calls."""

from aiohttp import web

from twilio_frames.server.dialing.placing import needs_key
from twilio_frames.server.page_parts import PageParts, has_softphone

__all__ = ["page", "part"]

_PARTS = PageParts()


async def page(request: web.Request) -> web.Response:
    """``GET /listen``: the listening room; what it shows, it is told for the dial key."""
    return _PARTS.page(
        "listen.html",
        needs_key=_in_script(needs_key(request)),
        has_softphone=_in_script(has_softphone(request)),
    )


def _in_script(is_so: bool) -> str:
    return "true" if is_so else "false"


async def part(request: web.Request) -> web.Response:
    """``GET /listen/{name}``: a part of the page."""
    return _PARTS.part(request.match_info["name"])
