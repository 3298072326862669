"""Whom the server believes: Twilio by its signature, this machine by its address, nobody else.

A request counts as local only if everything about it is: it comes from a loopback address, names a
loopback host, and no proxy or tunnel has put its mark on it. The host is looked at because a
tunnel's end and a rebound DNS name both arrive from loopback too.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

__all__ = ["base_url", "is_local", "is_loopback", "is_same_origin", "websocket_url"]

_PROXY_MARKS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "CF-Connecting-IP",
    "Via",
)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_local(request: web.BaseRequest) -> bool:
    """Tell whether a request was made on this machine, for this machine."""
    if any(mark in request.headers for mark in _PROXY_MARKS):
        return False
    if not is_loopback(request.remote or ""):
        return False
    try:
        named = urlsplit("//" + request.headers.get("Host", "")).hostname
    except ValueError:
        return False
    return named is not None and is_loopback(named)


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


def base_url(request: web.BaseRequest, public_url: str | None, *, trust_proxies: bool) -> str:
    """Where the sender of a request sees this server, without a slash at the end.

    Args:
        request: A request.
        public_url: What the settings say; it is right without looking any further.
        trust_proxies: Whether a proxy's headers are believed.
    """
    if public_url:
        return public_url.rstrip("/")
    scheme, host = request.scheme, request.headers.get("Host", "")
    if trust_proxies:
        scheme = _first(request.headers.get("X-Forwarded-Proto")) or scheme
        host = _first(request.headers.get("X-Forwarded-Host")) or host
    return f"{scheme}://{host}"


def websocket_url(url: str) -> str:
    """The same URL for a WebSocket."""
    scheme, _, rest = url.partition("://")
    return f"{'wss' if scheme in ('https', 'wss') else 'ws'}://{rest}"


def _first(header: str | None) -> str:
    return (header or "").split(",")[0].strip()
