"""A WebSocket to a vendor: dialed without a block of the event loop, sent to in bounded time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from twilio_frames.hosts import socket_proxy
from twilio_frames.processors.warming import tls_for
from twilio_frames.services.retry_policy import asked_pause

__all__ = ["UNREACHABLE", "VendorSocket", "status_of", "wish_of"]

UNREACHABLE = (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI, WebSocketException)
"""What a socket raises that cannot be opened, or is lost."""

_CLOSE_SECS = 0.5


class VendorSocket:
    """An open connection.

    Args:
        connection: The WebSocket.
        send_secs: How long the other side may take nothing.
    """

    def __init__(self, connection: ClientConnection, *, send_secs: float = 1.0):
        self.connection = connection
        self._send_secs = send_secs

    @classmethod
    async def open(
        cls, url: str, headers: Mapping[str, str], *, open_secs: float, **options: Any
    ) -> Self:
        """Dials.

        Args:
            url: The address, ``wss://`` or ``ws://``.
            headers: Of the handshake.
            open_secs: How long it may take.
            **options: More for ``websockets``.
        """
        # Speech does not get smaller by compression.
        usual = {"compression": None, "close_timeout": _CLOSE_SECS, **socket_proxy(url)}
        connection = await connect(
            url,
            additional_headers=dict(headers),
            ssl=await tls_for(url),
            open_timeout=open_secs,
            **{**usual, **options},
        )
        return cls(connection)

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


def status_of(error: Exception) -> int:
    """The HTTP status by which a handshake was refused; 400 for no address, 0 for another cause."""
    if isinstance(error, InvalidURI):
        return 400
    return error.response.status_code if isinstance(error, InvalidStatus) else 0


def wish_of(error: Exception) -> float:
    """How many seconds the vendor asks to be left alone."""
    if not isinstance(error, InvalidStatus):
        return 0.0
    return asked_pause(error.response.headers) or 0.0
