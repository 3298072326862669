"""Reading requests: their form or JSON, and the proof that Twilio sent them."""

import asyncio
import json
import math
import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from twilio_frames.server.addresses import (
    Asked,
    Place,
    places,
    signed_place,
    source_of,
    split_target,
    unsigned_advice,
)
from twilio_frames.server.refusals import shown
from twilio_frames.server.state import STATE
from twilio_frames.signature import SIGNATURE_HEADER

__all__ = [
    "LARGEST_BODY",
    "MOST_FIELDS",
    "TOLD",
    "Form",
    "check_upgrade",
    "is_signed",
    "own_url",
    "problem",
    "read_body",
    "read_form",
    "read_sid",
    "read_signed_form",
    "source",
    "too_many",
]

LARGEST_BODY = 64 * 1024
"""Bytes of a request's body; Twilio's webhooks have a few thousand."""

Form = list[tuple[str, str]]
"""A form's parameters in order; a name may come more than once."""

TOLD = web.ResponseKey("TOLD", str)
"""Under this an error answer keeps its message, in this program's own words."""

_BASE = web.RequestKey("BASE", str)
_BODY_SECS = 10.0
MOST_FIELDS = 500
"""Fields of a form; Twilio's have some thirty."""

_WORKER = re.compile(r"/w/[A-Za-z0-9._-]{1,80}$")
_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def problem(kind: type[web.HTTPException], message: str, **more: Any) -> web.HTTPException:
    """An error answer whose JSON says what was wrong."""
    body = json.dumps({"error": message, **more})
    error = kind(text=body, content_type="application/json")
    error[TOLD] = message
    return error


def too_many(message: str, wait_secs: float) -> web.HTTPException:
    """An error answer for whoever comes too often."""
    error = problem(web.HTTPTooManyRequests, message)
    error.headers["Retry-After"] = str(math.ceil(wait_secs))
    return error


def source(request: web.Request) -> str:
    """Whose request it is, as far as can be told, see :func:`source_of`."""
    trusts = request.app[STATE].settings.trust_proxies
    return source_of(request.headers, request.remote, trust_proxies=trusts)


def is_signed(request: web.Request) -> bool:
    """Whether Twilio's signature was looked for, and found."""
    return _BASE in request


def own_url(request: web.Request) -> str:
    """Where Twilio reaches this application, for the URLs in an answer, without a slash at the end.

    That is where Twilio signed the request for, once that is checked, else what settings and
    headers say.
    """
    if _BASE in request:
        return request[_BASE]
    return _places(request)[0].base + front(request)


def front(request: web.Request) -> str:
    """What stands in a request's path before the route, such as the path of an outer application.

    Every route's path is one name, before which a worker's may stand (``/w/<worker>``); a slash too
    many changes nothing.
    """
    path, _ = split_target(request.raw_path)
    return _WORKER.sub("", path.rstrip("/").rpartition("/")[0].rstrip("/"))


def _places(request: web.Request) -> list[Place]:
    settings = request.app[STATE].settings
    asked = Asked(scheme=request.scheme, target=request.raw_path, headers=request.headers)
    return places(asked, public_url=settings.public_url, trust_proxies=settings.trust_proxies)


async def read_body(request: web.Request) -> bytes:
    """Read a request's body, within a size and a time."""
    try:
        async with asyncio.timeout(_BODY_SECS):
            return await request.read()
    except TimeoutError:
        raise problem(web.HTTPRequestTimeout, "expected a body, got none in time") from None
    except web.RequestPayloadError:
        raise problem(web.HTTPBadRequest, "expected a whole body, got a broken one") from None


async def read_form(request: web.Request) -> Form:
    """Read a form, which a GET has in its query; what is none is a 4xx."""
    if request.method == "GET":
        return _parse_form(split_target(request.raw_path)[1].encode())
    if request.content_type != "application/x-www-form-urlencoded":
        raise problem(
            web.HTTPUnsupportedMediaType,
            "expected a form (application/x-www-form-urlencoded), as Twilio sends by default",
        )
    return _parse_form(await read_body(request))


def _parse_form(text: bytes) -> Form:
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise problem(web.HTTPBadRequest, "expected a form in UTF-8, got something else") from None


async def read_signed_form(request: web.Request) -> Form:
    """Read a webhook's form; 403 unless Twilio signed it."""
    form = await read_form(request)
    # What stands in the URL is signed with it.
    _check(request, [] if request.method == "GET" else form)
    return form


def check_upgrade(request: web.Request) -> None:
    """Refuse with 403 the upgrade to a WebSocket that Twilio did not sign."""
    _check(request, [], is_stream=True)


def _check(request: web.Request, form: Form, *, is_stream: bool = False) -> None:
    state = request.app[STATE]
    if state.validator is None:
        return
    found = _places(request)
    place = signed_place(found, request.headers, form, state.validator, is_stream=is_stream)
    if place is not None:
        request[_BASE] = place.base + front(request)
        return
    state.refusals.note(
        "a signature of Twilio's missing or wrong",
        unsigned_advice(found),
        came=f"{request.method} {shown(request.path)}",
    )
    raise problem(web.HTTPForbidden, f"expected Twilio's signature in {SIGNATURE_HEADER}")


def read_sid(form: Form, name: str = "CallSid") -> str:
    """A sid from a form; 400 if it is missing or no sid at all."""
    sid = dict(form).get(name, "")
    if not _SID.fullmatch(sid):
        raise problem(
            web.HTTPBadRequest,
            f"expected a sid in {name}, got none: if Twilio was given http:// and is led on to "
            "https://, its form is lost on the way, so give it the https:// address",
        )
    return sid
