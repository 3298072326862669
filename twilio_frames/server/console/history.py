"""The calls of the log folder, and their reports."""

import asyncio
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from twilio_frames.errors import ConfigurationError
from twilio_frames.report import page, read_report
from twilio_frames.report.lines import FORMAT, Kind
from twilio_frames.server.addresses import is_same_origin
from twilio_frames.server.console.news import answers_elsewhere, read_json
from twilio_frames.server.dialing.placing import check_key, check_proof, needs_key
from twilio_frames.server.incoming import own_url, problem
from twilio_frames.server.page_parts import REPORT_HEADERS
from twilio_frames.server.state import STATE

__all__ = ["history", "report", "report_address"]

_MOST_LISTED = 200
_TAIL_BYTES = 4096
"""A log's last lines, in which the call's end stands."""
_TICKET_SECS = 600
"""How long a report's address works; long enough to read it and to load it once more."""
_NAME = re.compile(r"([A-Za-z0-9]{1,64})-[A-Za-z0-9]{1,64}\.jsonl")


async def history(request: web.Request) -> web.Response:
    """``GET /console/history``: the last calls of the log folders, the newest first."""
    check_key(request, {})
    folder = request.app[STATE].settings.call_logs
    own = await asyncio.to_thread(_listed, folder) if folder is not None else []
    told = [{"calls": own}, *map(read_json, await answers_elsewhere(request))]
    calls = {call["call_sid"]: call for one in told for call in one["calls"]}
    newest = sorted(calls.values(), key=lambda call: -call["began_at"])[:_MOST_LISTED]
    return web.json_response({"calls": newest})


def _listed(folder: Path) -> list[Mapping[str, Any]]:
    """The newest logs of a folder, as a console shows their calls."""
    found = sorted(_logs(folder), key=lambda log: -log[0])[:_MOST_LISTED]
    return [call for _, path in found if (call := _summary(path)) is not None]


def _logs(folder: Path) -> Iterable[tuple[float, Path]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.stat().st_mtime, Path(entry.path)
    except OSError:
        return


def _summary(path: Path) -> Mapping[str, Any] | None:
    """What a console shows of a log's call; None where it is none, or is not over."""
    try:
        with path.open("rb") as file:
            first = _line(file.readline(_TAIL_BYTES))
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            last = [_line(text) for text in file.read().splitlines()]
        began = datetime.fromisoformat(first["began"]).timestamp()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    named = _NAME.fullmatch(path.name)
    ended = next((line for line in last if line.get("kind") == Kind.ENDED), None)
    if first.get("format") != FORMAT or named is None or ended is None:
        return None
    return {
        "call_sid": named[1],
        "state": "over",
        "stream": "ended",
        "status": None,
        "end_reason": ended.get("reason"),
        "began_at": round(began, 3),
        "ended_at": round(began + ended["t"], 3),
    }


def _line(text: bytes) -> Mapping[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


async def report_address(request: web.Request) -> web.Response:
    """``POST /calls/{sid}/report``: an address of the report for a browser, good for ten minutes.

    A browser can show no key when it opens a page.
    """
    if not is_same_origin(request, own_url(request)):
        raise problem(web.HTTPForbidden, "expected a request from this server's own page")
    check_key(request, {})
    sid = request.match_info["sid"]
    if await _log_of(request, sid) is None and not await answers_elsewhere(request):
        raise _no_log(request)
    until = int(time.time()) + _TICKET_SECS
    ticket = f"?ticket={until}.{_seal(request, sid, until)}" if needs_key(request) else ""
    return web.json_response({"address": f"calls/{sid}/report{ticket}"})


async def report(request: web.Request) -> web.Response:
    """``GET /calls/{sid}/report``: a call's report, made of its log; of one that is up, so far."""
    sid = request.match_info["sid"]
    if "ticket" in request.query:
        check_proof(request, "a ticket that is still good", partial(_is_good, request, sid))
    else:
        check_key(request, {})
    text = await _report(request, sid)
    if text is None:
        raise _no_log(request)
    return web.Response(text=text, content_type="text/html", headers=REPORT_HEADERS)


async def _report(request: web.Request, sid: str) -> str | None:
    """The page; where this worker has no such log, another's."""
    if (log := await _log_of(request, sid)) is not None:
        try:
            return await asyncio.to_thread(lambda: page(read_report(log)))
        except ConfigurationError:
            return None
    return next((answer.text for answer in await answers_elsewhere(request)), None)


async def _log_of(request: web.Request, sid: str) -> Path | None:
    """The newest log of a call: a call that went on with another bot has several."""
    folder = request.app[STATE].settings.call_logs
    if folder is None:
        return None
    logs = await asyncio.to_thread(lambda: [*_logs(folder)])
    return max((log for log in logs if log[1].name.startswith(f"{sid}-")), default=(0, None))[1]


def _no_log(request: web.Request) -> web.HTTPException:
    if request.app[STATE].settings.call_logs is None:
        return problem(
            web.HTTPNotFound, "expected a server that keeps logs: set TWILIO_FRAMES_CALL_LOGS"
        )
    return problem(web.HTTPNotFound, "expected a call with a log, got another")


def _is_good(request: web.Request, sid: str) -> bool:
    """Whether the ticket is one for this report, and still good."""
    until, _, shown = request.query["ticket"].partition(".")
    if not (until.isascii() and until.isdecimal() and time.time() < int(until[:15])):
        return False
    expected = _seal(request, sid, int(until[:15]))
    return hmac.compare_digest(expected.encode(), shown.encode("utf-8", "surrogatepass"))


def _seal(request: web.Request, sid: str, until: int) -> str:
    """Proves a ticket. All workers of an account make the same one, and nobody else does."""
    state = request.app[STATE]
    secret = state.settings.auth_token or state.dial_key or ""
    return hmac.new(secret.encode(), f"report {sid} {until}".encode(), hashlib.sha256).hexdigest()
