"""A vendor's WebSocket that is kept up as long as a call lasts.

Theory of operation
-------------------
The first connection is opened before anything is to be said. One that is lost is opened again at
once, then after pauses that double, with jitter, so that a thousand calls do not come back in step.
A connection counts as well again when something useful came by it
(:meth:`ReconnectingSocket.prove`) or when it has lasted a while: one that is taken and broken at
once is trouble, too. Trouble beyond the patience is told, and trying goes on.

A vendor may close a connection that was idle for long. So one that nearly has been is replaced,
the new one first: while that is being opened, the old one goes on as before.

An owner that fails at what it is told loses the connection for it, and begins anew with the next
one: no message of a vendor's is to be the last that is read.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Protocol

from loguru import logger
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from twilio_frames.processors.warming import tls_for
from twilio_frames.proxies import socket_proxy
from twilio_frames.safe_logging import report_unforeseen
from twilio_frames.services.patience import asked_pause, pause_after

_LONGEST_RETRY_AFTER = 30.0
_WELL_AFTER_SECS = 5.0
_OPEN_SECS = 5.0
_SEND_SECS = 1.0
_RENEWAL_TICK_SECS = 0.05
_CLOSE_SECS = 0.5
_FINAL = (400, 401, 402, 403, 404)
_UNREACHABLE = (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI)


class SocketOwner(Protocol):
    """Whom a kept socket tells."""

    @property
    def is_idle(self) -> bool:
        """Whether the connection may be replaced."""
        ...

    async def on_socket_open(self) -> None:
        """A connection has been opened."""

    async def on_socket_message(self, message: str | bytes) -> None:
        """A message has come."""

    async def on_socket_lost(self, reason: str) -> None:
        """The connection is gone; another one is tried."""

    async def on_socket_trouble(self, error: Exception) -> None:
        """No connection has been well for longer than the patience; trying goes on.

        Told once, and again for each loss while the owner is not idle.
        """

    async def on_socket_refused(self, status: int) -> None:
        """The vendor will have no connection, for good."""


class ReconnectingSocket:
    """One connection, opened again whenever it is lost.

    Args:
        owner: Who is told.
        url: The address, ``wss://`` or ``ws://``.
        headers: Of the handshake.
        patience: Seconds of trouble after which the owner is told.
        renew_secs: After how long without a message of ours a connection is replaced.
    """

    def __init__(
        self,
        owner: SocketOwner,
        url: str,
        headers: Mapping[str, str],
        *,
        patience: float,
        renew_secs: float,
    ):
        self._owner = owner
        self._url = url
        self._headers = headers
        self._patience = patience
        self._renew_secs = renew_secs
        self._connection: ClientConnection | None = None
        self._opened_at = 0.0
        self._sent_at = 0.0
        self._failures = 0
        self._troubled_since: float | None = None
        self._has_told_trouble = False
        self._is_broken_off = False
        self._renewal: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def prove(self) -> None:
        """Notes that something useful has come by the connection."""
        self._failures = 0
        self._troubled_since = None
        self._has_told_trouble = False

    async def run(self) -> None:
        """Keeps a connection up until it is cancelled, or refused for good."""
        try:
            while True:
                problem = await self._be_connected()
                status = _status_of(problem)
                if status in _FINAL:
                    await self._tell(self._owner.on_socket_refused(status))
                    return
                await self._pause(problem)
        finally:
            await self._end_renewal()
            await self._close()

    async def _be_connected(self) -> Exception:
        """Opens a connection and hands on what comes by it; gives why there is none any more."""
        try:
            self._take_up(await self._open())
        except _UNREACHABLE as error:
            return error
        except Exception as error:
            report_unforeseen(error, "the way to a vendor")
            return error
        if failure := await self._tell(self._owner.on_socket_open()):
            return await self._lose(failure)
        return await self._receive()

    async def _tell(self, told: Awaitable[None]) -> Exception | None:
        """Tells the owner something; gives what it failed of."""
        try:
            await told
        except Exception as error:
            # Whatever it was, the bot is not to fall silent.
            report_unforeseen(error, "a connection to a vendor")
            return error
        return None

    async def send(self, message: str) -> bool:
        """Sends a message; False if it cannot be, and the connection is lost or soon will be."""
        connection = self._connection
        if connection is None:
            return False
        try:
            async with asyncio.timeout(_SEND_SECS):
                await connection.send(message)
        except (ConnectionClosed, TimeoutError):
            self.break_off()
            return False
        self._sent_at = time.monotonic()
        return True

    def break_off(self) -> None:
        """Ends a connection that is of no use, without a goodbye; another one is opened."""
        if self._connection is not None:
            self._is_broken_off = True
            self._connection.transport.abort()

    async def _open(self) -> ClientConnection:
        return await connect(
            self._url,
            additional_headers=dict(self._headers),
            ssl=await tls_for(self._url),
            # Speech does not get smaller by it.
            compression=None,
            open_timeout=_OPEN_SECS,
            close_timeout=_CLOSE_SECS,
            **socket_proxy(self._url),
        )

    def _take_up(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._opened_at = self._sent_at = time.monotonic()

    async def _receive(self) -> Exception:
        """Hands on what comes until the connection is lost; gives the reason."""
        while True:
            connection = self._connection
            if connection is None:
                return ConnectionError("closed")
            due = self._sent_at + self._renew_secs - time.monotonic()
            try:
                async with asyncio.timeout(max(_RENEWAL_TICK_SECS, due)):
                    message = await connection.recv()
            except TimeoutError:
                self._begin_renewal(connection)
                continue
            except ConnectionClosed as error:
                if connection is not self._connection:
                    # It was replaced, and closed for that.
                    continue
                lasted = time.monotonic() - self._opened_at
                if lasted > _WELL_AFTER_SECS and not self._is_broken_off:
                    self.prove()
                return await self._lose(error)
            if failure := await self._tell(self._owner.on_socket_message(message)):
                return await self._lose(failure)

    async def _lose(self, error: Exception) -> Exception:
        """Does without the connection from here on; gives the reason."""
        await self._end_renewal()
        connection, self._connection, self._is_broken_off = self._connection, None, False
        if connection is not None:
            connection.transport.abort()
        await self._tell(self._owner.on_socket_lost(_reason_of(error)))
        return error

    def _begin_renewal(self, old: ClientConnection) -> None:
        is_idle = time.monotonic() - self._sent_at >= self._renew_secs
        if is_idle and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew(old), name="renew")

    async def _renew(self, old: ClientConnection) -> None:
        """Opens another connection and closes the idle one, unless it has come into use."""
        try:
            new = await self._open()
        except _UNREACHABLE as error:
            logger.debug(f"kept the idle connection: {type(error).__name__}")
            self._sent_at = time.monotonic()
            return
        if self._owner.is_idle and self._connection is old:
            self._take_up(new)
            new = old
        try:
            await new.close()
        except asyncio.CancelledError:
            new.transport.abort()
            raise

    async def _end_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait({renewal}, timeout=_CLOSE_SECS)

    async def _pause(self, error: Exception) -> None:
        now = time.monotonic()
        if self._troubled_since is None:
            self._troubled_since = now
        pause = max(pause_after(self._failures), _retry_after(error))
        self._failures += 1
        is_too_much = now + pause - self._troubled_since > self._patience
        if is_too_much and not (self._has_told_trouble and self._owner.is_idle):
            self._has_told_trouble = True
            await self._tell(self._owner.on_socket_trouble(error))
        await asyncio.sleep(pause)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _status_of(error: Exception) -> int:
    if isinstance(error, InvalidURI):
        return 400
    return error.response.status_code if isinstance(error, InvalidStatus) else 0


def _retry_after(error: Exception) -> float:
    if not isinstance(error, InvalidStatus):
        return 0.0
    return min(asked_pause(error.response.headers) or 0.0, _LONGEST_RETRY_AFTER)


def _reason_of(error: Exception) -> str:
    closed = error.rcvd if isinstance(error, ConnectionClosed) else None
    return f"closed with {closed.code}" if closed is not None else "broken off"
