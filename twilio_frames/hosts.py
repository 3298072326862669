"""Which hosts are this machine, and which proxy leads to the others: one rule for the package.

The libraries differ. One obeys ``HTTPS_PROXY`` for plain WebSockets on this very machine, one does
not look at ``ALL_PROXY``, one knows the variables in lower case only, and two ask for none of them.
Here ``HTTPS_PROXY`` is for ``https`` and ``wss``, ``HTTP_PROXY`` for ``http`` and ``ws``,
``ALL_PROXY`` for what neither names, in upper or lower case; ``NO_PROXY`` takes hosts out, and what
runs on this machine is never reached through a proxy.
"""

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["is_this_machine", "proxy_for"]

_ASKED = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
_SECURE = ("https", "wss")


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
