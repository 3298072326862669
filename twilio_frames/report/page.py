"""The report as one HTML file, which needs nothing but itself."""

import html
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from twilio_frames.report.content import content
from twilio_frames.report.report import Report

EMBED_SECS = 900.0
"""Calls up to this length have their audio in the page, if nothing else is asked for."""

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_STYLES = ("tokens.css", "base.css", "page.css")
_SCRIPTS = (
    "view.js",
    "captions.js",
    "lanes.js",
    "timeline.js",
    "player.js",
    "lists.js",
    "page.js",
)


def page(report: Report, *, beside: Path | None = None, embed: bool | None = None) -> str:
    """The page's text.

    Args:
        report: The report.
        beside: Where the page will lie; a recording that is not embedded is linked from there.
        embed: Whether the recording is part of the page; by default if the call is not longer than
            ``EMBED_SECS``. It takes some half a megabyte a minute.
    """
    recording = report.recording
    embeds = report.seconds <= EMBED_SECS if embed is None else embed
    values = content(report)
    if recording is not None and not embeds and beside is not None:
        values["audioLink"] = _link(recording.path, beside)
    packed = recording.packed() if recording is not None and embeds else ""
    values["hasPacked"] = bool(packed)
    parts = {
        "title": html.escape(f"Call {values['title']}"),
        "style": "".join(map(_asset, _STYLES)),
        "script": "\n".join(map(_asset, _SCRIPTS)),
        "content": _json(values),
        "audio": packed,
    }
    return _PLACE.sub(lambda place: parts[place[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return files("twilio_frames.report").joinpath("assets", name).read_text(encoding="utf-8")


def _json(values: object) -> str:
    # `<` could end the script element, or open a comment in it.
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _link(recording: Path, page_path: Path) -> str:
    relative = os.path.relpath(recording.resolve(), page_path.resolve().parent)
    return quote(Path(relative).as_posix())
