"""Gives a connection to another worker of the same machine, whose call it is for.

Twilio opens a call's stream at an address that names its worker, and whichever worker shares the
port takes the connection. It hands the socket itself over, with the request that came on it: from
then on the other worker has it as if it had been the one to take it, and nothing stands between.
"""

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from loguru import logger

__all__ = ["Handovers", "given_away", "hand_over"]

_LONGEST_HEAD = 64 * 1024
"""Bytes of a request's head; aiohttp takes none that is half as long."""
_PATIENCE_SECS = 1.0
"""How long another worker may take to take a connection."""
_TAKEN = b"+"


class _GivenAway(web.StreamResponse):
    """The answer that somebody else gives."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def given_away() -> web.StreamResponse:
    """What a handler returns whose connection was handed over."""
    return _GivenAway()


async def hand_over(request: web.Request, path: str) -> bool:
    """Hands a request's connection over to the worker that listens on a path.

    Returns:
        Whether it has left here. If not, it can still be answered.
    """
    transport = request.transport
    given = transport.get_extra_info("socket") if transport is not None else None
    is_plain = transport is not None and transport.get_extra_info("sslcontext") is None
    if given is None or transport is None or not is_plain or not path:
        return False
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
        way.setblocking(False)
        has_left = False
        # What Twilio says to the other worker is not for this one, which has the socket for longer.
        transport.pause_reading()
        try:
            async with asyncio.timeout(_PATIENCE_SECS):
                await loop.sock_connect(way, path)
                copy = os.dup(given.fileno())
                try:
                    socket.send_fds(way, [_head(request)], [copy])
                    has_left = True
                finally:
                    os.close(copy)
                if await loop.sock_recv(way, 1) != _TAKEN:
                    logger.warning("a connection that was handed over was not taken")
        except (OSError, TimeoutError) as error:
            logger.debug(f"a connection was not handed over: {type(error).__name__}")
    if has_left:
        # This closes the descriptor of this process alone.
        transport.abort()
    else:
        transport.resume_reading()
    return has_left


def _head(request: web.Request) -> bytes:
    """The request as it came."""
    version = f"HTTP/{request.version.major}.{request.version.minor}"
    lines = [f"{request.method} {request.raw_path} {version}".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    return b"\r\n".join([*lines, b"", b""])


class Handovers:
    """Takes the connections that other workers of this machine hand over.

    Args:
        make_protocol: Makes a connection's protocol, an aiohttp server say.
    """

    def __init__(self, make_protocol: Callable[[], Any]):
        self._make_protocol = make_protocol
        self._listening: socket.socket | None = None
        self._folder = ""
        self._task: asyncio.Task[None] | None = None
        self.path = ""
        """Where it listens; empty where there are no sockets of this kind."""

    def start(self) -> None:
        """Listens, in a folder that is this user's alone."""
        if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "SOCK_SEQPACKET"):
            return
        self._folder = tempfile.mkdtemp(prefix="twilio-frames-")
        path = str(Path(self._folder) / "handover")
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listening.bind(path)
        except OSError as error:
            # A folder for temporary files whose path is too long for a socket, say.
            logger.warning(f"no connections can be handed over: {type(error).__name__}")
            self.close()
            return
        self._listening.listen(64)
        self._listening.setblocking(False)
        self.path = path
        self._task = asyncio.create_task(self._accept(self._listening), name="handovers")

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                way, _ = await loop.sock_accept(listening)
                with way:
                    await self._take(way)
            except (OSError, TimeoutError) as error:
                logger.warning(f"a connection could not be taken over: {type(error).__name__}")
                await asyncio.sleep(0.01)

    async def _take(self, way: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE_SECS):
            await _readable(way)
        head, descriptors, _, _ = socket.recv_fds(way, _LONGEST_HEAD, 1)
        if not descriptors:
            return
        taken = socket.socket(fileno=descriptors[0])
        taken.setblocking(False)
        try:
            _, protocol = await loop.connect_accepted_socket(self._make_protocol, taken)
        except BaseException:
            taken.close()
            raise
        protocol.data_received(head)
        with contextlib.suppress(OSError):
            await loop.sock_sendall(way, _TAKEN)

    def close(self) -> None:
        """Takes no more."""
        if self._task is not None:
            self._task.cancel()
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
        with contextlib.suppress(OSError):
            Path(self._folder, "handover").unlink(missing_ok=True)
            if self._folder:
                Path(self._folder).rmdir()
        self._task, self._listening, self.path = None, None, ""


async def _readable(way: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(way, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(way)
