"""A connection to Deepgram: dialed without a block of the event loop, and given up in time.

Deepgram's client dials too, but makes a TLS context of its own each time (some 50 ms on the event
loop), hides why it was refused, and notices a dead connection after 40 s. So the connection is made
here, and handed to Deepgram's socket client, which knows the messages.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from deepgram import AsyncDeepgramClient
from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from websockets.exceptions import InvalidStatus

from twilio_frames.pipecat_internals import deepgram_address
from twilio_frames.services.connection_keeper import Failure
from twilio_frames.services.vendor_socket import VendorSocket, socket_failure

__all__ = ["DeepgramSocket", "dial", "failure_of"]

_LONGEST_REASON = 200

_ADVICE = {
    401: "set DEEPGRAM_API_KEY to a key of your project",
    402: "add credit to your Deepgram project",
    403: "give the key the right to use this model",
}


def failure_of(error: Exception) -> Failure | None:
    """Tells why there is no stream; None for what no connection raises."""
    reason = ""
    if isinstance(error, InvalidStatus):
        reason = error.response.headers.get("dg-error", "no reason given")[:_LONGEST_REASON]
    return socket_failure(
        error, "expected Deepgram to open a stream", advice=_ADVICE, reason=reason
    )


class DeepgramSocket(VendorSocket):
    """An open connection, as Deepgram's client uses it."""

    async def messages(self) -> AsyncIterator[Any]:
        """What Deepgram says, as its client reads it, until the connection ends.

        What is no message of Deepgram's is left out or given as it is.

        Raises:
            ConnectionClosedError: If it does not end properly.
        """
        # It is typed for the websockets of old, and needs of it what there still is.
        async for message in AsyncV1SocketClient(websocket=self.connection):
            yield message

    async def finalize(self) -> None:
        """Asks for what is left to be said of the audio that was sent; raises as ``send()``."""
        await self.send('{"type": "Finalize"}')

    async def keep_alive(self) -> None:
        """Keeps the connection open without audio; raises as ``send()``."""
        await self.send('{"type": "KeepAlive"}')

    async def say_goodbye(self) -> None:
        """Tells that no more audio comes; raises as ``send()``."""
        await self.send('{"type": "CloseStream"}')


async def dial(
    client: AsyncDeepgramClient, query: Mapping[str, Any], *, open_secs: float, answer_secs: float
) -> DeepgramSocket:
    """Opens a stream.

    Args:
        client: Whose address, key and other headers are used.
        query: What is asked for.
        open_secs: How long opening may take.
        answer_secs: How often a sign of life is asked for, and how long it may take to come.

    Raises:
        InvalidStatus: If Deepgram answers otherwise; see :func:`failure_of`.
        OSError: If it cannot be reached.
        TimeoutError: If it takes too long.
        WebSocketException: If the handshake fails otherwise.
    """
    base, headers = deepgram_address(client)
    return await DeepgramSocket.open(
        f"{base}/v1/listen?{urlencode(query, doseq=True)}",
        headers,
        open_secs=open_secs,
        # Deepgram's client brings its own; websockets 13 would send both.
        user_agent_header=None,
        ping_interval=answer_secs,
        ping_timeout=answer_secs,
    )
