"""The page with a number field and a call button."""

import json
import secrets
from importlib import resources

from aiohttp import web

from twilio_frames.server.dialing.placing import needs_key
from twilio_frames.server.state import STATE

__all__ = ["page"]

_PAGE = resources.files("twilio_frames.server").joinpath("page.html").read_text("utf-8")


async def page(request: web.Request) -> web.Response:
    """``GET /``: the page, complete in one answer."""
    state = request.app[STATE]
    nonce = secrets.token_urlsafe(16)
    told = {
        "needsKey": needs_key(request),
        "ready": state.rest is not None and bool(state.settings.phone_number),
    }
    text = _PAGE.replace("{{nonce}}", nonce).replace("{{told}}", json.dumps(told))
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", headers=headers)
