"""Which hosts are this machine, and which proxy leads to the others: one rule for the package.

The libraries differ. One obeys ``HTTPS_PROXY`` for plain WebSockets on this very machine, one does
not look at ``ALL_PROXY``, one knows the variables in lower case only, and two ask for none of them.
Here ``HTTPS_PROXY`` is for ``https`` and ``wss``, ``HTTP_PROXY`` for ``http`` and ``ws``,
``ALL_PROXY`` for what neither names, in upper or lower case; ``NO_PROXY`` takes hosts out, and what
runs on this machine is never reached through a proxy.
"""

import inspect
import ipaddress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from websockets.asyncio.client import connect

__all__ = ["is_this_machine", "proxy_for", "socket_proxy"]

_ASKED = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
_SECURE = ("https", "wss")
# From websockets 15 on; before, there was no way through a proxy.
_TAKES_PROXY = "proxy" in inspect.signature(connect.__init__).parameters


def is_this_machine(host: str) -> bool:
    """Tell whether a host name or address is this machine's own, as far as it shows."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def proxy_for(url: str) -> str | None:
    """The proxy that leads to a URL; None to connect at once.

    Args:
        url: With one of the schemes ``http``, ``https``, ``ws``, ``wss``.

    Returns:
        Its URL, with a scheme.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(_ASKED.get(parts.scheme, "")) or proxies.get("all")
    if (
        not proxy
        or is_this_machine(host)
        or proxy_bypass(f"{host}:{parts.port or _port(parts.scheme)}")
    ):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _port(scheme: str) -> int:
    return 443 if scheme in _SECURE else 80


def socket_proxy(url: str) -> dict[str, Any]:
    """What to tell ``websockets`` about the proxy to a URL."""
    return {"proxy": proxy_for(url)} if _TAKES_PROXY else {}
