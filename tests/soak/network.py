"""Connections between processes of one process, which break when one of them is killed."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

import aiohttp
from yarl import URL

from tests.soak.processes import Process

__all__ = ["Connector", "Network"]

LATENCY_SECS = 0.001

Find = Callable[[URL], "Listener | None"]


class Listener:
    """Where connections come to.

    Args:
        process: Whose it is.
        make_protocol: Makes a connection's protocol.
    """

    def __init__(self, process: Process, make_protocol: Callable[[], Any]):
        self.process = process
        self.make_protocol = make_protocol


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, protocol: asyncio.Protocol, context: Context, process: Process | None):
        super().__init__({"peername": ("10.0.0.1", 1), "sockname": ("10.0.0.2", 80)})
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._context = context
        self.process = process
        self._is_closed = False
        self._held: list[bytes] | None = None
        self.other: End

    def begin(self) -> None:
        self._context.run(self._protocol.connection_made, self)

    def write(self, data: Any) -> None:
        if not self._is_closed:
            self._to_other(End.came, bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def _to_other(self, step: Callable[..., None], *args: Any) -> None:
        other = self.other
        self._loop.call_later(LATENCY_SECS, step, other, *args, context=other._context)

    def came(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif not self._is_closed:
            self._protocol.data_received(data)

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(ConnectionResetError("aborted"))

    def _end(self, error: Exception | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.call_soon(self._protocol.connection_lost, None, context=self._context)
        self._to_other(End.lost, error)

    def lost(self, error: Exception | None) -> None:
        """The other end is closed."""
        if not self._is_closed:
            self._is_closed = True
            # As with sockets, what came before is taken up first.
            self._loop.call_soon(self._loop.call_soon, self._protocol.connection_lost, error)

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None:
        if self._held is None:
            self._held = []

    def resume_reading(self) -> None:
        held, self._held = self._held or [], None
        for data in held:
            self.came(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def can_write_eof(self) -> bool:
        return False


class Network:
    """Knows who listens where, and who is connected with whom."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        self._ends: dict[Process, list[End]] = {}

    def connect(self, listener: Listener | None, make_protocol: Callable[[], Any]) -> Any:
        """Opens a connection; gives the protocol of this end."""
        if listener is None or listener.process.is_killed:
            raise ConnectionRefusedError
        here, there = make_protocol(), listener.process.context.run(listener.make_protocol)
        end = End(here, copy_context(), None)
        far = End(there, listener.process.context.copy(), listener.process)
        end.other, far.other = far, end
        ends = self._ends.setdefault(listener.process, [])
        ends[:] = [one for one in ends if not one.is_closing()]
        ends.append(far)
        end.begin()
        far.begin()
        return here

    def kill(self, process: Process) -> None:
        """Has the others see that a process is gone."""
        for end in self._ends.pop(process, ()):
            end.abort()


class Connector(aiohttp.BaseConnector):
    """Has an aiohttp session connect within the network.

    Args:
        network: The network.
        find: Who listens at a URL.
        keeps: Whether connections are used again.
    """

    def __init__(self, network: Network, find: Find, *, keeps: bool):
        super().__init__(force_close=not keeps)
        self._network = network
        self._find = find

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        try:
            await asyncio.sleep(LATENCY_SECS)
            return self._network.connect(self._find(req.url), self._factory)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
