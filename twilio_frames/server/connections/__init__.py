"""The connections to the server: those that ask nothing are closed, and there is room for the rest.

A connection costs whoever opens it nothing, and this side a descriptor of which a process has few.
So one that has sent no whole request in time is closed, and when there are as many as there may be,
the one that has been idle for longest makes room for the next: Twilio's requests follow their
connection at once, so it is never theirs.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from twilio_frames.server.refusals import Refusals

__all__ = ["Connections", "most_connections"]

_DEFAULT_MOST = 4096
_FULL = "a connection, as there are as many as there may be"
_FULL_ADVICE = "to allow more, raise TWILIO_FRAMES_MAX_CONNECTIONS and `ulimit -n`"


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
