"""A call's connection to Cartesia: opened while the call is set up, and again when it breaks."""

import asyncio
from abc import abstractmethod
from typing import Any

from loguru import logger
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.utils.errors import ErrorCategory
from websockets.exceptions import WebSocketException

from twilio_frames.pipecat_internals import call_event_handler, cartesia_address
from twilio_frames.services.connection_keeper import ConnectionKeeper, ConnectionOwner, Failure
from twilio_frames.services.line_audio import keep_phone_format
from twilio_frames.services.partial_speech import PartialSpeechTTSService
from twilio_frames.services.retry_policy import RetryPolicy
from twilio_frames.services.vendor_socket import VendorSocket, socket_failure

__all__ = ["CartesiaConnection"]

# Cartesia closes a connection that was idle for 300 s.
_RENEW_SECS = 240.0
# Its first audio takes tenths of a second, and it is asked twice before the caller is told.
_ANSWER_SECS = 2.0
_REFUSED = (400, 401, 402, 403, 404)
_TODO = "check the key, the plan and the URL"


class CartesiaConnection(
    PartialSpeechTTSService, CartesiaTTSService, ConnectionOwner[VendorSocket]
):
    """Cartesia's service with a connection that lasts; what is said over it is left open.

    Args:
        api_key: Cartesia's.
        policy: How long to wait for Cartesia, and how often to ask again.
        **kwargs: Passed on.

    Raises:
        ConfigurationError: If another encoding or sample rate is asked for.
    """

    def __init__(self, *, api_key: str, policy: RetryPolicy | None, **kwargs: Any):
        keep_phone_format(
            kwargs, instead="CartesiaTTSService", encoding="pcm_mulaw", container="raw"
        )
        super().__init__(api_key=api_key, **kwargs)
        self.policy = policy or RetryPolicy(answer_secs=_ANSWER_SECS)
        self.keeper = ConnectionKeeper(
            self, self.policy, name="a connection to Cartesia", renew_secs=_RENEW_SECS
        )
        self._is_troubled = False
        self._tasks: list[asyncio.Task[None]] = []

    async def _connect(self) -> None:
        await self.be_connected()

    async def be_connected(self) -> None:
        """Begins to connect, unless that has begun; does not wait for it."""
        if not self._tasks or any(task.done() for task in self._tasks):
            await self._disconnect()
            self._tasks = [
                self.create_task(self.keeper.run(), name="socket"),
                self.create_task(self._tend(), name="tend"),
            ]

    async def _disconnect(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await self.cancel_task(task)

    async def dial(self) -> VendorSocket:
        """Opens a connection."""
        url, headers = cartesia_address(self)
        return await VendorSocket.open(url, headers, open_secs=self.policy.open_secs)

    async def carry(self, connection: VendorSocket) -> None:
        """Takes what comes."""
        async for message in connection:
            await self.on_message(message)

    def failure_of(self, error: Exception) -> Failure | None:
        """Tells what Cartesia means by it."""
        return socket_failure(
            error, "expected Cartesia to take the connection", advice=dict.fromkeys(_REFUSED, _TODO)
        )

    async def send(self, message: str) -> None:
        """Sends a message; where that fails, the connection is lost or soon will be."""
        connection = self.keeper.connection
        if connection is None:
            return
        try:
            await connection.send(message)
        except (WebSocketException, TimeoutError):
            self.keeper.break_off()
        else:
            self.keeper.note_use()

    async def on_open(self) -> None:
        """Asks for whatever is left to say."""
        if self._is_troubled:
            self._is_troubled = False
            await self.set_usable(True)
        await call_event_handler(self, "on_connected")
        await self._ask_for_the_rest()

    async def on_lost(self, failure: Failure) -> None:
        """Notes what is left to say."""
        was_idle = self.is_idle
        level = "DEBUG" if was_idle else "WARNING"
        logger.log(level, f"{self}: lost Cartesia: {failure}")
        await self._lose_all()
        await call_event_handler(self, "on_disconnected")
        if not was_idle:
            await call_event_handler(self, "on_connection_error", str(failure))

    async def on_outage(self, failure: Failure) -> None:
        """Gives up what is left to say; altogether where Cartesia refuses."""
        message = failure.text
        if not failure.is_final:
            self._is_troubled = True
            message = (
                f"expected a connection to Cartesia within {self.policy.give_up_secs:g} s, got "
                f"none that lasts ({type(failure.error).__name__}): trying goes on"
            )
        await self._give_up(message, failure.category)

    # What is said.

    @abstractmethod
    async def on_message(self, message: str | bytes) -> None:
        """Takes what Cartesia sends."""

    @abstractmethod
    async def _ask_for_the_rest(self) -> None:
        """Sends what is left to say over a new connection."""

    @abstractmethod
    async def _lose_all(self) -> None:
        """Notes that no more comes of what was asked for."""

    @abstractmethod
    async def _give_up(self, message: str, category: ErrorCategory) -> None:
        """Reports an error, and leaves out what is left to say."""

    @abstractmethod
    async def _tend(self) -> None:
        """Watches over what is being said."""
