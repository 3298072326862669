"""A vendor's WebSocket that is kept up: what happens while it is replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from twilio_frames.services.reconnecting_socket import ReconnectingSocket


class Vendor:
    """Takes the first connection at once, and the second when it is let."""

    def __init__(self):
        self.connections: list[ServerConnection] = []
        self.asked = 0
        self.second_asked = asyncio.Event()
        self.second_let = asyncio.Event()
        self.second_status = HTTPStatus.OK
        self.opened = asyncio.Condition()

    async def handshake(self, connection: ServerConnection, _: Request) -> Response | None:
        self.asked += 1
        if self.asked == 2:
            self.second_asked.set()
            await self.second_let.wait()
            if self.second_status is not HTTPStatus.OK:
                return connection.respond(self.second_status, "")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        async with self.opened:
            self.opened.notify_all()
        async for message in connection:
            await connection.send(message)

    async def has_opened(self, count: int) -> None:
        async with self.opened:
            await self.opened.wait_for(lambda: len(self.connections) >= count)


class Owner:
    """Notes what it is told."""

    def __init__(self):
        self.is_idle = True
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.told: list[str] = []
        self.opens: asyncio.Queue[None] = asyncio.Queue()

    async def on_socket_open(self) -> None:
        self.told.append("open")
        self.opens.put_nowait(None)

    async def on_socket_message(self, message: str | bytes) -> None:
        self.messages.put_nowait(message)

    async def on_socket_lost(self, reason: str) -> None:
        self.told.append("lost")

    async def on_socket_trouble(self, error: Exception) -> None:
        self.told.append("trouble")

    async def on_socket_refused(self, status: int) -> None:
        self.told.append("refused")


class FailingOwner(Owner):
    """Fails once at what it is told, having noted it."""

    def __init__(self, told: str):
        super().__init__()
        tell = getattr(self, told)

        async def fail(*args: str) -> None:
            setattr(self, told, tell)
            await tell(*args)
            raise ValueError("the caller's words")

        setattr(self, told, fail)


@asynccontextmanager
async def kept(vendor: Vendor, owner: Owner) -> AsyncIterator[ReconnectingSocket]:
    """A connection that is being replaced, the vendor taking its time."""
    async with (
        asyncio.timeout(10),
        serve(vendor.serve, "127.0.0.1", 0, process_request=vendor.handshake) as server,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        socket = ReconnectingSocket(owner, url, {}, patience=5.0, renew_secs=0.1)
        running = asyncio.create_task(socket.run())
        try:
            await vendor.second_asked.wait()
            yield socket
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            vendor.second_let.set()


async def test_slow_renewal_deafens_nobody():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as socket:
        assert await socket.send("on the old one")
        assert await owner.messages.get() == "on the old one"
        assert not vendor.second_let.is_set()
        vendor.second_let.set()
        await vendor.connections[0].wait_closed()
        assert await socket.send("on the new one")
        assert await owner.messages.get() == "on the new one"

        assert len(vendor.connections) >= 2
        assert owner.told == ["open"]


async def test_busy_connection_is_not_replaced():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as socket:
        owner.is_idle = False
        vendor.second_let.set()
        await vendor.has_opened(2)
        await vendor.connections[1].wait_closed()
        assert await socket.send("on the old one")
        assert await owner.messages.get() == "on the old one"

        assert owner.told == ["open"]


async def test_refused_renewal_keeps_the_old_one():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as socket:
        vendor.second_status = HTTPStatus.SERVICE_UNAVAILABLE
        vendor.second_let.set()
        assert await socket.send("on the old one")
        assert await owner.messages.get() == "on the old one"

        assert owner.told == ["open"]


async def test_loss_ends_the_renewal():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner) as socket:
        await owner.opens.get()
        vendor.connections[0].transport.abort()
        await owner.opens.get()
        assert await socket.send("on the next one")
        assert await owner.messages.get() == "on the next one"

        assert owner.told == ["open", "lost", "open"]


@pytest.mark.parametrize("told", ["on_socket_open", "on_socket_message", "on_socket_lost"])
async def test_failing_owner_is_told_again(told: str):
    vendor, owner = Vendor(), FailingOwner(told)
    async with kept(vendor, owner) as socket:
        vendor.second_let.set()
        assert await owner.opens.get() is None
        await socket.send("it fails")
        if told == "on_socket_lost":
            socket.break_off()
        await owner.opens.get()
        assert await socket.send("it is told")
        while await owner.messages.get() != "it is told":
            pass

        assert owner.told[:3] == ["open", "lost", "open"]


async def test_end_leaves_no_renewal_behind():
    vendor, owner = Vendor(), Owner()
    async with kept(vendor, owner):
        pass

    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "renew" not in names
