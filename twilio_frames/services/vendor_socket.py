"""A WebSocket to a vendor: dialed without a block of the event loop, sent to in bounded time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from pipecat.utils.errors import ErrorCategory, classify_http_status_code
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from twilio_frames.hosts import proxy_for
from twilio_frames.processors.warming import tls_for
from twilio_frames.services.connection_keeper import Failure
from twilio_frames.services.retry_policy import asked_pause

__all__ = ["UNREACHABLE", "VendorSocket", "socket_failure"]

UNREACHABLE = (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI, WebSocketException)
"""What a socket raises that cannot be opened, or is lost."""

# Refusals that another attempt may not meet.
_PASSING = (408, 425, 429)


class VendorSocket:
    """An open connection.

    Args:
        connection: The WebSocket.
        send_secs: How long the other side may take nothing.
    """

    def __init__(self, connection: ClientConnection, *, send_secs: float):
        self.connection = connection
        self._send_secs = send_secs

    @classmethod
    async def open(
        cls,
        url: str,
        headers: Mapping[str, str],
        *,
        open_secs: float,
        send_secs: float = 1.0,
        **options: Any,
    ) -> Self:
        """Dials.

        Args:
            url: The address, ``wss://`` or ``ws://``.
            headers: Of the handshake.
            open_secs: How long it may take.
            send_secs: How long the other side may take nothing later.
            **options: More for ``websockets``.
        """
        # Speech does not get smaller by compression.
        usual = {"compression": None, "close_timeout": 0.5, "proxy": proxy_for(url)}
        connection = await connect(
            url,
            additional_headers=dict(headers),
            ssl=await tls_for(url),
            open_timeout=open_secs,
            **{**usual, **options},
        )
        return cls(connection, send_secs=send_secs)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """What comes, until the connection is lost; raises ``ConnectionClosed`` then."""
        while True:
            yield await self.connection.recv()

    async def send(self, message: str | bytes) -> None:
        """Sends a message.

        Raises:
            TimeoutError: If the other side takes nothing.
            ConnectionClosed: If it is gone.
        """
        async with asyncio.timeout(self._send_secs):
            await self.connection.send(message)

    async def close(self) -> None:
        """Says goodbye, in bounded time."""
        await self.connection.close()

    def break_off(self) -> None:
        """Ends the connection at once."""
        self.connection.transport.abort()


def socket_failure(
    error: Exception, expected: str, *, advice: Mapping[int, str], reason: str = ""
) -> Failure | None:
    """Tells why a socket cannot be opened, or is lost; None for what no socket raises.

    Args:
        error: What it raised.
        expected: What was tried: "expected Deepgram to open a stream".
        advice: What to do, by the HTTP status of a refusal.
        reason: What the vendor says of a refusal.
    """
    match error:
        case InvalidURI():
            # Not the address itself, which may hold a key.
            return Failure(
                text=f"{expected}, got the address of no WebSocket: set one that begins with "
                "ws:// or wss://",
                category=ErrorCategory.INVALID_REQUEST,
                error=error,
                is_final=True,
            )
        case InvalidStatus(response=response):
            status = response.status_code
            is_final = 400 <= status < 500 and status not in _PASSING
            todo = advice.get(status, "see the reason, and change the settings" if is_final else "")
            parts = (f" ({reason})" if reason else "") + (f": {todo}" if todo else "")
            return Failure(
                text=f"{expected}, got HTTP {status}{parts}",
                category=classify_http_status_code(status),
                error=error,
                is_final=is_final,
                wish_secs=asked_pause(response.headers) or 0.0,
            )
        case ConnectionClosed():
            code = f" with {error.rcvd.code}" if error.rcvd is not None else ""
            return Failure(text=f"the connection broke{code}", error=error)
        case _ if isinstance(error, UNREACHABLE):
            return Failure(text=type(error).__name__, error=error)
        case _:
            return None
