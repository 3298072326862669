"""A connection to Deepgram: dialed without a block of the event loop, and given up in time.

Deepgram's client dials too, but makes a TLS context of its own each time (some 50 ms on the event
loop), hides why it was refused, and notices a dead connection after 40 s. So the connection is made
here, and handed to Deepgram's socket client, which knows the messages.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from deepgram import AsyncDeepgramClient
from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from deepgram.listen.v1.types import ListenV1CloseStream, ListenV1Finalize, ListenV1KeepAlive
from pipecat.utils.errors import ErrorCategory, classify_http_status_code
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from twilio_frames.pipecat_internals import deepgram_address
from twilio_frames.processors.warming import tls_for
from twilio_frames.proxies import socket_proxy
from twilio_frames.services.patience import asked_pause

__all__ = ["DeepgramSocket", "Refused", "dial"]

_CLOSE_SECONDS = 0.5
_SEND_SECONDS = 2.0
_LONGEST_REASON = 200
_PASSING = (408, 425, 429)

_ADVICE = {
    401: "set DEEPGRAM_API_KEY to a key of your project",
    402: "add credit to your Deepgram project",
    403: "give the key the right to use this model",
}


class Refused:
    """Deepgram's answer, where it did not open a stream.

    Args:
        error: What the handshake raised.
    """

    def __init__(self, error: InvalidStatus):
        headers = error.response.headers
        self.status = error.response.status_code
        self.reason = headers.get("dg-error", "no reason given")[:_LONGEST_REASON]
        self.retry_after = asked_pause(headers) or 0.0

    @property
    def is_lasting(self) -> bool:
        """Whether it would be the same the next time."""
        return 400 <= self.status < 500 and self.status not in _PASSING

    @property
    def category(self) -> ErrorCategory:
        """Pipecat's word for it."""
        return classify_http_status_code(self.status)

    def __str__(self) -> str:
        advice = _ADVICE.get(self.status, "see the reason, and change the settings")
        text = f"expected Deepgram to open a stream, got HTTP {self.status} ({self.reason})"
        return f"{text}: {advice}" if self.is_lasting else text


class DeepgramSocket:
    """An open connection.

    Args:
        connection: The WebSocket.
    """

    def __init__(self, connection: ClientConnection):
        self._connection = connection
        # It is typed for the websockets of old, and needs of it what there still is.
        self._client = AsyncV1SocketClient(websocket=connection)

    async def messages(self) -> AsyncIterator[Any]:
        """What Deepgram says, as its client reads it, until the connection ends.

        What is no message of Deepgram's is left out or given as it is.

        Raises:
            ConnectionClosedError: If it does not end properly.
        """
        async for message in self._client:
            yield message

    async def send(self, mulaw: bytes) -> None:
        """Sends audio.

        Raises:
            TimeoutError: If the other side takes nothing.
            ConnectionClosed: If it is gone.
        """
        async with asyncio.timeout(_SEND_SECONDS):
            await self._client.send_media(mulaw)

    async def finalize(self) -> None:
        """Asks for what is left to be said of the audio that was sent; raises as ``send()``."""
        async with asyncio.timeout(_SEND_SECONDS):
            await self._client.send_finalize(ListenV1Finalize(type="Finalize"))

    async def keep_alive(self) -> None:
        """Keeps the connection open without audio; raises as ``send()``."""
        async with asyncio.timeout(_SEND_SECONDS):
            await self._client.send_keep_alive(ListenV1KeepAlive(type="KeepAlive"))

    async def say_goodbye(self) -> None:
        """Tells that no more audio comes; raises as ``send()``."""
        async with asyncio.timeout(_CLOSE_SECONDS):
            await self._client.send_close_stream(ListenV1CloseStream(type="CloseStream"))

    def break_off(self) -> None:
        """Ends the connection at once."""
        self._connection.transport.abort()


@asynccontextmanager
async def dial(
    client: AsyncDeepgramClient, query: Mapping[str, Any], *, seconds: float, silence: float
) -> AsyncIterator[DeepgramSocket]:
    """Opens a stream.

    Args:
        client: Whose address, key and other headers are used.
        query: What is asked for.
        seconds: How long opening may take.
        silence: How often a sign of life is asked for, and how long it may take to come, seconds.

    Raises:
        InvalidStatus: If Deepgram answers otherwise; see :class:`Refused`.
        OSError: If it cannot be reached.
        TimeoutError: If it takes too long.
        WebSocketException: If the handshake fails otherwise.
    """
    base, headers = deepgram_address(client)
    url = f"{base}/v1/listen?{urlencode(query, doseq=True)}"
    async with connect(
        url,
        additional_headers=headers,
        # Deepgram's client brings its own; websockets 13 would send both.
        user_agent_header=None,
        open_timeout=seconds,
        ping_interval=silence,
        ping_timeout=silence,
        close_timeout=_CLOSE_SECONDS,
        compression=None,
        ssl=await tls_for(url),
        **socket_proxy(url),
    ) as connection:
        yield DeepgramSocket(connection)
