"""The page to place a call from, the console, what both are made of, and what they ask."""

import json
from typing import Any

import phonenumbers
from aiohttp import web

from twilio_frames.server.dialing.placing import check_key, needs_key
from twilio_frames.server.incoming import problem, read_body
from twilio_frames.server.page_parts import PageParts, has_softphone
from twilio_frames.server.state import STATE

__all__ = ["console", "front", "number", "part"]

_LONGEST_NUMBER = 40
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


async def number(request: web.Request) -> web.Response:
    """``POST /console/number``: where ``{"number": "..."}`` is, and whether it may be called.

    A number without its country's digits is taken for one of the country of the server's own.
    """
    check_key(request, {})
    try:
        text = json.loads(await read_body(request))["number"]
    except (ValueError, RecursionError, KeyError, TypeError):
        text = None
    if not isinstance(text, str) or len(text) > _LONGEST_NUMBER:
        raise problem(web.HTTPBadRequest, 'expected JSON such as {"number": "+14155550100"}')
    state = request.app[STATE]
    found = _parsed(text, _region(state.settings.phone_number))
    if found is None:
        return web.json_response({"number": None})
    e164 = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    told: dict[str, Any] = {
        "number": e164,
        "shown": phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.INTERNATIONAL),
        "country": phonenumbers.region_code_for_number(found),
        "is_valid": phonenumbers.is_possible_number(found),
        "may_be_called": state.destinations.allow(e164),
    }
    return web.json_response(told)


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _region(own: str | None) -> str | None:
    parsed = _parsed(own, None) if own else None
    return phonenumbers.region_code_for_number(parsed) if parsed is not None else None
