"""Whom the server believes: Twilio by its signature, this machine by its address, nobody else.

A request counts as local only if everything about it is: it comes from a loopback address, names a
loopback host, and no proxy or tunnel has put its mark on it. The host is looked at because a
tunnel's end and a rebound DNS name both arrive from loopback too.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from twilio_frames.hosts import is_this_machine
from twilio_frames.signature import SIGNATURE_HEADER

__all__ = [
    "is_from_here",
    "is_local",
    "is_reachable",
    "is_same_origin",
    "is_twilios",
]


_PROXY_MARKS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "CF-Connecting-IP",
    "Via",
)


def is_reachable(host: str) -> bool:
    """Tell whether a host name or address may be reached from elsewhere, as far as it shows."""
    name = host.strip("[]").lower().rstrip(".")
    if is_this_machine(name) or name.endswith((".local", ".internal", ".lan")):
        return False
    try:
        return not ipaddress.ip_address(name).is_private
    except ValueError:
        return True


def is_local(request: web.BaseRequest) -> bool:
    """Tell whether a request was made on this machine, for this machine."""
    return is_from_here(request.headers, request.remote)


def is_from_here(headers: Mapping[str, str], remote: str | None) -> bool:
    """Tell the same of a request of any framework.

    Args:
        headers: Its headers, whose names may be asked for in any case.
        remote: The address that it came from.
    """
    if any(mark in headers for mark in _PROXY_MARKS):
        return False
    if not is_this_machine(remote or ""):
        return False
    try:
        named = urlsplit("//" + headers.get("Host", "")).hostname
    except ValueError:
        return False
    return named is not None and is_this_machine(named)


def is_same_origin(request: web.BaseRequest, base: str) -> bool:
    """Tell whether a request comes from this server's own page, or from no page at all.

    Args:
        request: A request.
        base: Where its sender sees this server, which behind a proxy is not what ``Host`` says.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc in (request.headers.get("Host"), urlsplit(base).netloc)
    except ValueError:
        return False


def is_twilios(headers: Mapping[str, str]) -> bool:
    """Tell whether a request looks like one of Twilio's; anybody can make it look so."""
    return SIGNATURE_HEADER in headers or "twilio" in headers.get("User-Agent", "").lower()
