"""Where Twilio reaches a server, by the address that it signed a request for.

Between Twilio and the server stand proxies: they take TLS off, cut a path or keep it, and spell
what they pass on in their own way. Twilio signs the address that it was given, so of those that may
have been meant the signature tells which: without a secret nobody can sign one.

Whoever does not sign is believed if the request is this machine's own. It counts as local only if
everything about it is: it comes from a loopback address, names a loopback host, and no proxy or
tunnel has put its mark on it. The host is looked at because a tunnel's end and a rebound DNS name
both arrive from loopback too.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from twilio_frames.hosts import is_this_machine
from twilio_frames.server.refusals import shown
from twilio_frames.signature import (
    SETTINGS_HEADER,
    SIGNATURE_HEADER,
    Parameters,
    SignatureValidator,
)

__all__ = [
    "Asked",
    "Place",
    "is_from_here",
    "is_local",
    "is_reachable",
    "is_same_origin",
    "is_twilios",
    "places",
    "signed_place",
    "source_of",
    "split_target",
    "unsigned_advice",
    "websocket_url",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The address of a request, as it arrived.

    Parameters:
        scheme: ``http``, ``https``, ``ws`` or ``wss``.
        target: Path and query, in the spelling that was sent.
        headers: The headers, whose names may be asked for in any case.
    """

    scheme: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address that may have been meant.

    Parameters:
        base: What stands before all paths of the application, without a slash at the end.
        url: The whole address.
    """

    base: str
    url: str


def split_target(target: str) -> tuple[str, str]:
    """A request's target as path and query, also where a proxy sends the whole URL."""
    if "://" in target.partition("?")[0]:
        _, _, rest = target.partition("://")
        _, slash, rest = rest.partition("/")
        target = slash + rest
    path, _, query = target.partition("?")
    return path or "/", query


def places(asked: Asked, *, public_url: str | None, trust_proxies: bool) -> list[Place]:
    """The addresses that may have been meant, the likeliest first.

    Args:
        asked: The request's address.
        public_url: Where the settings say the application is; then it is nowhere else. A gateway
            may have cut its path off the request's, or kept it.
        trust_proxies: Whether what proxies say of the address is believed without a signature.
    """
    path, query = split_target(asked.target)
    target = f"{path}?{query}" if query else path
    found = _public(public_url, path) if public_url else _named(asked, trust_proxies)
    return [Place(base=base, url=base + target) for base in dict.fromkeys(found)]


def signed_place(
    found: list[Place],
    headers: Mapping[str, str],
    form: Parameters,
    validator: SignatureValidator,
    *,
    is_stream: bool = False,
) -> Place | None:
    """The place that Twilio signed a request for; None if it signed for none of them.

    Args:
        found: Those that may have been meant.
        headers: The request's, whose names may be asked for in any case.
        form: What a POST holds.
        validator: Checks a signature.
        is_stream: Whether the request opens a WebSocket.
    """
    signature, settings = headers.get(SIGNATURE_HEADER), headers.get(SETTINGS_HEADER)
    for place in found:
        urls = [place.url]
        if is_stream:
            plain = websocket_url(place.url)
            # Twilio opens and signs wss only, also where something in between takes the TLS off.
            urls = [plain, plain.replace("ws://", "wss://", 1)]
        for url in dict.fromkeys(urls):
            if validator.is_valid(url, signature, params=form, settings=settings):
                return place
    return None


def unsigned_advice(found: list[Place]) -> str:
    """What to do about a request that is Twilio's, and seems to be signed for none of these."""
    address = found[0].url.partition("?")[0]
    return (
        f"it was taken for a request to {shown(address)}; if it was Twilio, check "
        "TWILIO_AUTH_TOKEN, and set TWILIO_FRAMES_PUBLIC_URL to the address of this application "
        "that Twilio was given, without the webhook's path"
    )


def websocket_url(url: str) -> str:
    """The same URL for a WebSocket."""
    scheme, _, rest = url.partition("://")
    return f"{'wss' if scheme in ('https', 'wss') else 'ws'}://{rest}"


def _public(public_url: str, path: str) -> Iterator[str]:
    base = public_url.rstrip("/")
    parts = urlsplit(base)
    if parts.path and f"{path}/".startswith(f"{parts.path}/"):
        yield urlunsplit(parts._replace(path=""))
    yield base


def _named(asked: Asked, trust_proxies: bool) -> Iterator[str]:
    host, prefix, scheme = asked.headers.get("Host", ""), "", asked.scheme
    if trust_proxies:
        told = _forwarded(asked.headers)
        host, scheme = told.get("host", host), told.get("proto", scheme)
        prefix = _path(_first(asked.headers.get("X-Forwarded-Prefix")))
    other = {"http": "https", "ws": "wss", "https": "http", "wss": "ws"}.get(scheme, "https")
    for front in dict.fromkeys([prefix, ""]):
        yield f"{scheme}://{host}{front}"
        # Most tunnels and proxies take TLS off, and not all of them say so.
        yield f"{other}://{host}{front}"


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """What the nearest to the client of several proxies says of host and scheme."""
    told = dict(_pairs(_first(headers.get("Forwarded"))))
    for name, header in (("host", "X-Forwarded-Host"), ("proto", "X-Forwarded-Proto")):
        if value := _first(headers.get(header)):
            told[name] = value
    if "proto" in told:
        told["proto"] = told["proto"].lower()
    return told


def _pairs(forwarded: str) -> Iterator[tuple[str, str]]:
    for pair in forwarded.split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            yield name.strip().lower(), value.strip().strip('"')


def _first(header: str | None) -> str:
    return (header or "").split(",")[0].strip()


def _path(text: str) -> str:
    return f"/{text.strip('/')}" if text.strip("/") else ""


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


def source_of(headers: Mapping[str, str], remote: str | None, *, trust_proxies: bool) -> str:
    """Whose request it is: an address, or of IPv6 the network that one household has.

    Args:
        headers: Its headers, whose names may be asked for in any case.
        remote: The address that it came from.
        trust_proxies: Whether the nearest proxy is believed about whom it speaks for.
    """
    address = remote or ""
    if trust_proxies:
        # A proxy adds to the list, or another list behind those that a stranger sent it.
        told = [value for name, value in headers.items() if name.lower() == "x-forwarded-for"]
        address = told[-1].rpartition(",")[2].strip() if told else address
    if (ip := _address(address)) is None:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, also with the port that some proxies write behind it."""
    for part in (text, text.rpartition(":")[0].strip("[]")):
        try:
            return ipaddress.ip_address(part)
        except ValueError:
            continue
    return None
