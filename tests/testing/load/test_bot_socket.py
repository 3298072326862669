"""The load's own end of a WebSocket, against another library's server."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.waiting import until
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.load.bot_socket import BotSocket, open_bot_socket

SIGNING = Signing(auth_token="token")


@asynccontextmanager
async def connected(handle):
    """A socket to a server that does this with each connection, and what it received."""
    received: list[str | bytes] = []
    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/stream"
        socket = await open_bot_socket(url, signing=SIGNING, receive=received.append)
        assert isinstance(socket, BotSocket)
        try:
            yield socket, received
        finally:
            await socket.close()


async def test_fragments_are_put_together():
    async def handle(connection: ServerConnection) -> None:
        await connection.send(["a", "bc", "d"])
        await connection.send("whole")
        await connection.send(b"binary")
        await connection.wait_closed()

    async with connected(handle) as (_, received):
        await until(lambda: len(received) == 3)

    assert received == ["abcd", "whole", b"binary"]


async def test_ping_is_answered():
    answered = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        await (await connection.ping())
        answered.set()
        await connection.wait_closed()

    async with connected(handle):
        async with asyncio.timeout(5):
            await answered.wait()


async def test_messages_arrive_whole():
    messages: list[str | bytes] = []

    async def handle(connection: ServerConnection) -> None:
        messages.extend([await connection.recv() for _ in sent])
        await connection.wait_closed()

    sent = ["x" * size for size in (1, 125, 126, 65535, 65536, 200_000)]
    async with connected(handle) as (socket, _):
        for text in sent:
            socket.send(text.encode())
        await until(lambda: len(messages) == len(sent))

    assert messages == sent


async def test_bot_that_does_not_read_blocks():
    go_on = asyncio.Event()
    count = 0

    async def handle(connection: ServerConnection) -> None:
        nonlocal count
        await go_on.wait()
        async for _ in connection:
            count += 1

    async with connected(handle) as (socket, _):
        sent = 0
        while not socket.is_blocked:
            socket.send(b"x" * 1000)
            sent += 1
            assert sent < 100_000
        go_on.set()
        await until(lambda: count == sent)
        assert not socket.is_blocked


@pytest.mark.parametrize("code", [1000, 1011])
async def test_close_code_is_known(code: int):
    async def handle(connection: ServerConnection) -> None:
        await connection.close(code)

    async with connected(handle) as (socket, _):
        async with asyncio.timeout(5):
            await socket.closed.wait()
        assert not socket.is_open
        socket.send(b"too late")

    assert socket.close_code == code


async def test_bot_hears_the_closing():
    codes: list[int] = []

    async def handle(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else 0)

    async with connected(handle):
        pass

    assert codes == [1000]


async def test_nobody_there_is_an_alert():
    alert = await open_bot_socket("ws://127.0.0.1:1/", signing=SIGNING, receive=print)

    assert isinstance(alert, Alert)
    assert alert.code == 31902


async def test_other_protocol_is_an_alert():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example.com\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        alert = await open_bot_socket(url, signing=SIGNING, receive=print)

    assert isinstance(alert, Alert)
    assert alert.code == 31920
