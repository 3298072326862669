"""A call's connection to a realtime model: what comes over it, and what is said of its troubles."""

import json
import time
from abc import abstractmethod
from typing import Any

from loguru import logger
from pipecat.services.llm_service import LLMService
from pipecat.services.openai.realtime import events
from pipecat.utils.errors import ErrorCategory
from websockets.exceptions import ConnectionClosed

from twilio_frames.processors.fallback.vendor_watch import WatchedVendor
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.traced_replies import TracedReplies
from twilio_frames.services.vendor_socket import VendorSocket, socket_failure

__all__ = ["RealtimeConnection"]

_ADVICE = {
    401: "check the API key",
    403: "check what the API key may do, and the model's name",
    404: "check the address and the model's name",
}
_FINAL_CODES = {
    "invalid_api_key": ErrorCategory.AUTHENTICATION,
    "insufficient_quota": ErrorCategory.QUOTA,
}
# They come of what happens at both ends at once.
_HARMLESS_CODES = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
    }
)


class RealtimeConnection(
    TracedReplies, WatchedVendor, LLMService[Any], ConnectionOwner[VendorSocket]
):
    """A service with a connection that lasts; what is said over it is left open.

    Args:
        api_key: Sent with each connection.
        base_url: The address, with the model's name.
        policy: How long to wait for OpenAI, and how often to try again.
        **kwargs: Passed to Pipecat's ``LLMService``.
    """

    def __init__(self, *, api_key: str, base_url: str, policy: RetryPolicy | None, **kwargs: Any):
        super().__init__(**kwargs)
        self.api_key = api_key
        self.base_url = base_url
        self.policy = policy or RetryPolicy()
        self.keeper = ConnectionKeeper(self, self.policy, name="a connection to OpenAI")
        self._ends_for: Failure | None = None
        self._has_warned = False
        self._told: set[str] = set()

    async def dial(self) -> VendorSocket:
        """Opens a connection."""
        return await VendorSocket.open(
            self.base_url,
            {"Authorization": f"Bearer {self.api_key}"},
            open_secs=self.policy.open_secs,
            send_secs=5.0,
            ping_interval=5.0,
            ping_timeout=5.0,
            max_size=16 * 1024 * 1024,
        )

    async def carry(self, connection: VendorSocket) -> Failure | None:
        """Takes what comes; what is no event is passed over."""
        self._ends_for = None
        try:
            async for message in connection:
                if (event := _event_of(message)) is None:
                    self._warn_of_garbage("something else")
                    continue
                try:
                    await self._take(event, str(message))
                except Exception as error:
                    # The call goes on. Not the error's text, which holds the event.
                    self._warn_of_garbage(type(error).__name__)
        except ConnectionClosed as error:
            return self._ends_for or self.failure_of(error)

    def failure_of(self, error: Exception) -> Failure | None:
        """Tells what OpenAI means by it."""
        return socket_failure(error, "expected a WebSocket of the Realtime API", advice=_ADVICE)

    async def on_outage(self, failure: Failure) -> None:
        """Reports that nobody answers."""
        text = failure.text
        if not failure.is_final:
            text = (
                f"expected a connection to OpenAI, got none for too long ({text}): trying goes on"
            )
        await self.tell(text, failure.category)

    async def on_recovery(self) -> None:
        """Notes that the next outage is to be told anew."""
        self._told.clear()

    async def send_client_event(self, event: events.ClientEvent) -> None:
        """Sends an event to the model, if there is a connection."""
        connection = self.keeper.connection
        if connection is None:
            return
        try:
            await connection.send(json.dumps(event.model_dump(exclude_none=True)))
        except (ConnectionClosed, TimeoutError):
            # The reader notices too, and the session is opened again.
            self.keeper.break_off()

    async def tell(self, text: str, category: ErrorCategory) -> None:
        """Reports an error, once for each cause."""
        if text not in self._told:
            self._told.add(text)
            await self.push_error(text, category=category)

    @abstractmethod
    def note_event(self, event: dict[str, Any], now: float) -> None:
        """Takes note of an event of any kind, ahead of :meth:`take_event`."""

    @abstractmethod
    async def take_event(self, event: Any, now: float) -> None:
        """Takes an event that Pipecat has a model of."""

    async def _take(self, event: dict[str, Any], message: str) -> None:
        now = time.monotonic()
        self.note_event(event, now)
        if event["type"] == "error":
            # To Pipecat's reader each would be the end.
            await self._take_error(event.get("error") or {})
        else:
            await self.take_event(events.parse_server_event(message), now)

    async def _take_error(self, error: dict[str, Any]) -> None:
        code, param = str(error.get("code") or error.get("type")), error.get("param")
        if code in _HARMLESS_CODES:
            logger.debug(f"{self}: {code}")
        elif code in _FINAL_CODES:
            text = f"expected OpenAI to serve the session, got {code}: check the account"
            self._ends_for = Failure(text=text, category=_FINAL_CODES[code], is_final=True)
            self.keeper.break_off()
        elif code == "session_expired":
            self.keeper.break_off()
        else:
            where = f" at {param}" if param else ""
            await self.tell(
                f"expected OpenAI to take what was sent, got {code}{where}: the session goes on",
                ErrorCategory.APPLICATION,
            )

    def _warn_of_garbage(self, what: str) -> None:
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
    return event if is_event and isinstance(message, str) else None
