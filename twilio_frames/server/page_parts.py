"""The pages of a server: their files are on it, and a browser is told to ask nobody else."""

import html
import re
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from twilio_frames.server.incoming import problem

__all__ = ["REPORT_HEADERS", "SOFTPHONE", "PageParts", "has_softphone"]

SOFTPHONE = "softphone"
"""The name of the route of a page where one speaks to the bot, where there is one."""

_SHARED = re.compile(r"\{\{(\w+\.html)\}\}")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_KINDS = {".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self)",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# What stands in a report came over the line, and this server's pages know the dial key: so it gets
# an origin of its own. It is a file elsewhere, and brings the rest of its policy.
REPORT_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def has_softphone(request: web.Request) -> bool:
    """Tell whether this server has a page where one speaks to the bot."""
    return SOFTPHONE in request.app.router.named_resources()


class PageParts:
    """The files of a page, those that pages have in common too.

    Args:
        rooms: Packages that have a folder ``assets`` with more of them.
    """

    def __init__(self, *rooms: str):
        report = files("twilio_frames.report").joinpath("assets")
        found = [report.joinpath(name) for name in ("tokens.css", "base.css")]
        for room in ("twilio_frames.server", *rooms):
            found += files(room).joinpath("assets").iterdir()
        self._texts = {file.name: file.read_text("utf-8") for file in found}

    def page(self, name: str, /, **told: str) -> web.Response:
        """A page; what it is told stands in it as ``{{name}}``, what all share as ``{{file}}``."""
        shared = _SHARED.sub(lambda found: self._texts[found[1]], self._texts[name])
        text = _PLACE.sub(lambda found: html.escape(told[found[1]]), shared)
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    def part(self, name: str) -> web.Response:
        """A style sheet or a module of a page; 404 if there is none."""
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in self._texts:
            raise problem(web.HTTPNotFound, "expected a part of this page, got another")
        return web.Response(text=self._texts[name], content_type=kind, headers=_HEADERS)
