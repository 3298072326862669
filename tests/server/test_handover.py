"""A connection that one process gives to another, byte for byte."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.waiting import others_run, until
from twilio_frames.server.fleet.handover import given_away, hand_over

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="there are no such sockets"),
]


@pytest.fixture
def taker() -> Iterator[socket.socket]:
    # pytest's own folders may be deeper than the path of a socket can be long.
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        listening.bind(str(Path(folder) / "taker"))
        listening.listen(1)
        listening.setblocking(False)
        yield listening


async def test_what_is_said_before_it_is_let_go_is_for_the_one_that_took_it(taker: socket.socket):
    loop = asyncio.get_running_loop()
    gave: list[bool] = []

    async def give(request: web.Request) -> web.StreamResponse:
        gave.append(await hand_over(request, taker.getsockname()))
        return given_away()

    app = web.Application()
    app.router.add_get("/stream", give)
    async with TestServer(app) as server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        way, _ = await loop.sock_accept(taker)
        await others_run()
        head, (descriptor,), _, _ = socket.recv_fds(way, 65536, 1)
        with way, socket.socket(fileno=descriptor) as taken:
            taken.setblocking(False)
            await loop.sock_sendall(taken, b"yes")
            assert await reader.readexactly(3) == b"yes"
            writer.write(b"hello")
            await writer.drain()
            # The one that gave it is slow to learn that it is taken, and could hear it meanwhile.
            for _ in range(5):
                await others_run()
            assert await loop.sock_recv(taken, 5) == b"hello"
            await loop.sock_sendall(way, b"+")
            await until(lambda: gave)
            writer.write(b"again")
            assert await loop.sock_recv(taken, 5) == b"again"
    assert head.startswith(b"GET /stream HTTP/1.1\r\n")
    assert gave == [True]
    writer.close()
