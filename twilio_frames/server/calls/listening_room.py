"""The page of whoever listens in on calls: all of it is on the server, and asks nobody else."""

import html
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from twilio_frames.server.dialing.placing import needs_key
from twilio_frames.server.incoming import problem

__all__ = ["page", "part"]

_KINDS = {".css": "text/css", ".js": "text/javascript"}
_ASSETS = {
    file.name: file.read_text("utf-8")
    for file in (
        files("twilio_frames.report").joinpath("assets", "tokens.css"),
        *files("twilio_frames.server").joinpath("assets").iterdir(),
    )
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def page(request: web.Request) -> web.Response:
    """``GET /listen``: the listening room; what it shows, it is told for the dial key."""
    told = html.escape("true" if needs_key(request) else "false")
    text = _ASSETS["listen.html"].replace("{{needs_key}}", told)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


async def part(request: web.Request) -> web.Response:
    """``GET /listen/{name}``: a part of the page."""
    name = request.match_info["name"]
    kind = _KINDS.get(Path(name).suffix)
    if kind is None or name not in _ASSETS:
        raise problem(web.HTTPNotFound, "expected a part of the listening room, got another")
    return web.Response(text=_ASSETS[name], content_type=kind, headers=_HEADERS)
