"""Twilio's signature on webhooks and on the WebSocket upgrade: made and checked.

Twilio signs ``URL + sorted form parameters`` with the account's primary auth token
(https://www.twilio.com/docs/usage/security#validating-requests). The URL is the one Twilio
requested, and it is not always the one the server sees:

- over HTTPS Twilio drops user, password *and port* before it signs; over HTTP it keeps the port;
- a WebSocket upgrade is signed as ``wss://``, in some cases with a slash appended to the path;
- proxies and tunnels change scheme and host, which only the caller of this module can undo.

So a signature is compared with each spelling of the URL that Twilio may have signed. That gives
nothing away: all of them name the same resource, and each needs the secret.

``twilio.request_validator.RequestValidator`` is not used because it puts port 80 on ``wss`` URLs,
mangles hosts with a user or an IPv6 address, and raises on a missing signature.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import cast
from urllib.parse import SplitResult, parse_qs, quote, quote_plus, unquote_plus, urlsplit

__all__ = [
    "SignatureValidator",
    "sign",
]

SIGNATURE_HEADER = "X-Twilio-Signature"
"""Carries the signature; Twilio sends it in lower case on an upgrade."""

SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
"""Names the shared key and the algorithm, on accounts that use shared keys."""

HMAC_SHA1 = "HMAC_SHA1"
HMAC_SHA256 = "HMAC_SHA256"

Parameters = Mapping[str, str] | Iterable[tuple[str, str]]
"""Form parameters; pairs where a name may come more than once."""

_HASHES = {HMAC_SHA1: hashlib.sha1, HMAC_SHA256: hashlib.sha256}
_PLAIN_IN_QUERY = "!$'()*,/:;?@"
"""What RFC 3986 lets stand as it is in a query, apart from what parts its fields."""

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def sign(
    secret: str, url: str, params: Parameters | None = None, *, algorithm: str = HMAC_SHA1
) -> str:
    """Sign a request as Twilio does.

    Args:
        secret: The account's auth token, or the secret of a shared key.
        url: The URL as requested, with its query string; ``wss://`` for an upgrade.
        params: The parameters of a form POST; none for GET, JSON and upgrades.
        algorithm: ``HMAC_SHA1``, or ``HMAC_SHA256`` with a shared key.

    Raises:
        ValueError: The algorithm is none of the two.
    """
    if algorithm not in _HASHES:
        raise ValueError(f"expected algorithm {HMAC_SHA1} or {HMAC_SHA256}, got {algorithm!r}")
    # Equal name and value count once, and values of one name are sorted: Twilio's SDKs agree on it.
    signed = url + "".join(name + value for name, value in sorted(set(_pairs(params))))
    digest = hmac.digest(_to_bytes(secret), _to_bytes(signed), _HASHES[algorithm])
    return base64.b64encode(digest).decode("ascii")


def spellings(url: str) -> tuple[str, ...]:
    """List the ways Twilio may have spelled a URL when it signed a request for it.

    With and without port, for ``ws`` and ``wss`` with and without a slash at the end of the path,
    and with the query's characters escaped in each of the usual ways, as a proxy may have spelled
    them anew. User and password are never part of what is signed. A string that is no URL has one
    spelling, itself.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return (url,)
    if not parts.hostname:
        return (url,)
    paths = [parts.path]
    if parts.scheme in ("ws", "wss"):
        paths.append(parts.path[:-1] if parts.path.endswith("/") else parts.path + "/")
    hosts = _host_spellings(parts, port)
    found = (
        parts._replace(netloc=host, path=path, query=query).geturl()
        for query, host, path in product(_query_spellings(parts.query), hosts, paths)
    )
    return tuple(dict.fromkeys(found))


def _query_spellings(query: str) -> list[str]:
    """A query as it is, and as the usual encoders write it."""
    if not ("%" in query or "+" in query):
        return [query]
    pairs = [[unquote_plus(part) for part in pair.split("=", 1)] for pair in query.split("&")]
    encoders = (quote_plus, partial(quote, safe=""), partial(quote, safe=_PLAIN_IN_QUERY))
    spelled = ("&".join("=".join(map(encode, pair)) for pair in pairs) for encode in encoders)
    return [query, *dict.fromkeys(spelled)]


def _host_spellings(parts: SplitResult, port: int | None) -> list[str]:
    host_and_port = parts.netloc.rpartition("@")[2]
    host = host_and_port if port is None else host_and_port.rpartition(":")[0]
    spelled = [host_and_port, host.rstrip(":")]
    if default := _DEFAULT_PORTS.get(parts.scheme):
        spelled.append(f"{host.rstrip(':')}:{default}")
    return spelled


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureValidator:
    """Checks whether a request comes from Twilio.

    Parameters:
        auth_token: The account's primary auth token.
        shared_keys: Secrets of shared keys by their id, for accounts that sign with those
            (https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys).
    """

    auth_token: str = field(repr=False)
    shared_keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def is_valid(
        self,
        url: str,
        signature: str | None,
        *,
        params: Parameters | None = None,
        body: bytes | None = None,
        settings: str | None = None,
    ) -> bool:
        """Tell whether Twilio signed this request; never raises.

        Args:
            url: The URL Twilio was given, as far as it is known here.
            signature: The ``X-Twilio-Signature`` header, None when there was none.
            params: The form's parameters, for a form POST.
            body: The raw body of a POST that is no form. Its SHA-256 must stand in the URL
                as ``bodySHA256``, which is how Twilio signs JSON.
            settings: The ``X-Twilio-Webhooks-Signature-Settings`` header, None without one.
        """
        chosen = self._choose(settings)
        if not signature or chosen is None:
            return False
        if body is not None and not _body_matches(url, body):
            return False
        secret, algorithm = chosen
        pairs = _pairs(params)
        given = _to_bytes(signature)
        matches = [
            hmac.compare_digest(_to_bytes(sign(secret, spelled, pairs, algorithm=algorithm)), given)
            for spelled in spellings(url)
        ]
        return any(matches)

    def _choose(self, settings: str | None) -> tuple[str, str] | None:
        """The secret and algorithm a request claims to be signed with, None if unknown here."""
        if not settings:
            return (self.auth_token, HMAC_SHA1) if self.auth_token else None
        stated = {
            name.strip(): value.strip()
            for name, _, value in (part.partition("=") for part in settings.split(","))
        }
        algorithm = stated.get("algorithm", HMAC_SHA1).upper()
        secret = self.shared_keys.get(stated["key"]) if "key" in stated else self.auth_token
        return (secret, algorithm) if secret and algorithm in _HASHES else None


def _body_matches(url: str, body: bytes) -> bool:
    try:
        stated = parse_qs(urlsplit(url).query).get("bodySHA256", [])
    except ValueError:
        return False
    expected = hashlib.sha256(body).hexdigest().encode("ascii")
    return len(stated) == 1 and hmac.compare_digest(expected, _to_bytes(stated[0].lower()))


def _pairs(params: Parameters | None) -> list[tuple[str, str]]:
    if params is None:
        return []
    if isinstance(params, Mapping):
        return list(cast("Mapping[str, str]", params).items())
    return list(params)


def _to_bytes(text: str) -> bytes:
    # Headers and forms from the network may hold lone surrogates, which plain UTF-8 refuses.
    return text.encode("utf-8", "surrogatepass")
