"""The page to place a call from, the console, and what both are made of."""

from aiohttp import web

from twilio_frames.server.dialing.placing import needs_key
from twilio_frames.server.page_parts import PageParts, has_softphone
from twilio_frames.server.state import STATE

__all__ = ["console", "front", "part"]

_PARTS = PageParts()


async def front(request: web.Request) -> web.Response:
    """``GET /``: the page from which one is called."""
    return _page(request, "front.html")


async def console(request: web.Request) -> web.Response:
    """``GET /console``: the console; what it shows, it is told for the dial key."""
    return _page(request, "console.html")


async def part(request: web.Request) -> web.Response:
    """``GET /console/{name}``: a part of these pages."""
    return _PARTS.part(request.match_info["name"])


def _page(request: web.Request, name: str) -> web.Response:
    state = request.app[STATE]
    return _PARTS.page(
        name,
        needs_key=_in_script(needs_key(request)),
        can_dial=_in_script(state.rest is not None and bool(state.settings.phone_number)),
        has_softphone=_in_script(has_softphone(request)),
        has_reports=_in_script(state.settings.call_logs is not None),
    )


def _in_script(is_so: bool) -> str:
    return "true" if is_so else "false"
