"""A WebSocket to a bot that costs little: no task, no queue, one buffer for all that is read.

``websockets`` does the protocol (its Sans-I/O layer), asyncio's transport the bytes. A message goes
straight to the socket; what arrives is handed on at once, where the event loop has read it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from twilio_frames.protocol import MAX_MESSAGE
from twilio_frames.testing.calls.connection import HANDSHAKE_SECS
from twilio_frames.testing.calls.facts import Alert
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.streams.upgrade import USER_AGENT

# asyncio reads in pieces of 256 KB, and to allocate one each time costs more than all the rest.
# One buffer can serve all connections: what it holds is copied out before the next read.
_BUFFER = memoryview(bytearray(1 << 16))


class BotSocket(asyncio.BufferedProtocol):
    """One WebSocket, this side being Twilio's.

    Args:
        protocol: What keeps WebSocket's rules.
        headers: Sent with the upgrade.
        receive: Gets each text message; bytes stand for a binary one.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        headers: dict[str, str],
        receive: Callable[[str | bytes], None],
    ):
        self._protocol = protocol
        self._headers = headers
        self._receive = receive
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] = []
        self._is_text = True
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        """Set when the connection is gone, however it went."""
        self.is_blocked = False
        """Whether the bot reads so slowly that nothing more should be sent."""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN and not self.closed.is_set()

    @property
    def close_code(self) -> int:
        """What the bot closed with; 1006 if it did not say, or the connection broke."""
        return self._protocol.close_code or CloseCode.ABNORMAL_CLOSURE

    def send(self, text: bytes) -> None:
        """Sends a text message; does nothing once the connection is closing."""
        if self.is_open:
            self._protocol.send_text(text)
            self._flush()

    async def close(self) -> None:
        """Closes by the handshake, or without it if the bot takes too long."""
        if self.is_open:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await self.closed.wait()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the upgrade."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TCP gives no other
        self._transport = transport
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop reads to."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Takes in what was read."""
        self._protocol.receive_data(bytes(_BUFFER[:nbytes]))
        self._handle_events()

    def eof_received(self) -> bool:
        """Takes in that nothing more will be read."""
        self._protocol.receive_eof()
        self._handle_events()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes in that the connection is gone."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()
        self.closed.set()
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the connection was lost in the upgrade"))

    def pause_writing(self) -> None:
        """Takes in that the bot does not read."""
        self.is_blocked = True

    def resume_writing(self) -> None:
        """Takes in that it does again."""
        self.is_blocked = False

    def _handle_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._handle_frame(event)
        if not self.opened.done():
            self._finish_upgrade()
        self._flush()

    def _finish_upgrade(self) -> None:
        error = self._protocol.handshake_exc
        if error is not None:
            self.opened.set_exception(error)
        elif self._protocol.state is not State.CONNECTING:
            self.opened.set_result(None)

    def _handle_frame(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if not frame.fin or self._fragments:
            self._fragments.append(data)
            if not frame.fin:
                return
            data = b"".join(self._fragments)
            self._fragments.clear()
        self._receive(data.decode("utf-8", "replace") if self._is_text else data)

    def _flush(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is None or transport.is_closing():
                return
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()


async def open_bot_socket(
    url: str, *, signing: Signing, receive: Callable[[str | bytes], None]
) -> BotSocket | Alert:
    """Opens the WebSocket as Twilio does, or says why it could not.

    Args:
        url: From :func:`twilio_frames.testing.streams.upgrade.stream_url`.
        signing: Signs the upgrade.
        receive: Gets each message.
    """
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"} | signing.upgrade_headers(url)
    try:
        async with asyncio.timeout(HANDSHAKE_SECS):
            return await _open(url, headers, receive)
    except TimeoutError:
        return Alert(code=31901, text=f"expected an answer within {HANDSHAKE_SECS:g} s at {url}")
    except InvalidStatus as error:
        status = error.response.status_code
        return Alert(code=31920, text=f"expected HTTP 101, got {status} at {url}")
    except InvalidHandshake:
        return Alert(code=31920, text=f"expected a WebSocket upgrade, got another answer at {url}")
    except (InvalidURI, ValueError):
        return Alert(code=31923, text="expected a stream URL, got a malformed one")
    except OSError:
        return Alert(code=31902, text=f"expected a server that listens at {url}")


async def _open(
    url: str, headers: dict[str, str], receive: Callable[[str | bytes], None]
) -> BotSocket:
    parts = urlsplit(url)
    is_secure = parts.scheme == "wss"
    protocol = ClientProtocol(parse_uri(url), max_size=4 * MAX_MESSAGE)
    socket = BotSocket(protocol, headers, receive)
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: socket,
        parts.hostname or "",
        parts.port or (443 if is_secure else 80),
        ssl=is_secure or None,
    )
    try:
        await socket.opened
    except BaseException:
        transport.abort()
        raise
    return socket
