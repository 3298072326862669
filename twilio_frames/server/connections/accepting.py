"""Taking connections in, also where descriptors run out.

The event loop's own server logs a traceback for each connection that it cannot take for want of
descriptors, thousands a second, and waits a second while others wait for it.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from loguru import logger

from twilio_frames.server.calls.switchboard import describe
from twilio_frames.server.connections import Connections
from twilio_frames.server.refusals import Refusals

__all__ = ["Listener"]

_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Listener:
    """Listens on an address, and gives each connection to a protocol.

    Args:
        make_protocol: Makes a connection's protocol.
        connections: Keeps those that are open.
        refusals: Tells of those that could not be taken.
    """

    _PAUSE_SECS = 0.1
    """Before the next is taken where one could not be."""

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        connections: Connections,
        refusals: Refusals,
    ):
        self._make_protocol = make_protocol
        self._connections = connections
        self._refusals = refusals
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._sockets[0].getsockname()[1]

    async def start(self, host: str, port: int) -> None:
        """Listens.

        Args:
            host: A name or an address; empty for all of this machine's.
            port: The port, 0 for any that is free.

        Raises:
            OSError: If the address cannot be listened on.
            OverflowError: If there is no such port.
        """
        if not 0 <= port <= 65535:
            raise OverflowError(f"expected a port from 0 to 65535, got {port}")
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        missing: OSError | None = None
        for family, _, _, _, address in dict.fromkeys(found):
            # One port for all of a name's addresses.
            asked = (address[0], port or (self.port if self._sockets else 0), *address[2:])
            try:
                self._listen(family, asked)
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    self.close()
                    raise
                missing = error
        if missing and not self._sockets:
            raise missing
        self._tasks = [
            loop.create_task(self._accept(each), name="accept") for each in self._sockets
        ]

    def _listen(self, family: int, address: tuple[str | int, ...]) -> None:
        opened = socket.create_server(address, family=family, backlog=128)
        opened.setblocking(False)
        self._sockets.append(opened)

    def close(self) -> None:
        """Takes no more connections; those that are up stay."""
        for task in self._tasks:
            task.cancel()
        for each in self._sockets:
            each.close()
        self._tasks, self._sockets = [], []

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                await self._pause(error)
            else:
                await self._take(accepted)

    async def _pause(self, error: OSError) -> None:
        """Waits a moment after one that could not be taken, and makes room for the next."""
        if error.errno in _NO_DESCRIPTOR:
            self._refusals.note(
                "a connection, as this process has no descriptor left",
                "raise `ulimit -n`, or lower TWILIO_FRAMES_MAX_CONNECTIONS",
            )
            self._connections.close_oldest()
        await asyncio.sleep(self._PAUSE_SECS)

    async def _take(self, accepted: socket.socket) -> None:
        if not self._connections.make_room():
            accepted.close()
            return
        loop = asyncio.get_running_loop()
        # Whatever one connection raises, the next one is taken.
        try:
            transport, protocol = await loop.connect_accepted_socket(self._make_protocol, accepted)
        except Exception as error:
            accepted.close()
            logger.debug(f"a connection was lost as it came: {describe(error)}")
        else:
            self._connections.add(protocol, transport)
