"""One face for the WebSockets of aiohttp and of Starlette (FastAPI)."""

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import aiohttp
from aiohttp import web
from loguru import logger

from twilio_frames.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.websockets import WebSocket


class MediaSocket(Protocol):
    """What the media connection asks of a WebSocket.

    Where the other side is gone each web server raises what it likes: whatever it is, the socket is
    taken for closed.
    """

    async def receive(self) -> str | bytes | None:
        """What arrived next; None when the socket is closed."""
        ...

    async def send(self, *texts: str) -> None:
        """Sends text messages, in order; an error if the socket is closed."""
        ...

    async def close(self) -> None:
        """Closes the socket."""
        ...


class AiohttpSocket:
    """A prepared ``aiohttp.web.WebSocketResponse``."""

    def __init__(self, websocket: web.WebSocketResponse):
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        """What arrived next; None when the socket is closed."""
        message = await self._websocket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return cast("str | bytes", message.data)
        return None

    async def send(self, *texts: str) -> None:
        """Sends text messages."""
        for text in texts:
            if self._websocket.closed:
                raise ConnectionResetError("expected an open WebSocket, found it closed")
            await self._websocket.send_str(text)

    async def close(self) -> None:
        """Closes the socket."""
        await self._websocket.close()


class StarletteSocket:
    """An accepted Starlette or FastAPI ``WebSocket``."""

    def __init__(self, websocket: "WebSocket"):
        self._websocket = websocket
        self._closed = False

    async def receive(self) -> str | bytes | None:
        """What arrived next; None when the socket is closed."""
        if self._closed:
            return None
        message = await self._websocket.receive()
        if message["type"] != "websocket.receive":
            self._closed = True
            return None
        text: str | None = message.get("text")
        return text if text is not None else message.get("bytes")

    async def send(self, *texts: str) -> None:
        """Sends text messages."""
        for text in texts:
            await self._websocket.send_text(text)

    async def close(self) -> None:
        """Closes the socket."""
        if not self._closed:
            self._closed = True
            await self._websocket.close()


async def close_in_time(socket: MediaSocket, secs: float, whose: str) -> None:
    """Closes a socket, whatever it does.

    Args:
        socket: The socket.
        secs: How long that may take.
        whose: Whose it is, for the log.
    """
    try:
        async with asyncio.timeout(secs):
            await socket.close()
    except Exception as error:
        logger.debug(f"{whose}: the socket did not close: {type(error).__name__}")


def media_socket(websocket: object) -> MediaSocket:
    """The socket behind a framework's WebSocket object.

    Raises:
        ConfigurationError: If it is neither aiohttp's nor Starlette's, or is not open yet.
    """
    if isinstance(websocket, web.WebSocketResponse):
        if not websocket.prepared:
            raise ConfigurationError(
                "expected a prepared WebSocketResponse, got one that is not: "
                "`await websocket.prepare(request)` first"
            )
        return AiohttpSocket(websocket)
    if hasattr(websocket, "send_text") and hasattr(websocket, "application_state"):
        from starlette.websockets import WebSocketState

        starlette = cast("WebSocket", websocket)
        if starlette.application_state is WebSocketState.CONNECTING:
            raise ConfigurationError(
                "expected an accepted WebSocket, got one that is not: "
                "`await websocket.accept()` first"
            )
        return StarletteSocket(starlette)
    raise ConfigurationError(
        "expected an aiohttp WebSocketResponse or a Starlette WebSocket, got "
        f"{type(websocket).__name__}: pass the object your web framework gave you"
    )
