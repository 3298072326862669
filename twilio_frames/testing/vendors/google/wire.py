"""A stretch of wire in front of a server, which can be cut."""

import asyncio
import contextlib


class Wire:
    """Carries connections on to a port of this machine, bytes as they come."""

    def __init__(self) -> None:
        self._target = 0
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port to connect to."""
        if self._server is None:
            raise RuntimeError("expected the server to be entered with `async with`, it was not")
        return self._server.sockets[0].getsockname()[1]

    async def open(self, target: int) -> None:
        """Begins to carry connections.

        Args:
            target: The port they lead to.
        """
        self._target = target
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)

    def drop(self) -> None:
        """Breaks all connections that are open, without a goodbye."""
        for end in tuple(self._ends):
            end.transport.abort()

    async def close(self) -> None:
        """Breaks what is open, and takes no more."""
        if self._server is not None:
            self._server.close()
        self.drop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection("127.0.0.1", self._target)
            ends = {writer, there[1]}
            self._ends |= ends
            try:
                await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
            finally:
                self._ends -= ends
                for end in ends:
                    end.transport.abort()
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    # The other end goes with this one.
    writer.transport.abort()
