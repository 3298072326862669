"""The WebSocket Twilio opens to a bot: with Twilio's headers, signed, and what can go wrong."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from twilio_frames.errors import ConfigurationError
from twilio_frames.hosts import is_this_machine
from twilio_frames.protocol import MAX_MESSAGE
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.signing import Signing

USER_AGENT = "Twilio.TmeWs/1.0"

# aiohttp's attrs class declares its fields in a way that pyright does not read.
_CLOSING = aiohttp.ClientWSTimeout(ws_close=2.0)  # pyright: ignore[reportCallIssue]


_NOT_ALLOWED = (401, 403)
_UNSIGNED = ": is it signed with the auth token that the server has?"


def ringable_scheme(url: str) -> str:
    """The scheme of a URL that can be rung: a webhook's or a stream's.

    Raises:
        ConfigurationError: If it is none.
    """
    try:
        scheme = urlsplit(url).scheme or "no"
    except ValueError:
        raise ConfigurationError(
            "expected a URL, got a malformed one: pass the bot's TwiML webhook or its stream"
        ) from None
    if scheme not in ("http", "https", "ws", "wss"):
        raise ConfigurationError(
            f"expected an http, https, ws or wss URL, got {scheme} scheme: "
            "pass the bot's TwiML webhook or its stream"
        )
    return scheme


def stream_url(url: str) -> str | Alert:
    """The URL Twilio would open for a ``<Stream url>``.

    "The url does not support query string parameters": everything from the ``?`` on is lost.
    Twilio knows ``wss`` only; ``ws`` is let pass for a server on this machine.
    Source: https://www.twilio.com/docs/voice/twiml/stream
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if not host:
        return Alert(code=31923, text="expected a stream URL with a host, got a malformed one")
    if parts.scheme != "wss" and not (parts.scheme == "ws" and is_this_machine(host)):
        return Alert(
            code=31922,
            text=f"expected a wss:// stream URL (ws:// on this machine only), got {parts.scheme}://",
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))


async def open_websocket(
    session: aiohttp.ClientSession, url: str, *, signing: Signing, seconds: float
) -> aiohttp.ClientWebSocketResponse | Alert:
    """Opens the WebSocket as Twilio does, or says why it could not.

    No Origin, no subprotocol, no extension is offered.

    Args:
        session: Must not add headers of its own (see ``simulated_twilio.py``).
        url: From :func:`stream_url`.
        signing: Signs the upgrade.
        seconds: How long the server may take to answer.
    """
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"} | signing.upgrade_headers(url)
    try:
        async with asyncio.timeout(seconds):
            return await session.ws_connect(
                url,
                headers=headers,
                compress=0,
                max_msg_size=4 * MAX_MESSAGE,
                timeout=_CLOSING,
            )
    except TimeoutError:
        return Alert(code=31901, text=f"expected an answer within {seconds:g} s, got none at {url}")
    except aiohttp.WSServerHandshakeError as error:
        return Alert(
            code=31920,
            text=f"expected HTTP 101 (switching protocols), got {error.status} at {url}"
            + (_UNSIGNED if error.status in _NOT_ALLOWED else ""),
        )
    except aiohttp.ClientError as error:
        return _connection_alert(error, url)


def _connection_alert(error: aiohttp.ClientError, url: str) -> Alert:
    match error:
        case aiohttp.InvalidURL():
            return Alert(code=31923, text="expected a stream URL, got a malformed one")
        case aiohttp.ClientConnectorDNSError():
            return Alert(code=31904, text=f"expected a host that can be found, got none at {url}")
        case aiohttp.ClientSSLError():
            return Alert(code=31910, text=f"expected TLS with a valid certificate at {url}")
        case aiohttp.ClientConnectorError():
            return Alert(code=31902, text=f"expected a server that listens, got none at {url}")
        case _:
            return Alert(code=31903, text=f"expected an upgrade, got a lost connection at {url}")
