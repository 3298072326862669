"""Reading requests: their form or JSON, and the proof that Twilio sent them."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from twilio_frames.server.refusals import shown
from twilio_frames.server.state import STATE, ServerState
from twilio_frames.server.trust import base_url, websocket_url
from twilio_frames.signature import SETTINGS_HEADER, SIGNATURE_HEADER

__all__ = [
    "LARGEST_BODY",
    "Form",
    "check_upgrade",
    "own_url",
    "problem",
    "read_body",
    "read_form",
    "read_sid",
    "read_signed_form",
]

LARGEST_BODY = 64 * 1024
"""Bytes of a request's body; Twilio's webhooks have a few thousand."""

Form = list[tuple[str, str]]
"""A form's parameters in order; a name may come more than once."""

_BODY_SECONDS = 10.0
_MOST_FIELDS = 500
_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def problem(kind: type[web.HTTPException], message: str, **more: Any) -> web.HTTPException:
    """An error answer whose JSON says what was wrong."""
    body = json.dumps({"error": message, **more})
    return kind(text=body, content_type="application/json")


def own_url(request: web.Request) -> str:
    """Where Twilio reaches this server, for the URLs in an answer."""
    settings = request.app[STATE].settings
    return base_url(request, settings.public_url, trust_proxies=settings.trust_proxies)


async def read_body(request: web.Request) -> bytes:
    """Read a request's body, within a size and a time."""
    try:
        return await asyncio.wait_for(request.read(), _BODY_SECONDS)
    except TimeoutError:
        raise problem(web.HTTPRequestTimeout, "expected a body, got none in time") from None
    except web.RequestPayloadError:
        raise problem(web.HTTPBadRequest, "expected a whole body, got a broken one") from None


async def read_form(request: web.Request) -> Form:
    """Read a form; what is none is a 4xx."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise problem(
            web.HTTPUnsupportedMediaType,
            "expected a form (application/x-www-form-urlencoded), as Twilio sends by default",
        )
    body = await read_body(request)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise problem(web.HTTPBadRequest, "expected a form in UTF-8, got something else") from None


async def read_signed_form(request: web.Request) -> Form:
    """Read a webhook's form; 403 unless Twilio signed it."""
    form = await read_form(request)
    state = request.app[STATE]
    if state.validator is not None:
        _check(request, state, [own_url(request) + request.raw_path], form)
    return form


def check_upgrade(request: web.Request) -> None:
    """Refuse with 403 the upgrade to a WebSocket that Twilio did not sign."""
    state = request.app[STATE]
    if state.validator is not None:
        url = websocket_url(own_url(request)) + request.raw_path
        # Twilio opens and signs wss only, also where something in between takes the TLS off.
        _check(request, state, [url, url.replace("ws://", "wss://", 1)], [])


def _check(request: web.Request, state: ServerState, urls: list[str], form: Form) -> None:
    validator = state.validator
    signature = request.headers.get(SIGNATURE_HEADER)
    settings = request.headers.get(SETTINGS_HEADER)
    if validator is None or any(
        validator.is_valid(url, signature, params=form, settings=settings) for url in urls
    ):
        return
    state.refusals.note(
        "a signature of Twilio's missing or wrong",
        "if it was Twilio, check TWILIO_AUTH_TOKEN, and set TWILIO_FRAMES_PUBLIC_URL to the "
        "address Twilio was given",
        came=f"{request.method} {shown(request.path)}",
    )
    raise problem(web.HTTPForbidden, f"expected Twilio's signature in {SIGNATURE_HEADER}")


def read_sid(form: Form, name: str = "CallSid") -> str:
    """A sid from a form; 400 if it is missing or no sid at all."""
    sid = dict(form).get(name, "")
    if not _SID.fullmatch(sid):
        raise problem(web.HTTPBadRequest, f"expected a sid in {name}, got none")
    return sid
