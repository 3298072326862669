"""The connection to a realtime model: opened off the event loop's time, read past garbage."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pipecat.utils.errors import ErrorCategory
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI

from twilio_frames.hosts import socket_proxy
from twilio_frames.processors.warming import tls_for
from twilio_frames.services.retry_policy import RetryPolicy, asked_pause

_CONNECT_SECONDS = 5.0
_PING_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_LARGEST_MESSAGE = 16 * 1024 * 1024
_RETRY = RetryPolicy(at_once=0)
_LONGEST_WISH = 10.0

_CATEGORIES = {
    401: ErrorCategory.AUTHENTICATION,
    403: ErrorCategory.AUTHORIZATION,
    429: ErrorCategory.RATE_LIMIT,
}
_FINAL_CODES = {
    "invalid_api_key": ErrorCategory.AUTHENTICATION,
    "insufficient_quota": ErrorCategory.QUOTA,
}
HARMLESS_ERRORS = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
    }
)
"""Errors that come of what happens at both ends at once."""

_ADVICE = {
    401: "check the API key",
    403: "check what the API key may do, and the model's name",
    404: "check the address and the model's name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailure:
    """Why there is no connection.

    Parameters:
        text: What happened; holds no key and nothing that was said.
        category: Pipecat's word for it.
        is_final: Whether another try would end the same way.
        wait: Seconds the vendor asks to wait; None if it does not.
    """

    text: str
    category: ErrorCategory = ErrorCategory.CONNECTIVITY
    is_final: bool = False
    wait: float | None = None

    @classmethod
    def of(cls, error: Exception) -> "LinkFailure":
        """What an exception of the connection means."""
        match error:
            case InvalidStatus(response=response):
                return cls._of_status(response.status_code, response.headers)
            case InvalidURI():
                # Not the address itself, which may hold a key.
                return cls(
                    text="expected the address of a WebSocket, got another one: set base_url to "
                    "one that begins with ws:// or wss://",
                    category=ErrorCategory.INVALID_REQUEST,
                    is_final=True,
                )
            case TimeoutError():
                return cls(text=f"expected a connection within {_CONNECT_SECONDS:g} s, got none")
            case ConnectionClosed():
                return cls(text="the connection broke")
            case _:
                return cls(text=f"expected a connection, got {type(error).__name__}")

    @classmethod
    def of_code(cls, code: str) -> "LinkFailure | None":
        """What an error of the model's says of the connection; None if it may go on."""
        if code not in _FINAL_CODES:
            return None
        text = f"expected OpenAI to serve the session, got {code}: check the account"
        return cls(text=text, category=_FINAL_CODES[code], is_final=True)

    @classmethod
    def _of_status(cls, status: int, headers: Mapping[str, str]) -> "LinkFailure":
        is_final = 400 <= status < 500 and status not in (408, 425, 429)
        category = _CATEGORIES.get(status)
        if category is None:
            category = ErrorCategory.INVALID_REQUEST if is_final else ErrorCategory.SERVER
        advice = f": {_ADVICE[status]}" if status in _ADVICE else ""
        return cls(
            text=f"expected a WebSocket of the Realtime API, got HTTP {status}{advice}",
            category=category,
            is_final=is_final,
            wait=asked_pause(headers),
        )


def delay_before(attempt: int, failure: LinkFailure) -> float:
    """Seconds to wait before a connection is tried again.

    Args:
        attempt: How many have failed in a row, from 1.
        failure: The last one.
    """
    if failure.wait is not None:
        return min(failure.wait, _LONGEST_WISH)
    return _RETRY.pause_after(attempt)


class RealtimeLink:
    """One connection, as Pipecat's reader and sender use it.

    What comes and is no event is passed over. Errors are taken out: to Pipecat's reader each would
    be the end.

    Args:
        socket: The WebSocket.
        on_event: Called with each event, before it is handed on.
        on_error: Called with each ``error`` event's error; returns whether it is handed on.
    """

    def __init__(
        self,
        socket: ClientConnection,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_error: Callable[[dict[str, Any]], Awaitable[bool]],
    ):
        self._socket = socket
        self._on_event = on_event
        self._on_error = on_error
        self._has_warned = False
        self.failure: LinkFailure | None = None
        """Why it ended, where that is known."""

    @classmethod
    async def open(
        cls, url: str, headers: Mapping[str, str], **handlers: Any
    ) -> "RealtimeLink | LinkFailure":
        """Connects, in bounded time; gives why not, if it cannot."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                socket = await connect(
                    url,
                    additional_headers=headers,
                    ssl=await tls_for(url),
                    ping_interval=_PING_SECONDS,
                    ping_timeout=_PING_SECONDS,
                    close_timeout=_CLOSE_SECONDS,
                    max_size=_LARGEST_MESSAGE,
                    **socket_proxy(url),
                )
        except Exception as error:
            # Whatever it was, the caller is to be told.
            return LinkFailure.of(error)
        return cls(socket, **handlers)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends an event in bounded time.

        Raises:
            ConnectionClosed: If the connection has ended.
            TimeoutError: If it takes nothing any more.
        """
        async with asyncio.timeout(_CONNECT_SECONDS):
            await self._socket.send(json.dumps(message))

    async def close(self) -> None:
        """Closes in bounded time."""
        await self._socket.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        """The events, as JSON; ends with the connection."""
        try:
            async for message in self._socket:
                event = _event_of(message)
                if event is None or not isinstance(message, str):
                    self.warn_of_garbage()
                    continue
                self._on_event(event)
                if event["type"] != "error" or await self._on_error(event.get("error") or {}):
                    yield message
        except ConnectionClosed:
            return

    def break_off(self) -> None:
        """Ends a connection on which nothing comes any more; the reader ends too."""
        self._socket.transport.abort()

    def end_for(self, failure: LinkFailure) -> None:
        """Ends a connection of which nothing good is to be expected.

        Args:
            failure: Why.
        """
        self.failure = failure
        self.break_off()

    def warn_of_garbage(self, what: str = "something else") -> None:
        """Says once that something came that is no event.

        Args:
            what: What it was.
        """
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                f"expected events of the Realtime API, got {what} in between; it is passed over, "
                "this time and later"
            )


def _event_of(message: str | bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(message)
    except ValueError:
        return None
    is_event = isinstance(event, dict) and isinstance(event.get("type"), str)
    return event if is_event else None
