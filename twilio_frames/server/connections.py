"""The connections to the server: those that ask nothing are closed, and there is room for the rest.

A connection costs whoever opens it nothing, and this side a descriptor of which a process has few.
So one that has sent no whole request in time is closed, and when there are as many as there may be,
the one that has been idle for longest makes room for the next: Twilio's requests follow their
connection at once, so it is never theirs.

Where descriptors run out all the same, the event loop's own server logs a traceback for each
connection that it cannot take, thousands a second, and waits a second while others wait for it. So
connections are taken here.
"""

import asyncio
import contextlib
import errno
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from loguru import logger

from twilio_frames.server.calls.switchboard import describe
from twilio_frames.server.refusals import Refusals

__all__ = ["Connections", "Listener", "listening_sockets", "most_connections"]

_DEFAULT_MOST = 4096
_FULL = "a connection, as there are as many as there may be"
_FULL_ADVICE = "to allow more, raise TWILIO_FRAMES_MAX_CONNECTIONS and `ulimit -n`"
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def most_connections() -> int:
    """How many connections a process of this system can bear.

    Half of its descriptors: the other half is for vendors, recordings and logs.
    """
    try:
        import resource
    except ImportError:
        return _DEFAULT_MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _DEFAULT_MOST
    return max(16, min(soft // 2, _DEFAULT_MOST))


@dataclass(slots=True, eq=False)
class _Connection:
    transport: asyncio.Transport
    timer: asyncio.TimerHandle | None = field(default=None)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Connections:
    """Knows which connections carry a request, and closes those that do not in time.

    Args:
        most: How many there may be.
        request_secs: How long a new one may take to send its first request's header.
        keep_alive_secs: How long it may be idle, or take to read its answer, between requests.
        refusals: Tells of those that were turned away.
    """

    def __init__(
        self, *, most: int, request_secs: float, keep_alive_secs: float, refusals: Refusals
    ):
        self._most = most
        self._request_secs = request_secs
        self._keep_alive_secs = keep_alive_secs
        self._refusals = refusals
        self._busy: dict[object, _Connection] = {}
        self._idle: OrderedDict[object, _Connection] = OrderedDict()

    def __len__(self) -> int:
        """How many there are; some that were closed by the other side may still count."""
        return len(self._busy) + len(self._idle)

    def make_room(self) -> bool:
        """Makes room for one more; False if all there are carry requests."""
        if len(self) < self._most:
            return True
        self._refusals.note(_FULL, _FULL_ADVICE)
        return self.close_oldest()

    def close_oldest(self) -> bool:
        """Closes the connection that has been idle for longest; False if none is."""
        while self._idle:
            _, connection = self._idle.popitem(last=False)
            connection.stop_timer()
            if not connection.transport.is_closing():
                connection.transport.abort()
                return True
        return False

    def add(self, protocol: object, transport: asyncio.Transport) -> None:
        """Takes one in: its first request is due."""
        self._wait(protocol, _Connection(transport), self._request_secs)

    @contextlib.contextmanager
    def busy(self, protocol: object) -> Iterator[None]:
        """A request is being carried out on a connection; one that is not known is let be."""
        connection = self._idle.pop(protocol, None)
        if connection is None:
            yield
            return
        connection.stop_timer()
        self._busy[protocol] = connection
        try:
            yield
        finally:
            self._busy.pop(protocol, None)
            if not connection.transport.is_closing():
                self._wait(protocol, connection, self._keep_alive_secs)

    def close(self) -> None:
        """Watches none any longer."""
        for connection in self._idle.values():
            connection.stop_timer()
        self._idle.clear()
        self._busy.clear()

    def _wait(self, protocol: object, connection: _Connection, secs: float) -> None:
        loop = asyncio.get_running_loop()
        connection.timer = loop.call_later(secs, self._give_up, protocol)
        self._idle[protocol] = connection

    def _give_up(self, protocol: object) -> None:
        if connection := self._idle.pop(protocol, None):
            connection.transport.abort()


async def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Opens what is listened on.

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
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        # One port for all of a name's addresses.
        port = port or (sockets[0].getsockname()[1] if sockets else 0)
        try:
            opened = socket.create_server(
                (address[0], port, *address[2:]), family=family, backlog=128
            )
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                for each in sockets:
                    each.close()
                raise
            missing = error
        else:
            opened.setblocking(False)
            sockets.append(opened)
    if missing and not sockets:
        raise missing
    return sockets


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

    def start(self, sockets: Iterable[socket.socket]) -> None:
        """Listens.

        Args:
            sockets: Those that are listened on, which are its own from now on.
        """
        loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        self._tasks = [
            loop.create_task(self._accept(each), name="accept") for each in self._sockets
        ]

    def close(self) -> None:
        """Takes no more connections; those that are up stay."""
        for task in self._tasks:
            task.cancel()
        for each in self._sockets:
            # Before its number is another's: the cancelled task lets go of it too late.
            asyncio.get_running_loop().remove_reader(each)
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
